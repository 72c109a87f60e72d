"""The page in a real browser, from disk: what a reader sees, and that nothing leaves the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

pytestmark = pytest.mark.browser
Look: TypeAlias = Callable[..., Any]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_complaint_and_no_request_beyond_the_page(
    look: Look, address: str, width: int, scheme: str
) -> None:
    seen = look(address, width, scheme)
    assert seen.complaints == []
    assert [url for url in seen.requests if url != address and not url.startswith("data:")] == []


@pytest.mark.parametrize("width", [390, 1280])
def test_the_body_never_scrolls_sideways_and_wide_tables_do(look: Look, address: str, width: int) -> None:
    seen = look(address, width)
    size = seen.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert size[0] == size[1]
    wide = seen.page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(b => b.scrollWidth > b.clientWidth).length"
    )
    assert wide > 0


def test_names_and_reasons_of_users_are_text(look: Look, address: str) -> None:
    seen = look(address, 1280)
    assert seen.dialogs == []
    inert = "[...document.scripts].filter(script => !/json|plain/.test(script.type)).length"
    assert seen.page.evaluate(inert) == 1, "no script but the page's own"
    text = seen.page.inner_text("body")
    assert "<script>alert(1)</script>\"'|`=cmd@torch" in text
    assert "RuntimeError: <script>alert(2)</script> | ``` =1+1" in text


def test_the_verdict_table_stands_first_and_says_words(look: Look, address: str) -> None:
    seen = look(address, 1280)
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
    assert seen.page.locator("section").nth(1).get_attribute("id") == "verdicts"


def test_plots_are_drawn_with_their_names_as_text_within_their_bounds(look: Look, address: str) -> None:
    seen = look(address, 390)
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


def test_dark_and_light_have_legible_contrast(look: Look, address: str) -> None:
    for scheme in ("light", "dark"):
        seen = look(address, 1280, scheme)
        weak = seen.page.evaluate(CONTRAST)
        assert weak == [], f"{scheme}: contrast below 4.5"


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
