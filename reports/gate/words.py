"""A gate's cells in words and figures, the same in every format."""

from __future__ import annotations

from bench.gate.cells import Cell
from bench.gate.result import GateResult
from reports.formatting import plural, quantity

ORDER = ("worse", "not_measured", "undecided", "better", "same")
# How many regressions are named before the table.
FIRST = 3


def counted(result: GateResult) -> str:
    """How many cells have which word."""
    unchanged = sum(cell.unchanged for cell in result.cells)
    told = [f"{len(result.words(word))} {word.replace('_', ' ')}" for word in ORDER if result.words(word)]
    text = f"{plural(len(result.cells), 'cell')}: {', '.join(told) or 'none'}."
    return f"{text} {unchanged} of them did not change and were not measured." if unchanged else text


def percent(ratio: float) -> str:
    """A ratio as a change: "+3.1%"."""
    return f"{100 * (ratio - 1):+.1f}%".replace("-", "−")


def points(difference: float, unit: str) -> str:
    """A difference of a score: in points of a hundred for fractions, in its own unit otherwise."""
    if unit == "fraction":
        return f"{100 * difference:+.2f} points".replace("-", "−")
    return quantity(difference, unit, signed=True)


def change(cell: Cell) -> str:
    """The effect as people say it; empty without one."""
    if cell.effect is None:
        return ""
    return points(cell.effect, cell.unit) if cell.kind == "score" else percent(cell.effect)


def interval(cell: Cell) -> str:
    """Both ends of the interval; empty without one."""
    if cell.low is None or cell.high is None:
        return ""
    ends = [points(end, cell.unit) if cell.kind == "score" else percent(end) for end in (cell.low, cell.high)]
    return f"{ends[0]} to {ends[1]}"


def value(cell: Cell, number: float | None) -> str:
    """A typical value in its unit; a certificate's says whether it holds."""
    if number is None:
        return ""
    return ("fails", "holds")[int(number)] if cell.kind == "certificate" else quantity(number, cell.unit)


def evidence(cell: Cell) -> str:
    """How much the word rests on."""
    if cell.kind == "certificate":
        return "shown twice" if cell.confirmed else "proven once"
    if not cell.evidence:
        return ""
    told = plural(cell.evidence, "seed" if cell.kind == "score" else "launch")
    return f"{told}, fresh" if cell.confirmed else told


def sentence(cell: Cell) -> str:
    """A cell in a sentence."""
    if cell.kind == "certificate":
        return f"{cell.metric} {cell.shown}: {cell.reason}"
    control = "" if cell.control is None else f"; the reference beside it {percent(cell.control)}"
    return f"{cell.metric} {change(cell)} ({interval(cell)}), {cell.shown}; {evidence(cell)}{control}"
