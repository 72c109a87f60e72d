"""The order of variants by price, and whether the evidence tells neighbours apart.

Only variants that give the same functional unit are ordered: same score as the reference or better, as far
as seeds can tell. Energy that nobody read from a meter is never ordered by.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.schema import Verdict
from bench.statistics import judge
from reports import formatting
from reports.audit.cases import Case
from reports.audit.prices import Price
from reports.directions import is_control

ADDS_NOTHING = (
    "Energy here was not read from any meter: it is time multiplied by a power that was modelled. It adds "
    "nothing to latency, and this audit refuses to rank variants on it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Two that follow one another in the order; `verdict` is `cheaper` against `dearer`."""

    cheaper: str
    dearer: str
    verdict: Verdict

    @property
    def told_apart(self) -> bool:
        """Whether the interval of their ratio leaves out 1."""
        return self.verdict.word == "better"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """`order` is cheapest first; `left_out` names the others with the reason. With a `refusal` nothing is
    ordered."""

    order: tuple[str, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""


def rank(case: Case, found: Mapping[str, Price], margin: float) -> Ranking:
    """The order of the case's variants by what one functional unit costs."""
    left_out = {name: reason for name, price in found.items() if (reason := _unfit(case, price))}
    fit = [price for name, price in found.items() if name not in left_out]
    if not fit and any(not price.reading.read for price in found.values()):
        return Ranking(left_out=left_out, refusal=ADDS_NOTHING)
    if len({len(price.deciding) and bool(price.total) for price in fit}) > 1:
        return Ranking(left_out=left_out, refusal="Embodied carbon is known for some variants only.")
    fit.sort(key=lambda price: price.estimate(price.deciding).mean)
    pairs = list(itertools.pairwise(fit))
    level = 1 - case.alpha / max(1, len(pairs))
    return Ranking(
        order=tuple(price.name for price in fit),
        neighbours=tuple(_neighbours(one, other, level, margin) for one, other in pairs),
        left_out=left_out,
    )


def _unfit(case: Case, price: Price) -> str:
    """Why a variant is not ordered; empty for one that is."""
    if not price.reading.read:
        return f"its energy is {price.reading.method}: it adds nothing to latency"
    if is_control(price.name.rpartition("@")[0]):
        return "a control, not a choice"
    if price.name not in case.scores:
        return "its score on the task was not measured, so its functional unit has no stated accuracy"
    verdict = case.against_reference(price.name)
    if price.name != case.reference and verdict is not None and verdict.word == "worse":
        gap = formatting.quantity(verdict.ratio, case.scores[price.name].unit, signed=True)
        return f"it scores worse than {case.reference} ({gap}): another functional unit"
    return ""


def _neighbours(cheaper: Price, dearer: Price, level: float, margin: float) -> Neighbours:
    effects = list(_log_ratios(cheaper.deciding, dearer.deciding))
    verdict = judge(effects, level=level, margin=margin, better="lower")
    return Neighbours(cheaper=cheaper.name, dearer=dearer.name, verdict=verdict)


def _log_ratios(one: Sequence[float], other: Sequence[float]) -> Iterator[float]:
    """Paired by window (or launch); of unequal arms nothing can be paired."""
    if len(one) == len(other) and min(*one, *other) > 0:
        yield from (math.log(mine / theirs) for mine, theirs in zip(one, other, strict=True))


def in_words(pair: Neighbours) -> str:
    """ "12.0% less than linear@torch (10.1% to 13.9%)", or that they are not told apart."""
    verdict = pair.verdict
    if verdict.ratio is None or verdict.low is None or verdict.high is None:
        return f"not compared with {pair.dearer}: {verdict.reason}"
    less, most, least = (1 - ratio for ratio in (verdict.ratio, verdict.low, verdict.high))
    interval = f"{least:.1%} to {most:.1%}".replace("-", "−")
    if pair.told_apart:
        return f"{less:.1%} less than {pair.dearer} ({interval})"
    word = "the same as" if verdict.word == "same" else "not told apart from"
    return f"{word} {pair.dearer} (difference {interval})"
