"""A browser, the page of a made-up run with hostile names, and a look at it that hears every complaint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reports.page import write_reports

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
MARKUP = "<img src=x onerror=alert(3)>@torch"
"""The name of an implementation that was measured, and so stands in figures and raw values too."""


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
def address(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("made-up")
    run = make_run.write(folder / "run", make_run.MadeUpRun(launches=3))
    file = run / "measurements.jsonl"
    measured = file.read_text(encoding="utf-8").replace("same_again@torch", MARKUP)
    file.write_text(measured, encoding="utf-8")
    (page,) = write_reports([run], folder / "report", ["html"])
    return page.as_uri()


@dataclass
class Seen:
    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


def _look(browser: Any, address: str, width: int, scheme: str, unfold: bool, **more: Any) -> Seen:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
    seen = Seen(page=context.new_page())
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    seen.page.goto(address)
    if unfold:
        # What is out of view is laid out too: these looks are at the whole page.
        seen.page.add_style_tag(content="section, .scroll { content-visibility: visible !important }")
        seen.page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    return seen


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Seen]]:
    """Opens a page from disk; whatever was opened is closed in the end, and must have had no complaint."""
    opened: list[Seen] = []

    def opener(
        address: str, width: int = 1280, scheme: str = "light", unfold: bool = True, **more: Any
    ) -> Seen:
        opened.append(_look(browser, address, width, scheme, unfold, **more))
        return opened[-1]

    yield opener
    for seen in opened:
        seen.page.context.close()
    assert [line for seen in opened for line in (*seen.complaints, *seen.dialogs)] == []
