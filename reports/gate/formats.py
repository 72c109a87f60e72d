"""A gate for a pull request (`comment.md`) and for a CI server (`junit.xml`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree

from bench.gate.cells import Cell
from bench.gate.result import GateResult
from bench.gate.sides import SIDES
from reports.gate import words as told
from reports.writers.markdown import escaped

# A comment on GitHub holds 65,536 characters.
MOST_ROWS = 100
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def comment(result: GateResult) -> str:
    """Markdown: the answer, the first regressions by name, a table of what is not the same."""
    return "\n".join(_comment(result)).rstrip() + "\n"


def _comment(result: GateResult) -> Iterator[str]:
    yield f"## attnbench gate: {escaped(result.headline)}"
    yield ""
    if result.failure:
        yield f"> **{escaped(result.failure)}**"
        yield ""
    worse = result.words("worse")
    for number, cell in enumerate(worse[: told.FIRST], 1):
        what = f"**{escaped(cell.implementation)}** on {escaped(cell.subject)}"
        yield f"{number}. {what}: {escaped(told.sentence(cell))}"
    if worse:
        yield ""
    yield f"{escaped(told.counted(result))}"
    yield ""
    rows = [cell for word in told.ORDER for cell in result.words(word) if not _goes_without_saying(cell)]
    if rows:
        yield from _table(rows[:MOST_ROWS])
        if len(rows) > MOST_ROWS:
            yield f"… and {len(rows) - MOST_ROWS} more in the page."
        yield ""
    for moved in result.moved:
        yield f"> The reference's unchanged code seemed changed: {escaped(moved)}."
    for note in result.notes:
        yield f"- not compared: {escaped(note)}"
    yield ""
    sides = " → ".join(escaped(result.titles[name]) for name in SIDES)
    yield f"<sub>{sides}; margin {result.margin:.1%}</sub>"


def _goes_without_saying(cell: Cell) -> bool:
    """What was not measured, and certificates that hold as before."""
    return cell.word == "same" and (cell.unchanged or cell.kind == "certificate")


def _table(cells: list[Cell]) -> Iterator[str]:
    yield "| | what | on | change | interval | control | evidence |"
    yield "| --- | --- | --- | ---: | ---: | ---: | --- |"
    for cell in cells:
        control = "" if cell.control is None else told.percent(cell.control)
        texts = (
            f"**{escaped(cell.shown)}**",
            escaped(f"{cell.implementation}, {cell.metric}"),
            escaped(cell.subject),
            told.change(cell),
            told.interval(cell),
            control,
            escaped("; ".join(filter(None, (told.evidence(cell), cell.reason)))),
        )
        yield f"| {' | '.join(texts)} |"


def junit(result: GateResult) -> str:
    """JUnit XML: worse is a failure, not measured an error, undecided a skipped test with its reason."""
    words = {word: len(result.words(word)) for word in told.ORDER}
    count = {
        "tests": str(max(len(result.cells), 1)),
        "failures": str(words["worse"]),
        "errors": str(words["not_measured"] + (not result.cells)),
        "skipped": str(words["undecided"]),
        "time": f"{_seconds(result):.0f}",
    }
    suites = ElementTree.Element("testsuites", {"name": "attnbench gate", **count})
    suite = ElementTree.SubElement(
        suites, "testsuite", {"name": "attnbench gate", "timestamp": result.started_at, **count}
    )
    for cell in result.cells:
        _case(suite, cell)
    if not result.cells:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": "gate", "name": "measured", "time": "0"}
        )
        reason = result.failure or "nothing could be compared"
        ElementTree.SubElement(case, "error", {"message": _plain(reason)}).text = _plain(reason)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, cell: Cell) -> None:
    name = f"{cell.implementation} {cell.subject}"
    place = {"classname": _plain(f"{cell.suite}.{cell.metric}"), "name": _plain(name), "time": "0"}
    case = ElementTree.SubElement(suite, "testcase", place)
    kind = {"worse": "failure", "not_measured": "error", "undecided": "skipped"}.get(cell.word)
    if kind:
        text = told.sentence(cell) if cell.effect is not None or cell.kind == "certificate" else cell.reason
        ElementTree.SubElement(case, kind, {"message": _plain(cell.reason or text)}).text = _plain(text)


def _plain(text: str) -> str:
    """Text without what XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)


def _seconds(result: GateResult) -> float:
    ended, started = (datetime.fromisoformat(text) for text in (result.finished_at, result.started_at))
    return (ended - started).total_seconds()
