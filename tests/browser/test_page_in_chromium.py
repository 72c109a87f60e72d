"""The page in a real browser, from disk: what a reader sees, and that nothing leaves the page."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reports.page import write_reports

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}; on Debian: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    sys.path.insert(0, str(GOLDEN))
    make_run = importlib.import_module("make_run")
    sys.path.remove(str(GOLDEN))
    folder = tmp_path_factory.mktemp("made-up")
    run = make_run.write(folder / "run", make_run.MadeUpRun(launches=3))
    (page,) = write_reports([run], folder / "report", ["html"])
    return page.as_uri()


@dataclass
class Seen:
    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


def look(browser: Any, address: str, width: int, scheme: str = "light") -> Seen:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    seen = Seen(page=context.new_page())
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    seen.page.goto(address)
    seen.page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    return seen


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_complaint_and_no_request_beyond_the_page(
    browser: Any, address: str, width: int, scheme: str
) -> None:
    seen = look(browser, address, width, scheme)
    assert seen.complaints == []
    assert [url for url in seen.requests if url != address and not url.startswith("data:")] == []
    seen.page.context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_body_never_scrolls_sideways_and_wide_tables_do(browser: Any, address: str, width: int) -> None:
    seen = look(browser, address, width)
    size = seen.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert size[0] == size[1]
    wide = seen.page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(b => b.scrollWidth > b.clientWidth).length"
    )
    assert wide > 0
    seen.page.context.close()


def test_names_and_reasons_of_users_are_text(browser: Any, address: str) -> None:
    seen = look(browser, address, 1280)
    assert seen.dialogs == []
    assert seen.page.evaluate("document.scripts.length") == 0
    text = seen.page.inner_text("body")
    assert "<script>alert(1)</script>\"'|`=cmd@torch" in text
    assert "RuntimeError: <script>alert(2)</script> | ``` =1+1" in text
    seen.page.context.close()


def test_the_verdict_table_stands_first_and_says_words(browser: Any, address: str) -> None:
    seen = look(browser, address, 1280)
    table = seen.page.locator("table").first.inner_text()
    for word in (
        "reference",
        "better",
        "undecided",
        "failed",
        "provisional",
        "certificate failed: causality",
    ):
        assert word in table
    assert seen.page.locator("section").first.get_attribute("id") == "verdicts"
    seen.page.context.close()


def test_plots_are_drawn_with_their_names_as_text_within_their_bounds(browser: Any, address: str) -> None:
    seen = look(browser, address, 390)
    plots = seen.page.locator("figure svg")
    assert plots.count() == 13
    assert "linear@keras" in plots.first.text_content()
    outside = seen.page.evaluate(
        """[...document.querySelectorAll('figure svg')].flatMap(drawing => {
            const bounds = drawing.getBoundingClientRect();
            return [...drawing.querySelectorAll('text')].filter(text => {
                const box = text.getBoundingClientRect();
                return box.left < bounds.left - 2 || box.right > bounds.right + 2;
            }).map(text => text.textContent);
        })"""
    )
    assert outside == []
    seen.page.context.close()


def test_dark_and_light_have_legible_contrast(browser: Any, address: str) -> None:
    for scheme in ("light", "dark"):
        seen = look(browser, address, 1280, scheme)
        weak = seen.page.evaluate(CONTRAST)
        assert weak == [], f"{scheme}: contrast below 4.5"
        seen.page.context.close()


CONTRAST = """(() => {
    const numbers = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = element => {
        for (let part = element; part; part = part.parentElement) {
            const colour = numbers(getComputedStyle(part).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const found = new Set();
    const texts = 'p, dt, dd, th, td, a, .word, .note, .mark, caption, svg text';
    for (const element of document.querySelectorAll(texts)) {
        const style = getComputedStyle(element);
        const ink = numbers(element.tagName === 'text' ? style.fill : style.color);
        const [a, b] = [light(ink), light(ground(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) found.add(element.outerHTML.slice(0, 80) + ' ' + contrast.toFixed(2));
    }
    return [...found];
})()"""
