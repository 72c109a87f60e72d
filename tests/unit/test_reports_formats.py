"""What users name is text in every format, numbers are legible, and listing views stays cheap."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import formatting
from reports.catalog import FORMATS, VIEWS
from reports.content import Listing, Paragraph
from reports.page import write_reports
from reports.pictures.charts import Line, Point
from reports.pictures.drawing import curves, in_plots, series
from reports.pictures.labels import spread
from reports.writers.figures_csv import guarded
from reports.writers.html import inert
from reports.writers.markdown import _listing, escaped


@pytest.fixture(scope="module")
def folder(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    settings = make_run.MadeUpRun(lengths=(131, 257, 521), launches=2, failing=make_run.FORMULA)
    run = make_run.write(folder / "run", settings)
    write_reports([run], folder / "report", list(FORMATS))
    return folder / "report"


@pytest.fixture(scope="module")
def hostile(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    run = make_run.write(folder / "run", make_run.MadeUpRun(lengths=(131, 257), launches=2))
    write_reports([run], folder / "report", list(FORMATS))
    return folder / "report"


SCRIPTS = (
    '<script type="application/json" id="data">',
    '<script type="text/plain" id="bokeh">',
    "<script>\n(() => {",
)


def test_the_html_holds_hostile_names_escaped_only(hostile: Path) -> None:
    page = (hostile / "index.html").read_text(encoding="utf-8")
    assert re.findall("</?script", page, re.IGNORECASE) == ["<script", "</script"] * 3
    assert [page.count(script) for script in SCRIPTS] == [1, 1, 1]
    markup, _, rest = page.partition(SCRIPTS[0])
    data = rest.partition("</script>")[0]
    assert not set("<>&") & set(data)
    assert "&lt;b&gt;word_swap" in markup
    assert "<b>" not in markup
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;|`=cmd" in markup


def test_data_for_the_scripts_cannot_end_its_block() -> None:
    name = "</script><!--<script>&\u2028"
    written = str(inert({"names": [name]}))
    assert not set("<>&") & set(written)
    assert json.loads(written) == {"names": [name]}


def test_the_policy_names_the_scripts_that_stand_on_the_page_and_no_others(hostile: Path) -> None:
    page = (hostile / "index.html").read_text(encoding="utf-8")
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    named = set(re.findall("sha256-([^&]+)&#39;", policy))
    bodies = re.findall(r"<script(?: type=\"text/plain\" id=\"bokeh\")?>(.*?)</script>", page, re.DOTALL)
    found = {base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies}
    assert named == found and len(found) == 2
    assert policy.startswith("default-src &#39;none&#39;;") and "unsafe-eval" not in policy


def test_the_page_refers_to_nothing_outside_itself(hostile: Path) -> None:
    page = (hostile / "index.html").read_text(encoding="utf-8")
    page = page.partition(SCRIPTS[0])[0]
    references = re.findall(r"""(?:src|href)=["']([^"']*)|url\(([^)]*)\)""", page)
    assert all((first or second).startswith(("#", "data:")) for first, second in references)


def test_no_id_stands_twice_on_the_page(hostile: Path) -> None:
    found = re.findall(r'\bid="([^"]+)"', (hostile / "index.html").read_text(encoding="utf-8"))
    assert len(found) == len(set(found))


def test_every_markdown_table_has_as_many_cells_in_each_row_as_headings(hostile: Path) -> None:
    lines = (hostile / "report.md").read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert any("cmd" in line for line in tables)
    width = 0
    for line, before in zip(lines, ["", *lines], strict=False):
        cells = len(re.findall(r"(?<!\\)\|", line))
        if line.startswith("|"):
            width = width if before.startswith("|") else cells
            assert cells == width, line


def test_markdown_shows_markup_of_users_as_text() -> None:
    assert escaped("<b>*a*\n| `x` [y](z)") == r"\<b\>\*a\* \| \`x\` \[y\](z)"
    assert escaped("https://a_b") == r"https://a\_b"


@given(st.text(alphabet="`a\n", max_size=30))
def test_no_listing_can_close_its_own_fence(text: str) -> None:
    lines = list(_listing(Listing(title="output", text=text)))
    fence = lines[2].removesuffix("text")
    assert set(fence) == {"`"}
    assert fence not in text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_csv_cell_of_a_user_is_a_formula(start: str) -> None:
    assert guarded(f"{start}1+1") == f"'{start}1+1"
    assert guarded(-1.5) == -1.5


def test_the_csv_is_tidy_and_guarded(folder: Path) -> None:
    with (folder / "figures.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert not any(re.match(r"[=@\t\r]|[+-](?![\d.])", value) for value in row.values())
        assert bool(row["estimate"]) == (row["status"] == "ok")
        assert row["method"]
        assert row["unit"]
    assert {row["implementation"] for row in rows} >= {"'=HYPERLINK(1)@torch", "linear@keras"}


def test_the_json_has_its_keys_and_every_verdict_its_own(folder: Path) -> None:
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert set(content) >= {
        "run", "command", "profile", "provisional", "verdicts", "crossovers", "figures", "failures", "checks",
        "environment", "incomplete", "measured_at", "accuracy", "robustness", "training", "energy",
    }  # fmt: skip
    for verdict in content["verdicts"]:
        assert set(verdict) >= {
            "implementation", "axis", "subject", "word", "estimate", "low", "high", "level", "margin", "unit",
            "launches", "provisional", "reason", "method",
        }  # fmt: skip
        assert verdict["word"] in ("better", "worse", "same", "undecided")
        modelled = verdict["method"] == "modelled"
        assert verdict["provisional"] is (verdict["axis"] != "score" and not modelled)
        assert (verdict["estimate"] is None) is modelled
        assert verdict["word"] != "undecided" or verdict["reason"]
    assert {verdict["unit"] for verdict in content["verdicts"]} == {"ratio", "fraction", "dB", "bits"}
    assert any(failure["reason"].startswith("Traceback") for failure in content["failures"])


def test_a_format_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="no report format 'pdf'; known are html, markdown, csv, json, latex"
    ):
        write_reports([tmp_path], tmp_path, ["pdf"])


def test_every_view_and_format_can_be_loaded() -> None:
    for target in [*(view.target for view in VIEWS), *FORMATS.values()]:
        module, name = target.split(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_listing_the_views_imports_nothing_heavy() -> None:
    code = "import sys, reports.catalog; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pandas", "seaborn", "matplotlib", "jinja2", "numpy", "scipy", "torch", "keras"}
    assert not heavy & set(found.stdout.split())


def test_drawing_leaves_no_state_behind() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    line = Line(
        label="--><script>$x$</script>",
        framework="torch",
        colour=1,
        points=(Point(x=7, y=2), Point(x=11, y=3)),
    )
    drawing = curves([line], name="one", unit="s", y_title="time").svg
    assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
    assert "<script" not in drawing
    assert "--&gt;&lt;script&gt;$x$&lt;/script&gt;</text>" in drawing
    assert not re.search(r"#0a0[bc]", drawing)


@pytest.mark.parametrize(("others", "plots"), [(0, 1), (9, 1), (10, 2), (35, 4)])
def test_many_lines_are_drawn_in_several_plots_with_the_reference_in_each(others: int, plots: int) -> None:
    points = (Point(x=0, y=0.5), Point(x=7, y=0, low=0, high=0.1))
    lines = [
        Line(label=f"v{place}", framework="torch", colour=1, points=points, reference=place == 0)
        for place in range(others + 1)
    ]
    parts = in_plots(lines)
    assert len(parts) == plots
    assert all(part[0] is lines[0] and len(part) <= 10 for part in parts)
    assert [line for part in parts for line in part[1:]] == lines[1:]
    assert series(parts[-1], name="one", x_title="budget", y_title="accuracy").svg.startswith("<svg")


@given(st.lists(st.floats(0, 300), min_size=1, max_size=9))
def test_labels_are_pushed_apart_and_keep_their_order(heights: list[float]) -> None:
    placed = spread(heights, 11.0)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for lower, upper in itertools.pairwise(order):
        assert placed[upper] - placed[lower] >= 11.0 - 1e-6


@given(st.floats(1e-9, 1e12), st.floats(1, 1.5), st.sampled_from(["s", "B", "ratio", "FLOP/s", "tokens/s"]))
def test_an_interval_is_written_with_the_decimals_of_its_estimate(
    number: float, factor: float, unit: str
) -> None:
    estimate, interval = formatting.with_bounds(number, number / factor, number * factor, unit)
    shown = re.findall(r"[\d,]*\d(?:\.\d+)?", f"{estimate.split()[0]} {interval}")
    decimals = {len(text.partition(".")[2]) for text in shown}
    assert len(shown) == 3
    assert len(decimals) == 1


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0.0123456, "s", "12.3 ms"),
        (2.6e6, "B", "2.60 MB"),
        (0.16345, "ratio", "0.163×"),
        (432963, "count", "432,963"),
        (0.7741, "fraction", "0.774"),
        (27.456, "dB", "27.46 dB"),
        (123456.0, "tokens/s", "123,000 tokens/s"),
    ],
)
def test_quantities_have_three_digits_and_a_unit(number: float, unit: str, text: str) -> None:
    assert formatting.quantity(number, unit) == text


def test_what_there_is_none_of_says_so() -> None:
    assert formatting.with_bounds(None, None, None, "s") == ("no estimate", "no interval")
    assert formatting.with_bounds(1.004, 0.9951, 1.0049, "ratio") == ("1.004×", "0.995 to 1.005")
    assert formatting.with_bounds(-0.02, -0.05, 0.01, "fraction", signed=True) == (
        "−0.020",
        "−0.050 to +0.010",
    )


def test_a_view_of_a_user_stands_on_the_page(
    make_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.schema import View
    from reports.content import Section

    (tmp_path / "my_views.py").write_text(
        "from reports.content import Paragraph, Section\n"
        "def render(evidence):\n"
        "    return Section(name='mine', title='Mine', blocks=(Paragraph(text='<i>hello</i>'),), data=[1])\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    run = make_run.write(tmp_path / "run", make_run.MadeUpRun(launches=1, lengths=(131,)))
    view = View(name="mine", title="Mine", target="my_views:render")
    (page,) = write_reports([run], tmp_path / "report", ["html"], views=(view,))
    assert "&lt;i&gt;hello&lt;/i&gt;" in page.read_text(encoding="utf-8")
    assert isinstance(Section(name="x", title="y", blocks=(Paragraph(text="z"),)), Section)
