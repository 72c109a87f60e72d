"""What a view answers: a section made of blocks, free of HTML and of Markdown.

Every text in here is plain text. The writers escape it for their own format, so a view never can
let a name that a user chose become markup. The one exception is `Plot.svg`, which only
`reports.pictures.drawing` makes, from text that matplotlib has escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from reports.comparison import Comparison
from reports.evidence import Evidence
from reports.figure import Figure
from reports.pictures.charts import Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: `word` is a verdict or a status, `text` the figure, `notes` small lines under it,
    `mark` a warning such as "provisional".

    `source` is the figure or comparison that it shows: its address on the page, and the way to its raw
    values. `number` is what it is sorted by where it has no source, in its column's unit.
    """

    text: str = ""
    word: str = ""
    notes: tuple[str, ...] = ()
    mark: str = ""
    source: Figure | Comparison | None = None
    number: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's heading; the cells of a `numeric` one are aligned to the right."""

    title: str
    numeric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under headings; the first cell of a row is its heading."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Running text; a `warning` must not be missed."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list of short lines, each with the words it starts with."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer in short: under its title a verdict's or status's `word`, what it is (`text`), small lines.

    `target` is the name of the section that holds its figures, `source` the cell itself where it is one.
    """

    title: str
    text: str
    word: str = ""
    notes: tuple[str, ...] = ()
    target: str = ""
    source: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Answers side by side."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing and the sentence that says what it shows to who cannot see it; `chart` is what it was drawn
    from, where its points have values to tell."""

    title: str
    svg: str
    description: str
    chart: Chart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Text kept to the letter: a command, the end of a worker's output."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Blocks under a heading that can be folded; `opened` says how it starts."""

    title: str
    blocks: tuple[Block, ...]
    opened: bool = False


Block: TypeAlias = Table | Paragraph | Items | Answers | Plot | Listing | Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A view's answer. `data` is the same content as plain data, for `report.json`."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What writers of HTML and Markdown need, with nothing behind it: an audit's, a gate's."""

    title: str
    lead: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]


class Told(Protocol):
    """What writers of HTML and Markdown ask of a document; a report of runs holds more."""

    @property
    def title(self) -> str: ...

    @property
    def lead(self) -> tuple[tuple[str, str], ...]: ...

    @property
    def warnings(self) -> tuple[str, ...]: ...

    @property
    def sections(self) -> tuple[Section, ...]: ...


Render: TypeAlias = Callable[[Evidence], Section]


def columns(*titles: str) -> tuple[Column, ...]:
    """Headings from titles; one that ends in " #" is numeric and loses the sign."""
    return tuple(Column(title=title.removesuffix(" #"), numeric=title.endswith(" #")) for title in titles)


def words(*texts: str) -> tuple[Cell, ...]:
    """A row of plain cells."""
    return tuple(Cell(text=text) for text in texts)
