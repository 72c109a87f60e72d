r"""`tables.tex`: every table of the report in LaTeX's booktabs style, for a paper's appendix.

A fragment for ``\input``: the preamble needs ``booktabs``, ``longtable``, ``array`` and, under pdfLaTeX,
``[T1]{fontenc}``. Long tables break over pages, wide ones into several that repeat the first column; columns
share the width of the line. Nothing in a name is a command: every character with a meaning is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from reports.content import Block, Cell, Group, Section, Table
from reports.page import Report, write_whole

_NEEDED = r"""% Made by attnbench; \input this file. It needs in the preamble:
%   \usepackage[T1]{fontenc} \usepackage{array,booktabs,longtable}
"""
MOST_COLUMNS = 6
"""What a line of a paper holds, the first column counted."""
_FIRST = 1.3
"""How much wider than the others the first column is: it holds names."""
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_\allowbreak{}",
    "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}", "-": "{-}", "×": r"\ensuremath{\times}", "−": r"\ensuremath{-}",
    "µ": r"\ensuremath{\mu}", "→": r"\ensuremath{\to}", "≤": r"\ensuremath{\le}", "≥": r"\ensuremath{\ge}",
    "…": r"\ldots{}", "“": "``", "”": "''", "²": r"\ensuremath{^2}", "±": r"\ensuremath{\pm}",
    "·": r"\ensuremath{\cdot}",
    "[": "{[}", "]": "{]}", "*": "{*}", "@": r"\allowbreak{}@",
    "/": r"/\allowbreak{}",
}  # fmt: skip


def write(report: Report, folder: Path) -> Path:
    """`tables.tex` in `folder`."""
    return write_whole(folder / "tables.tex", "\n".join(_lines(report)) + "\n")


def escaped(text: str) -> str:
    """Text as LaTeX shows it: no character of it is a command, and it stays on one line."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return "".join(_ESCAPES.get(character, character) for character in plain)


def _lines(report: Report) -> Iterator[str]:
    yield _NEEDED
    yield f"% {' '.join(report.title.split())}"
    for section in report.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    tables = [found for block in section.blocks for found in _tables(block, "")]
    if tables:
        yield ""
        yield rf"\subsection*{{{escaped(section.title)}}}"
    for title, table in tables:
        yield from _table(title, table)


def _tables(block: Block, title: str) -> Iterator[tuple[str, Table]]:
    if isinstance(block, Table):
        yield title, block
    elif isinstance(block, Group):
        for inner in block.blocks:
            yield from _tables(inner, block.title)


def _table(title: str, table: Table) -> Iterator[str]:
    caption = ": ".join(filter(None, (title, table.caption)))
    parts = _parts(len(table.columns))
    for number, places in enumerate(parts, 1):
        part = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
        yield from _part(caption + part, table, places)


def _parts(columns: int) -> list[list[int]]:
    """The columns of each table that a wide one is set as: the first in all of them, the others shared
    evenly."""
    others = range(1, columns)
    count = max(1, math.ceil(len(others) / (MOST_COLUMNS - 1)))
    size = math.ceil(len(others) / count)
    return [[0, *others[start : start + size]] for start in range(0, max(1, len(others)), max(1, size))]


def _part(caption: str, table: Table, places: Sequence[int]) -> Iterator[str]:
    heads = " & ".join(rf"\textbf{{{escaped(table.columns[place].title)}}}" for place in places)
    yield ""
    yield r"{\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\linewidth}"
    yield rf"\begin{{longtable}}{{{''.join(_columns(table, places))}}}"
    yield rf"\caption{{{escaped(caption)}}}\\"
    yield rf"\toprule {heads} \\ \midrule \endfirsthead"
    yield rf"\toprule {heads} \\ \midrule \endhead"
    yield r"\bottomrule \endfoot"
    for row in table.rows:
        yield " & ".join(_cell(row[place]) for place in places) + r" \\"
    yield r"\end{longtable}}"


def _columns(table: Table, places: Sequence[int]) -> Iterator[str]:
    """Columns that share the line's width; numbers to the right, words ragged. The space of no width lets
    TeX hyphenate a cell's first word."""
    share = 0.999 / (len(places) - 1 + _FIRST)
    for place in places:
        side = "raggedleft" if table.columns[place].numeric else "raggedright"
        width = share if place else share * _FIRST
        paragraph = rf"p{{\dimexpr {width:.4f}\linewidth-2\tabcolsep\relax}}"
        yield rf">{{\{side}\hspace{{0pt}}\arraybackslash}}" + paragraph


def _cell(cell: Cell) -> str:
    """The word in bold, the figure, and what stands under it on lines of its own."""
    word = rf"\textbf{{{escaped(cell.word.replace('_', ' '))}}}" if cell.word else ""
    head = " ".join(filter(None, (word, escaped(cell.text))))
    mark = rf"\emph{{{escaped(cell.mark)}}}" if cell.mark else ""
    return r" \newline ".join(filter(None, (head, *map(escaped, cell.notes), mark)))
