"""From which length on a variant costs less than the reference.

Between two measured lengths the ratio is taken to run straight on logarithmic axes. An interpolated
length is given only where both its neighbours are decided; otherwise all that can be said is between
which decided lengths it lies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from reports import formatting
from reports.comparison import Comparison
from reports.content import Block, Cell, Paragraph, Section, Table, columns
from reports.evidence import Evidence

_CHEAPER = {"time": "faster", "memory": "leaner", "energy": "less energy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """Where a candidate starts to cost less and stays so up to the longest length measured.

    `after` is the last length at which it was decidedly not cheaper, `by` the first from which it
    decidedly was; `length` lies between, where it can be interpolated.
    """

    implementation: str
    axis: str
    series: str
    environment: str
    answer: str
    length: float | None
    after: int | None
    by: int | None
    lengths: tuple[int, ...]


def render(evidence: Evidence) -> Section:
    """A row an implementation, a column a kind of work and a cost."""
    found = crossovers(evidence.comparisons)
    block: Block = Paragraph(text="No work was measured at more than one length.")
    if found:
        block = _table(found, evidence.results.mixed)
    data = [asdict(crossing) for crossing in found]
    return Section(name="crossover", title="Where a variant starts to pay", blocks=(block,), data=data)


def _table(found: Sequence[Crossover], mixed: bool) -> Table:
    works = list(dict.fromkeys((crossing.axis, crossing.series) for crossing in found))
    answers = {(c.environment, c.implementation, c.axis, c.series): c.answer for c in found}
    rows = tuple(
        (
            Cell(text=name, notes=(f"on {environment}",) if mixed else ()),
            *(_answer(answers.get((environment, name, *work))) for work in works),
        )
        for environment, name in dict.fromkeys((c.environment, c.implementation) for c in found)
    )
    heads = [f"{_CHEAPER[axis]}, {series}" for axis, series in works]
    caption = (
        "The length in tokens from which on a variant costs less than its reference, up to the longest "
        "measured. Interpolated on logarithmic axes where both neighbouring lengths are decided."
    )
    return Table(caption=caption, columns=columns("implementation", *heads), rows=rows)


def _answer(answer: str | None) -> Cell:
    return Cell(word="not measured") if answer is None else Cell(text=answer)


def crossovers(comparisons: Sequence[Comparison]) -> tuple[Crossover, ...]:
    """One for each candidate and kind of work that was compared at two lengths or more."""
    series: dict[tuple[str, str, str, str], list[Comparison]] = {}
    for comparison in comparisons:
        if comparison.axis in _CHEAPER and comparison.length:
            key = (comparison.axis, comparison.series, comparison.environment_id, comparison.implementation)
            series.setdefault(key, []).append(comparison)
    return tuple(
        _crossover(sorted(cells, key=lambda cell: cell.length)) for cells in series.values() if len(cells) > 1
    )


def _crossover(cells: Sequence[Comparison]) -> Crossover:
    first = cells[0]
    length, after, by, answer = locate(
        [cell.length for cell in cells],
        [cell.verdict.ratio or 1.0 for cell in cells],
        [cell.verdict.word for cell in cells],
    )
    return Crossover(
        implementation=first.implementation,
        axis=first.axis,
        series=first.series,
        environment=first.environment_id,
        answer=answer,
        length=length,
        after=after,
        by=by,
        lengths=tuple(cell.length for cell in cells),
    )


def locate(
    lengths: Sequence[int], ratios: Sequence[float], decided: Sequence[str]
) -> tuple[float | None, int | None, int | None, str]:
    """The interpolated length, the lengths it lies between, and the answer in words.

    `lengths` rise; `ratios` are candidate / reference at each, `decided` the verdicts' words.
    """
    span = f"{formatting.length(lengths[0])} to {formatting.length(lengths[-1])}"
    if all(word == "undecided" for word in decided):
        return None, None, None, f"undecided in the lengths measured ({span})"
    last_not = max((index for index, word in enumerate(decided) if word in ("worse", "same")), default=-1)
    better = [index for index, word in enumerate(decided) if word == "better" and index > last_not]
    if not better:
        return None, lengths[last_not], None, _never(decided, lengths, span)
    by = lengths[better[0]]
    if last_not < 0:
        if better[0] == 0:
            return None, None, by, f"at every length measured (from {formatting.length(by)})"
        return None, None, by, f"at or below {formatting.length(by)}"
    after = lengths[last_not]
    bracket = f"between {formatting.length(after)} and {formatting.length(by)}"
    if better[0] == last_not + 1 and ratios[last_not] > 1 > ratios[better[0]]:
        length = _interpolated((after, by), (ratios[last_not], ratios[better[0]]))
        return length, after, by, f"about {formatting.length(_two_digits(length))} ({bracket})"
    return None, after, by, bracket


def _never(decided: Sequence[str], lengths: Sequence[int], span: str) -> str:
    before = [length for length, word in zip(lengths, decided, strict=True) if word == "better"]
    if before:
        where = formatting.listed([formatting.length(length) for length in before])
        return f"only at {where}, not up to the longest"
    if "undecided" in decided:
        return f"not shown in the lengths measured ({span})"
    return f"never in the lengths measured ({span})"


def _interpolated(lengths: tuple[int, int], ratios: tuple[float, float]) -> float:
    """Where the straight line between two points on logarithmic axes meets a ratio of 1."""
    (x0, x1), (y0, y1) = map(math.log, lengths), map(math.log, ratios)
    return math.exp(x0 + (x1 - x0) * y0 / (y0 - y1))


def _two_digits(length: float) -> int:
    return int(round(length, 1 - math.floor(math.log10(length))))
