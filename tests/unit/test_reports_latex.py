"""Every table of the Markdown stands in the LaTeX, whole and escaped."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.latex import escaped
from reports.page import write_reports

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sys.path.insert(0, str(GOLDEN))
    make_run = importlib.import_module("make_run")
    sys.path.remove(str(GOLDEN))
    folder = tmp_path_factory.mktemp("latex")
    run = make_run.write(folder / "run", make_run.MadeUpRun(lengths=(131, 257), launches=2))
    write_reports([run], folder, ["latex", "markdown"])
    return folder


def _tables(text: str) -> list[str]:
    return re.findall(r"\\begin\{longtable\}(.*?)\\end\{longtable\}", text, re.DOTALL)


def test_there_are_as_many_tables_as_in_the_markdown_with_as_many_rows(folder: Path) -> None:
    tables = _tables((folder / "tables.tex").read_text(encoding="utf-8"))
    lines = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    heads = [place for place, line in enumerate(lines) if re.match(r"\| ?:?---", line)]
    rows = [
        next(n for n, line in enumerate([*lines[place + 1 :], ""]) if not line.startswith("|"))
        for place in heads
    ]
    assert len(tables) == len(heads) > 10
    assert [len(re.findall(r" \\\\$", table, re.MULTILINE)) for table in tables] == rows


def test_every_row_has_as_many_cells_as_columns(folder: Path) -> None:
    for table in _tables((folder / "tables.tex").read_text(encoding="utf-8")):
        columns = table.count(r"\linewidth}")
        for line in table.splitlines():
            if line.endswith(r" \\") or line.startswith(r"\toprule"):
                assert len(re.findall(r"(?<!\\)&", line)) == columns - 1, line


def test_names_are_no_commands(folder: Path) -> None:
    text = (folder / "tables.tex").read_text(encoding="utf-8")
    hostile = r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{}"
    assert hostile + r"\textquotedbl{}\textquotesingle{}\textbar{}\textasciigrave{}=cmd@torch" in text
    assert "<script" not in text
    plain = re.sub(r"\\[\\{}]", "", text)
    assert plain.count("{") == plain.count("}")


@given(st.text(max_size=40))
def test_whatever_is_escaped_is_on_one_line_with_known_commands_only(text: str) -> None:
    written = escaped(text)
    assert "\n" not in written
    rest = re.sub(r"\\(text[a-z]+|ldots|ensuremath)\b|\\[{}$&#_%]|\{[-\[\]*]\}", "", written)
    rest = re.sub(r"\{\\(times|mu|to|le|ge|pm|cdot)\}|\{\^2\}|\{\}|\{-\}", "", rest)
    assert not set(rest) & set("\\$&#%{}~^_")
