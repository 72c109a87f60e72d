"""A gate's report: regressions first, names that are text in every format, XML that any reader takes."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_gate_cells import cell, result

from bench.gate.cells import Cell
from reports.gate import writing as gate
from reports.gate.formats import comment, junit

HOSTILE = "<script>alert(1)</script>|`x`\x1b[31m"


def slower(name: str, ratio: float, **fields: object) -> Cell:
    told = {"word": "worse", "effect": ratio, "low": ratio - 0.01, "high": ratio + 0.01, "evidence": 6}
    return replace(
        cell(name), confirmed=True, control=1.001, before=0.01, after=0.01 * ratio, **{**told, **fields}
    )


CELLS = [
    replace(cell("sdpa@torch"), word="same", effect=1.001, low=0.995, high=1.006, evidence=6),
    slower("small@torch", 1.03),
    slower("large@torch", 1.4),
    replace(
        cell("leak@torch", kind="certificate", suite="certificate", metric="causality"),
        word="worse",
        reason="token 3 saw token 5",
    ),
    slower("middle@torch", 1.2),
    replace(cell("linear@torch"), word="undecided", reason="the interval holds both a change and none"),
    replace(cell("cut@torch"), word="not_measured", reason="candidate: out of memory"),
    replace(cell("still@torch"), word="same", unchanged=True),
]


def test_a_comment_names_the_first_three_regressions_and_counts_the_rest() -> None:
    lines = comment(result(CELLS)).splitlines()
    assert lines[0] == "## attnbench gate: 4 cells are worse"
    assert lines[2].startswith(
        "1. **leak@torch** on layer/forward/257: causality broken: token 3 saw token 5"
    )
    assert lines[3].startswith(
        "2. **large@torch** on layer/forward/257: seconds +40.0% (+39.0% to +41.0%), slower"
    )
    assert lines[4].startswith("3. **middle@torch**")
    assert "small@torch" not in "\n".join(lines[:6])
    assert "8 cells: 4 worse, 1 not measured, 1 undecided, 2 same. 1 of them did not change" in "\n".join(
        lines
    )
    table = [line for line in lines if line.startswith("| **")]
    assert len(table) == 7
    assert "| **slower** | small@torch, seconds | layer/forward/257 | +3.0% |" in "\n".join(table)


def test_a_comment_without_regressions_says_so() -> None:
    assert comment(result(CELLS[:1])).startswith("## attnbench gate: Nothing is worse\n")
    told = comment(result([], failure="baseline: no catalogue"))
    assert told.startswith("## attnbench gate: Could not measure\n\n> **baseline: no catalogue**")


def test_junit_has_a_case_a_cell_with_what_it_came_to() -> None:
    root = ElementTree.fromstring(junit(result(CELLS)))
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "8",
        "failures": "4",
        "errors": "1",
        "skipped": "1",
        "time": "600",
    }
    cases = {case.get("name"): case for case in root.iter("testcase")}
    failure = cases["large@torch layer/forward/257"].find("failure")
    assert failure is not None
    assert "+40.0%" in str(failure.text)
    assert cases["sdpa@torch layer/forward/257"].find("*") is None


def test_a_gate_that_could_not_measure_is_an_error_in_junit() -> None:
    root = ElementTree.fromstring(junit(result([], failure="baseline: no catalogue")))
    assert root.get("errors") == "1"
    assert root.find(".//error").get("message") == "baseline: no catalogue"


def test_names_from_outside_are_text_in_every_format(tmp_path: Path) -> None:
    told = result([slower(HOSTILE, 1.3, reason=HOSTILE)], titles={"baseline": HOSTILE, "candidate": HOSTILE})
    files = {path.name: path.read_text() for path in gate.write(told, tmp_path)}
    assert set(files) == {"index.html", "comment.md", "junit.xml", "gate.json"}
    assert HOSTILE not in files["index.html"]
    assert "&lt;script&gt;" in files["index.html"]
    assert not re.search(r"(?<!\\)<script", files["comment.md"])
    assert "\x1b" not in files["junit.xml"]
    ElementTree.fromstring(files["junit.xml"])
    assert json.loads(files["gate.json"])["cells"][0]["implementation"] == HOSTILE


def test_json_holds_every_cell_the_answer_and_the_exit_code(tmp_path: Path) -> None:
    gate.write(result(CELLS), tmp_path)
    told = json.loads((tmp_path / "gate.json").read_text())
    assert (told["exit_code"], told["headline"], len(told["cells"])) == (1, "4 cells are worse", 8)


def test_the_page_shows_warnings_and_the_words_of_the_cells(tmp_path: Path) -> None:
    gate.write(result(CELLS, moved=("layer on torch: 1.100",), environments=("versions: a / b",)), tmp_path)
    page = (tmp_path / "index.html").read_text()
    for text in ("slower", "broken", "not measured", "undecided", "layer on torch: 1.100", "versions: a / b"):
        assert text in page
    assert 'class="word bad">slower' in page
    assert "still@torch" in page


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        ({"kind": "score", "unit": "fraction", "effect": -0.005}, "−0.50 points"),
        ({"kind": "memory", "unit": "B", "effect": 1.05}, "+5.0%"),
        ({"effect": 0.974}, "−2.6%"),
        ({"effect": None}, ""),
    ],
)
def test_changes_are_said_in_percent_or_points(made: dict[str, object], shown: str) -> None:
    fields = {key: value for key, value in made.items() if key in ("effect",)}
    blank = cell(kind=str(made.get("kind", "time")), unit=str(made.get("unit", "s")))
    assert gate.change(replace(blank, **fields)) == shown


def test_the_terminal_shows_what_is_not_the_same_and_how_much_more_there_is() -> None:
    lines = list(gate.lines(result(CELLS), 2))
    assert lines[0].startswith("8 cells: 4 worse")
    assert lines[1].split()[:2] == ["broken", "leak@torch"]
    assert lines[-1] == "  … and 4 more"
