"""The audit in a real browser: it fits a screen and a telephone, loads nothing, and prints on A4."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from reports.audit.writing import write_audit

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    made_up = importlib.import_module("made_up_audit")
    folder = tmp_path_factory.mktemp("audit")
    run = made_up.write(folder / "run", made_up.MadeUpAudit())
    page, *_ = write_audit([run], folder / "out", intensity=100.0, pue=1.2, embodied="1200,4,0.1")
    return page.as_uri()


@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_fits_and_asks_for_nothing(browser: Any, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert complaints == []
    assert page.locator("svg").count() == 2
    page.close()


def test_it_prints_on_a4_with_everything_unfolded_and_dark_on_light(browser: Any, address: str) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(address)
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    sizes = {tuple(map(round, map(float, box))) for box in _boxes(printed)}
    assert sizes == {(595, 842)}
    page.emulate_media(media="print", color_scheme="dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.close()


def _boxes(printed: bytes) -> list[tuple[str, str]]:
    """Width and height of each page in points."""
    found = re.findall(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)\s*\]", printed)
    assert found, "the PDF names no page"
    return [(width.decode(), height.decode()) for width, height in found]
