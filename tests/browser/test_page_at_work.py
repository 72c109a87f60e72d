"""What the page does for its reader: sorts, narrows, leads to raw values, tells a figure's values, prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlparse

import pytest

pytestmark = pytest.mark.browser
Look: TypeAlias = Callable[..., Any]
COLUMN = """(place) => {
    const table = [...document.querySelectorAll('#figures table')].find(t => t.tBodies[0].rows.length > 4);
    return [...table.tBodies[0].rows].map(row => row.cells[place].dataset.number ?? null);
}"""
HOSTILE = "<script>alert(1)</script>\"'|`=cmd@torch"


def _column(page: Any, place: int) -> list[float | None]:
    return [None if text is None else float(text) for text in page.evaluate(COLUMN, place)]


def _heading(page: Any, place: int) -> Any:
    table = page.locator("#figures table").filter(has=page.locator("tbody tr:nth-child(5)")).first
    return table.locator("thead th").nth(place)


def _in_view(page: Any) -> Any:
    figure = page.locator("figure[data-chart]").first
    figure.scroll_into_view_if_needed()
    page.wait_for_selector("figure.live")
    return figure


def test_a_heading_sorts_by_number_and_leaves_what_was_not_measured_at_the_end(
    look: Look, address: str
) -> None:
    page = look(address).page
    first, place = _column(page, 3), 3
    head = _heading(page, place)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    numbers = [number for number in first if number is not None]
    missing = [None] * (len(first) - len(numbers))
    assert missing and first != sorted(numbers) + missing
    assert _column(page, place) == sorted(numbers) + missing
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert _column(page, place) == sorted(numbers, reverse=True) + missing
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") is None and _column(page, place) == first
    assert "in the first order" in page.locator("#said").inner_text()


def test_the_filter_leaves_rows_with_all_its_words_and_says_how_many(look: Look, address: str) -> None:
    page = look(address).page
    page.locator("#filter").fill("linear@keras forward")
    page.locator("#filtered:not(:empty)").wait_for()
    shown = page.evaluate(
        "[...document.querySelectorAll('main tbody tr:not([hidden])')].map(r => r.textContent)"
    )
    assert shown and all("linear@keras" in text and "forward" in text for text in shown)
    assert re.fullmatch(rf"{len(shown)} of \d+ rows", page.locator("#filtered").inner_text())
    page.locator("#filter").fill(HOSTILE)
    page.wait_for_timeout(400)
    assert 0 < page.locator("main tbody tr:not([hidden])").count() < 40
    page.locator("#filter").fill("")
    page.wait_for_timeout(400)
    assert page.locator("main tbody tr[hidden]").count() == 0


def _measured(address: str, implementation: str, subject: str) -> list[list[float]]:
    """The raw seconds of the run that the page was made of, a list a launch."""
    run = Path(unquote(urlparse(address).path)).parents[1] / "run" / "measurements.jsonl"
    rows = [
        row
        for line in run.read_text(encoding="utf-8").splitlines()
        for row in json.loads(line)["measurements"]
    ]
    return [
        row["values"]
        for row in rows
        if (row["suite"], row["metric"], row["implementation"], row["subject"])
        == ("throughput", "seconds", implementation, subject)
    ]


def test_a_permalink_unfolds_its_group_and_shows_the_raw_values(look: Look, address: str) -> None:
    page = look(address).page
    row = page.locator("#figures tr", has_text="linear@keras").filter(has_text="layer/forward/522").first
    link = row.locator("td a.value[href]").nth(1)
    place = link.get_attribute("href")
    page = look(address + place, unfold=False).page
    dialog = page.locator("dialog[open]")
    dialog.wait_for()
    shown = [
        [float(value) for value in text.split(", ")]
        for text in dialog.locator("code.values").all_inner_texts()
    ]
    truth = _measured(address, "linear@keras", "layer/forward/522")
    assert len(truth) == 3 and [len(values) for values in shown] == [5, 5, 5]
    for mine, theirs in zip(shown, truth, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)
    assert page.locator(place).is_visible()
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_a_verdict_shows_the_raw_values_of_both_sides(look: Look, address: str) -> None:
    page = look(address).page
    link = page.locator("#verdicts tbody tr", has_text="linear@torch").first.locator("td a.value").first
    link.focus()
    page.keyboard.press("Enter")
    captions = page.locator("dialog[open] caption").all_inner_texts()
    assert [text.split(":")[0] for text in captions] == [
        "linear@torch (candidate)",
        "softmax@torch (reference)",
    ]
    assert page.evaluate("location.hash") == link.get_attribute("href")


def test_a_figure_tells_a_points_values_and_a_choice_goes_through_all_of_them(
    look: Look, address: str
) -> None:
    page = look(address).page
    figure = _in_view(page)
    page.wait_for_timeout(300)
    box = figure.locator(".chart").bounding_box()
    place = page.evaluate(FIRST_POINT)
    page.mouse.move(box["x"] + place[0] - 30, box["y"] + place[1])
    page.mouse.move(box["x"] + place[0], box["y"] + place[1], steps=4)
    page.wait_for_timeout(300)
    told = page.evaluate(HOVERED)
    assert "128 tokens" in told
    assert re.search(r"\d (ms|s|µs)", told)
    figure.locator(".legend button", has_text="linear@torch").click()
    alphas = "[...document.querySelectorAll('.legend button[aria-pressed=true]')].map(b => b.dataset.name)"
    assert set(page.evaluate(alphas)) == {"linear@torch"}
    assert page.locator("#verdicts tr.chosen").count() == 1
    figure.locator("details.told summary").click()
    assert "128 tokens" in figure.locator("details.told table").inner_text()


FIRST_POINT = """(() => {
    const [view] = [...Bokeh.index.roots];
    const points = view.owner.query(part => part.model === view.model.renderers.at(-1))[Symbol.iterator]();
    const {glyph} = points.next().value;
    return [glyph.sx[0], glyph.sy[0]];
})()"""
HOVERED = """(() => {
    const texts = [];
    const walk = root => {
        for (const part of root.querySelectorAll('*')) {
            const told = part.classList?.contains('bk-tooltip-row-value');
            if (told && part.checkVisibility()) texts.push(part.textContent);
            if (part.shadowRoot) walk(part.shadowRoot);
        }
    };
    walk(document);
    return texts.join(' ');
})()"""


def test_markup_in_a_measured_name_is_text_in_figures_tables_and_raw_values(look: Look, address: str) -> None:
    seen = look(address)
    page, name = seen.page, "<img src=x onerror=alert(3)>@torch"
    figure = _in_view(page)
    assert name in figure.locator(".legend").inner_text()
    figure.locator(".legend button", has_text="<img").click()
    figure.locator("details.told summary").click()
    assert name in figure.locator("details.told table").inner_text()
    page.locator("#verdicts tr.chosen td a.value").first.click()
    assert name in page.locator("dialog[open]").inner_text()
    assert page.locator("img").count() == 0 and seen.dialogs == []


def test_the_policy_lets_no_other_script_run_and_nothing_be_fetched(look: Look, address: str) -> None:
    seen = look(address)
    blocked = seen.page.evaluate(
        """async () => {
            const found = [];
            document.addEventListener('securitypolicyviolation', e => found.push(e.effectiveDirective));
            const script = document.createElement('script');
            script.textContent = 'window.ran = 1';
            document.body.append(script);
            await fetch('https://example.invalid/').catch(() => 0);
            document.body.append(Object.assign(new Image(), {src: 'https://example.invalid/x.png'}));
            await new Promise(done => setTimeout(done, 200));
            return [window.ran ?? null, found.sort()];
        }"""
    )
    assert blocked == [None, ["connect-src", "img-src", "script-src-elem"]]
    seen.complaints.clear()


def test_without_scripts_everything_stands_there(look: Look, address: str) -> None:
    page = look(address, unfold=False, java_script_enabled=False).page
    assert page.locator("figure .picture svg").first.is_visible()
    assert not page.locator(".tools").is_visible()
    assert "linear@torch" in page.locator("#overview").inner_text()


def test_print_takes_the_pictures_in_light_colours(look: Look, address: str) -> None:
    page = look(address, scheme="dark").page
    figure = _in_view(page)
    assert figure.locator(".chart").is_visible()
    page.emulate_media(media="print")
    assert not figure.locator(".chart").is_visible() and not page.locator(".tools").is_visible()
    box = figure.locator(".picture").bounding_box()
    assert box["width"] > 100 and box["height"] > 100
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_readers_choice_of_colours_goes_before_the_systems(look: Look, address: str) -> None:
    page = look(address, scheme="light").page
    button = page.locator("#scheme")
    grounds = []
    for _ in range(3):
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        button.click()
    assert grounds[0] == grounds[1] == "rgb(255, 255, 255)" and grounds[2] == "rgb(20, 23, 26)"


@pytest.mark.parametrize("width", [390, 1280])
def test_keys_and_readers_find_their_way(look: Look, address: str, width: int) -> None:
    page = look(address, width).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    unnamed = page.evaluate(UNNAMED)
    assert unnamed == []
    levels = page.evaluate(
        "[...document.querySelectorAll('main :is(h1,h2,h3)')].map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 2 and set(levels) <= {2, 3}


UNNAMED = """(() => {
    const labelled = e => e.ariaLabel || e.labels?.length || e.getAttribute('aria-labelledby');
    const named = e => e.textContent.trim() || labelled(e);
    const parts = 'button, input, [role=region], [role=img], dialog, caption, figcaption';
    const headless = [...document.querySelectorAll('table')].filter(t => !t.caption);
    const unscoped = [...document.querySelectorAll('th:not([scope])')];
    const silent = [...document.querySelectorAll(parts)].filter(e => !named(e));
    return [...headless, ...unscoped, ...silent].map(e => e.outerHTML.slice(0, 80));
})()"""
