r"""`tables.tex`: every table of the report in LaTeX's booktabs style, for a paper's appendix.

A fragment for ``\input``: the preamble needs ``booktabs``, ``longtable``, ``array`` and, under pdfLaTeX,
``[T1]{fontenc}``. Long tables break over pages; columns of words share the width of the line. Nothing in a
name is a command: every character with a meaning is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reports.content import Block, Cell, Group, Section, Table
from reports.page import Report, write_whole

_NEEDED = r"""% Made by attnbench; \input this file. It needs in the preamble:
%   \usepackage[T1]{fontenc} \usepackage{array,booktabs,longtable}
% Wide tables: set them in a landscape page, or smaller.
"""
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_",
    "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}", "-": "{-}", "×": r"\ensuremath{\times}", "−": r"\ensuremath{-}",
    "µ": r"\ensuremath{\mu}", "→": r"\ensuremath{\to}", "≤": r"\ensuremath{\le}", "≥": r"\ensuremath{\ge}",
    "…": r"\ldots{}", "“": "``", "”": "''", "²": r"\ensuremath{^2}", "±": r"\ensuremath{\pm}",
    "·": r"\ensuremath{\cdot}",
    "[": "{[}", "]": "{]}", "*": "{*}", "@": "@",
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
    heads = " & ".join(rf"\textbf{{{escaped(column.title)}}}" for column in table.columns)
    caption = ": ".join(filter(None, (title, table.caption)))
    yield ""
    yield r"{\footnotesize\setlength{\tabcolsep}{3pt}"
    yield rf"\begin{{longtable}}{{{_places(table)}}}"
    yield rf"\caption{{{escaped(caption)}}}\\"
    yield rf"\toprule {heads} \\ \midrule \endfirsthead"
    yield rf"\toprule {heads} \\ \midrule \endhead"
    yield r"\bottomrule \endfoot"
    for row in table.rows:
        yield " & ".join(map(_cell, row)) + r" \\"
    yield r"\end{longtable}}"


def _places(table: Table) -> str:
    """Columns that share the line's width; numbers to the right, words ragged."""
    share = 0.97 / len(table.columns)
    return "".join(
        rf">{{\{'raggedleft' if column.numeric else 'raggedright'}\arraybackslash}}p{{{share:.3f}\linewidth}}"
        for column in table.columns
    )


def _cell(cell: Cell) -> str:
    """The word in bold, the figure, and what stands under it on lines of its own."""
    word = rf"\textbf{{{escaped(cell.word.replace('_', ' '))}}}" if cell.word else ""
    head = " ".join(filter(None, (word, escaped(cell.text))))
    mark = rf"\emph{{{escaped(cell.mark)}}}" if cell.mark else ""
    return r" \newline ".join(filter(None, (head, *map(escaped, cell.notes), mark)))
