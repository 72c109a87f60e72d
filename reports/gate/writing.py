"""A gate's report: what changed between two versions, written for a page, a pull request, a CI server and
scripts.

The cells come judged from `bench.gate`; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import wire
from bench.gate.cells import Cell as Judged
from bench.gate.result import GateResult
from reports.content import Block, Cell, Document, Items, Listing, Paragraph, Section, Table, columns
from reports.formatting import moment, plural
from reports.gate.formats import comment, junit
from reports.gate.words import FIRST, ORDER, change, counted, evidence, interval, percent, sentence, value
from reports.page import write_whole
from reports.writers import html

_HEADINGS = columns(
    "What", "On", "Verdict", "Change #", "Interval #", "Before #", "After #", "Control #", "Evidence"
)


def write(result: GateResult, folder: Path) -> list[Path]:
    """`index.html`, `comment.md`, `junit.xml` and `gate.json` in the folder, each replaced as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    told = build(result)
    data = wire.pretty({**wire.plain(result), "exit_code": result.exit_code, "headline": result.headline})
    return [
        html.write(told, folder),
        write_whole(folder / "comment.md", comment(result)),
        write_whole(folder / "junit.xml", junit(result)),
        write_whole(folder / "gate.json", data.decode()),
    ]


def build(result: GateResult) -> Document:
    """The page in memory."""
    return Document(
        title=f"Gate: {result.headline.lower()}",
        lead=(
            ("Baseline", result.titles["baseline"]),
            ("Candidate", result.titles["candidate"]),
            ("Measured", f"{moment(result.started_at)} to {moment(result.finished_at)}"),
        ),
        warnings=tuple(_warnings(result)),
        sections=(_answer(result), _every_cell(result), _trust(result), _left_out(result)),
    )


def _warnings(result: GateResult) -> Iterator[str]:
    if result.failure:
        yield f"Nothing was measured: {result.failure}"
    missing = len(result.words("not_measured"))
    if missing:
        yield f"{plural(missing, 'cell')} could not be measured: neither fine nor worse."
    for moved in result.moved:
        yield f"The reference's unchanged code seemed changed, so changes beside it are undecided: {moved}."
    for line in result.environments:
        yield f"The two environments differ: {line}"


def _answer(result: GateResult) -> Section:
    worse = result.words("worse")
    items = tuple((f"{cell.implementation}, {cell.subject}", sentence(cell)) for cell in worse[:FIRST])
    blocks: list[Block] = [Paragraph(text=f"{result.headline}. {counted(result)}", warning=bool(worse))]
    if items:
        blocks.append(Items(items=items))
    return Section(name="answer", title="The answer", blocks=tuple(blocks))


def _every_cell(result: GateResult) -> Section:
    shown = [cell for word in ORDER for cell in result.words(word) if not cell.unchanged]
    hidden = [cell for cell in result.cells if cell.unchanged]
    table = Table(
        caption=f"Candidate against baseline; same within {result.margin:.1%}, scores within their own",
        columns=_HEADINGS,
        rows=tuple(map(_row, shown)),
    )
    blocks: list[Block] = [table] if shown else []
    if hidden:
        names = sorted({cell.implementation for cell in hidden})
        blocks.append(
            Paragraph(text=f"Not measured again, because nothing they depend on changed: {', '.join(names)}.")
        )
    return Section(name="cells", title="Every cell", blocks=tuple(blocks))


def _row(cell: Judged) -> tuple[Cell, ...]:
    return (
        Cell(text=cell.implementation, notes=(f"{cell.suite}, {cell.metric}",)),
        Cell(text=cell.subject),
        Cell(word=cell.shown, notes=(cell.reason,) if cell.reason else ()),
        Cell(text=change(cell)),
        Cell(text=interval(cell)),
        Cell(text=value(cell, cell.before)),
        Cell(text=value(cell, cell.after)),
        Cell(text="" if cell.control is None else percent(cell.control)),
        Cell(text=evidence(cell)),
    )


def _trust(result: GateResult) -> Section:
    lines = [
        (
            "Design",
            f"{plural(result.launches, 'launch')} a time, both versions alive and pinned to the same "
            f"{plural(result.threads, 'core')}, called in balanced random turns; "
            "as many fresh launches for what seemed changed",
        ),
    ]
    if result.scatter is not None:
        lines.append(
            (
                "Noise",
                f"a launch's ratio of the reference to itself scatters by {result.scatter:.2%} "
                f"({plural(result.scatter_launches, 'launch')})",
            )
        )
    blocks = (Items(items=tuple(lines)), Listing(title="Command", text=result.command))
    return Section(name="trust", title="How far to trust this", blocks=blocks)


def _left_out(result: GateResult) -> Section:
    notes: Sequence[str] = result.notes or ("Nothing.",)
    blocks = tuple(Paragraph(text=note) for note in notes)
    return Section(name="left_out", title="What was not compared", blocks=blocks)


def lines(result: GateResult, count: int) -> Iterator[str]:
    """The answer for a terminal: at most `count` cells that are not the same."""
    yield counted(result)
    told = [cell for word in ORDER[:-1] for cell in result.words(word)]
    for cell in told[:count]:
        what = f"{cell.implementation}  {cell.subject}  {cell.metric}"
        figures = f"  {change(cell)} ({interval(cell)})" if cell.effect is not None else ""
        yield f"  {cell.shown:13}{what}{figures}" + (f"  [{cell.reason}]" if cell.reason else "")
    if len(told) > count:
        yield f"  … and {len(told) - count} more"
