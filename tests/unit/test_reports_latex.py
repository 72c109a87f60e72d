"""Every table of the Markdown stands in the LaTeX, whole and escaped."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.page import write_reports
from reports.writers.latex import MOST_COLUMNS, escaped


@pytest.fixture(scope="module")
def folder(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latex")
    run = make_run.write(folder / "run", make_run.MadeUpRun(lengths=(131, 257), launches=2))
    write_reports([run], folder, ["latex", "markdown"])
    return folder


def _tables(text: str) -> list[str]:
    return re.findall(r"\\begin\{longtable\}(.*?)\\end\{longtable\}", text, re.DOTALL)


def test_every_table_of_the_markdown_is_there_with_all_its_rows_and_columns(folder: Path) -> None:
    """A wide table is several, each with the first column and all rows."""
    found = iter(_tables((folder / "tables.tex").read_text(encoding="utf-8")))
    lines = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    heads = [place for place, line in enumerate(lines) if re.match(r"\| ?:?---", line)]
    assert len(heads) > 10
    for place in heads:
        rows = next(n for n, line in enumerate([*lines[place + 1 :], ""]) if not line.startswith("|"))
        wanted = len(re.findall(r"(?<!\\)\|", lines[place - 1])) - 2
        while wanted > 0:
            table = next(found)
            assert len(re.findall(r" \\\\$", table, re.MULTILINE)) == rows
            assert table.count(r"\relax}") <= MOST_COLUMNS
            wanted -= table.count(r"\relax}") - 1
        assert wanted == 0
    assert next(found, None) is None


def test_every_row_has_as_many_cells_as_columns(folder: Path) -> None:
    for table in _tables((folder / "tables.tex").read_text(encoding="utf-8")):
        columns = table.count(r"\relax}")
        for line in table.splitlines():
            if line.endswith(r" \\") or line.startswith(r"\toprule"):
                assert len(re.findall(r"(?<!\\)&", line)) == columns - 1, line


def test_names_are_no_commands(folder: Path) -> None:
    text = (folder / "tables.tex").read_text(encoding="utf-8")
    hostile = r"\textless{}script\textgreater{}alert(1)\textless{}/\allowbreak{}script\textgreater{}"
    assert (
        hostile + r"\textquotedbl{}\textquotesingle{}\textbar{}\textasciigrave{}=cmd\allowbreak{}@torch"
        in text
    )
    assert "<script" not in text
    plain = re.sub(r"\\[\\{}]", "", text)
    assert plain.count("{") == plain.count("}")


@given(st.text(max_size=40))
def test_whatever_is_escaped_is_on_one_line_with_known_commands_only(text: str) -> None:
    written = escaped(text)
    assert "\n" not in written
    rest = re.sub(r"\\(text[a-z]+|ldots|ensuremath|allowbreak)\b|\\[{}$&#_%]|\{[-\[\]*]\}", "", written)
    rest = re.sub(r"\{\\(times|mu|to|le|ge|pm|cdot)\}|\{\^2\}|\{\}|\{-\}", "", rest)
    assert not set(rest) & set("\\$&#%{}~^_")


@pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="no pdflatex: apt install texlive-latex-recommended",
)
def test_latex_sets_it_without_an_error_and_within_the_line(folder: Path, tmp_path: Path) -> None:
    packages = r"\usepackage[T1]{fontenc} \usepackage{array,booktabs,longtable}"
    body = r"\begin{document} \input{tables.tex} \end{document}"
    shutil.copy(folder / "tables.tex", tmp_path)
    (tmp_path / "paper.tex").write_text(rf"\documentclass{{article}} {packages} {body}", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
    # The one name that TeX may not break is no name that anybody would give.
    assert all("script" in line for line in re.findall(r"Overfull \\hbox[^\n]*\n([^\n]*)", log))
