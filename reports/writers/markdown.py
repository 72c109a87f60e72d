"""`report.md`: the same content for a terminal, a pull request or a diff. Drawings are told in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from reports.content import (
    Answer,
    Answers,
    Block,
    Cell,
    Group,
    Items,
    Listing,
    Paragraph,
    Plot,
    Section,
    Table,
    Told,
)
from reports.page import Report, write_whole

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


def write(report: Report, folder: Path) -> Path:
    """`report.md` in `folder`."""
    return write_whole(folder / "report.md", told(report))


def told(document: Told) -> str:
    """A whole document as Markdown."""
    return "\n".join(_lines(document)).rstrip() + "\n"


def escaped(text: str) -> str:
    """Text as Markdown shows it: nothing in it is markup, and it stays on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _lines(report: Told) -> Iterator[str]:
    yield f"# {escaped(report.title)}"
    yield ""
    for warning in report.warnings:
        yield f"> **{escaped(warning)}**"
        yield ""
    yield from _items(Items(items=report.lead))
    for section in report.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield f"## {escaped(section.title)}"
    yield ""
    for block in section.blocks:
        yield from _block(block, 3)


def _block(block: Block, depth: int) -> Iterator[str]:
    if isinstance(block, Group):
        yield f"{'#' * depth} {escaped(block.title)}"
        yield ""
        for inner in block.blocks:
            yield from _block(inner, depth + 1)
    elif isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Paragraph):
        yield f"> **{escaped(block.text)}**" if block.warning else escaped(block.text)
        yield ""
    elif isinstance(block, Items):
        yield from _items(block)
    elif isinstance(block, Answers):
        yield from _items(Items(items=tuple((answer.title, _answer(answer)) for answer in block.answers)))
    elif isinstance(block, Plot):
        yield f"**{escaped(block.title)}** (plot in the HTML page). {escaped(block.description)}"
        yield ""
    else:
        yield from _listing(block)


def _items(block: Items) -> Iterator[str]:
    for title, text in block.items:
        yield f"- **{escaped(title)}**: {escaped(text)}"
    yield ""


def _answer(answer: Answer) -> str:
    """The answer on one line."""
    return "; ".join(filter(None, (answer.text, *answer.notes)))


def _table(table: Table) -> Iterator[str]:
    yield f"*{escaped(table.caption)}*"
    yield ""
    yield f"| {' | '.join(escaped(column.title) for column in table.columns)} |"
    yield f"| {' | '.join('---:' if column.numeric else '---' for column in table.columns)} |"
    for row in table.rows:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"
    yield ""


def _cell(cell: Cell) -> str:
    word = f"**{escaped(cell.word)}**" if cell.word else ""
    mark = f"*{escaped(cell.mark)}*" if cell.mark else ""
    head = " ".join(filter(None, (word, escaped(cell.text))))
    return "<br>".join(filter(None, (head, *map(escaped, cell.notes), mark)))


def _listing(block: Listing) -> Iterator[str]:
    """A fence longer than any that the text holds, so that the text cannot close it."""
    longest = max((len(run) for run in re.findall(r"`+", block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{escaped(block.title)}:"
    yield ""
    yield f"{fence}text"
    yield block.text
    yield fence
    yield ""
