"""Cells and their verdicts, from effects that were measured: no process is started here.

An effect is one launch's log ratio candidate / baseline (times, memory), or one seed's mean difference
candidate - baseline over the same test examples (scores). A cell is screened first, over all cells at
once, and what seems to have changed is confirmed on fresh launches or seeds alone: those that raised the
suspicion were picked for being extreme, and would call a change too large, or one where there is none.

Errors: screening looks at `SCREENING_ALPHA`, spent over its looks, with Benjamini-Hochberg over all cells,
so that little is missed; confirming at `CONFIRMING_ALPHA` with Benjamini-Hochberg over the flagged cells
and without looks in between. Where nothing changed, the chance that a gate calls anything worse is below
half of `CONFIRMING_ALPHA`, however many cells there are: fresh launches alone hold it, and they must show
the direction that raised the suspicion.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Literal, TypeAlias

from bench.schema import Better, Verdict, VerdictWord
from bench.statistics import (
    benjamini_hochberg,
    decision_level,
    judge,
    judge_differences,
    look_schedule,
    p_value,
)

SCREENING_ALPHA = 0.05
CONFIRMING_ALPHA = 0.01
Kind: TypeAlias = Literal["time", "memory", "energy", "score", "certificate"]
Word: TypeAlias = VerdictWord | Literal["not_measured"]
SHOWN: Mapping[Kind, Mapping[str, str]] = {
    "time": {"worse": "slower", "better": "faster"},
    "memory": {"worse": "more", "better": "less"},
    "energy": {"worse": "more", "better": "less"},
    "score": {"worse": "worse", "better": "better"},
    "certificate": {"worse": "broken", "better": "mended"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One implementation's metric on one subject, candidate against baseline.

    `low` and `high` enclose `effect` at `level`: a ratio, or for scores a difference, in `unit`. `control` is
    the same effect of the reference in the same launches. `p` is the screening's, adjusted over all cells.
    `before` and `after` are typical values in `unit`, `evidence` is the number of launches or seeds behind
    the word, which `confirmed` says were fresh ones. An `unchanged` cell was not measured: both sides have
    one content key.
    """

    kind: Kind
    suite: str
    metric: str
    unit: str
    implementation: str
    subject: str
    better: Better = "lower"
    word: Word = "undecided"
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    margin: float = 0.0
    p: float | None = None
    control: float | None = None
    before: float | None = None
    after: float | None = None
    evidence: int = 0
    confirmed: bool = False
    unchanged: bool = False
    reason: str = ""

    @property
    def shown(self) -> str:
        """The word as people say it: slower, faster, same, undecided, not measured."""
        return SHOWN[self.kind].get(self.word, self.word.replace("_", " "))

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What tells a cell from all others."""
        return self.suite, self.metric, self.implementation, self.subject


@dataclass(slots=True, kw_only=True)
class Sample:
    """A cell's effects so far, by launch; `fresh` are those of the confirmation. `control` are the
    reference's own effects in the same launches, empty where there are none or it is the cell itself. What
    neither side supports is no cell at all."""

    cell: Cell
    planned: int
    effects: dict[int, float] = field(default_factory=dict)
    fresh: dict[int, float] = field(default_factory=dict)
    control: dict[int, float] = field(default_factory=dict)
    before: dict[int, float] = field(default_factory=dict)
    after: dict[int, float] = field(default_factory=dict)
    failure: str = ""
    unsupported: bool = False

    @property
    def difference(self) -> bool:
        """Whether effects are differences rather than log ratios."""
        return self.cell.kind == "score"


def _judged(sample: Sample, effects: Sequence[float], level: float) -> Verdict:
    if sample.difference:
        return judge_differences(effects, level=level, margin=sample.cell.margin, better=sample.cell.better)
    return judge(effects, level=level, margin=sample.cell.margin, better=sample.cell.better)


def verdict(sample: Sample, effects: Sequence[float], alpha: float) -> Verdict:
    """The verdict that these effects allow at the look they have come to."""
    return _judged(sample, effects, decision_level(max(len(effects), 1), sample.planned, alpha))


def settled(sample: Sample, *, fresh: bool = False) -> bool:
    """Whether no more launches are needed: the sample failed, has all of its launches, or in screening has
    its word at a scheduled look."""
    effects = list((sample.fresh if fresh else sample.effects).values())
    if sample.failure or len(effects) >= sample.planned:
        return True
    if fresh or len(effects) < 2 or len(effects) not in look_schedule(sample.planned):
        return False
    return verdict(sample, effects, SCREENING_ALPHA).word != "undecided"


def screen(samples: Sequence[Sample]) -> list[Cell]:
    """First words of all cells, with Benjamini-Hochberg over them; `flagged` says which must be confirmed."""
    tested = [sample for sample in samples if not sample.failure and len(sample.effects) >= 2]
    adjusted = benjamini_hochberg([p_value(list(sample.effects.values())) for sample in tested])
    p_of = {sample.cell.place: p for sample, p in zip(tested, adjusted, strict=True)}
    return [_screened(sample, p_of.get(sample.cell.place)) for sample in samples]


def _screened(sample: Sample, p: float | None) -> Cell:
    cell = _with_values(sample, sample.cell, sample.effects)
    if sample.failure:
        return replace(cell, word="not_measured", reason=sample.failure)
    effects = list(sample.effects.values())
    if effects == [0.0] and sample.difference:
        reason = "every example scored the same on both sides"
        return replace(cell, word="same", effect=0.0, evidence=1, reason=reason)
    found = verdict(sample, effects, SCREENING_ALPHA)
    cell = replace(_with(cell, found), p=p)
    if cell.word in ("worse", "better") and (p is None or p > SCREENING_ALPHA):
        return replace(cell, word="undecided", reason="a change alone, none among so many cells")
    return cell


def flagged(cells: Sequence[Cell]) -> list[Cell]:
    """The cells whose change must show again: those that a number has called worse or better."""
    return [c for c in cells if c.word in ("worse", "better") and c.kind != "certificate" and not c.unchanged]


def confirm(flagged_samples: Sequence[tuple[Sample, Cell]]) -> list[Cell]:
    """The last words on the flagged cells, from their fresh effects alone."""
    tested = [sample for sample, _ in flagged_samples if not sample.failure and len(sample.fresh) >= 2]
    adjusted = benjamini_hochberg([p_value(list(sample.fresh.values())) for sample in tested])
    p_of = {sample.cell.place: p for sample, p in zip(tested, adjusted, strict=True)}
    return [_confirmed(sample, cell, p_of.get(cell.place, 1.0)) for sample, cell in flagged_samples]


def _confirmed(sample: Sample, cell: Cell, p: float) -> Cell:
    if sample.failure:
        return replace(cell, word="not_measured", reason=f"seemed {cell.shown}; {sample.failure}")
    found = _judged(sample, list(sample.fresh.values()), 1 - CONFIRMING_ALPHA)
    again = replace(_with(_with_values(sample, cell, sample.fresh), found), p=p)
    if found.word == cell.word and p <= CONFIRMING_ALPHA:
        return replace(again, confirmed=True, reason="")
    if found.word == "same":
        return replace(again, reason=f"seemed {cell.shown}; fresh launches show no change")
    return replace(
        again, word="undecided", reason=f"seemed {cell.shown}, which fresh launches did not confirm"
    )


def _with(cell: Cell, found: Verdict) -> Cell:
    return replace(
        cell,
        word=found.word,
        effect=found.ratio,
        low=found.low,
        high=found.high,
        level=found.level,
        evidence=found.launches,
        reason=found.reason,
    )


def _with_values(sample: Sample, cell: Cell, launches: Iterable[int]) -> Cell:
    """The cell with what was seen beside the effects of these launches."""
    seen = list(launches)
    control = [sample.control[launch] for launch in seen if launch in sample.control]
    return replace(
        cell,
        control=math.exp(fmean(control)) if control else None,
        before=_typical(sample.before, seen),
        after=_typical(sample.after, seen),
    )


def _typical(values: Mapping[int, float], launches: Iterable[int]) -> float | None:
    seen = [values[launch] for launch in launches if launch in values]
    return median(seen) if seen else None


def certified(
    baseline: Mapping[str, tuple[str, str]], candidate: Mapping[str, tuple[str, str]], blank: Cell
) -> list[Cell]:
    """One cell a property, from (status, reason) of each on either side: facts, with no interval.

    A property that no longer holds is worse; one that holds for the first time is better; one that one side
    does not claim is undecided; one that could be settled on neither side is left out.
    """
    cells: list[Cell] = []
    for name in dict.fromkeys((*baseline, *candidate)):
        before, after = baseline.get(name), candidate.get(name)
        word, reason = _fact(before, after)
        if word:
            cells.append(
                replace(
                    blank, metric=name, word=word, reason=reason, before=_held(before), after=_held(after)
                )
            )
    return cells


def _held(told: tuple[str, str] | None) -> float | None:
    return {"ok": 1.0, "failed": 0.0}.get(told[0]) if told else None


def _fact(before: tuple[str, str] | None, after: tuple[str, str] | None) -> tuple[Word | None, str]:
    states = tuple(told[0] if told else "not claimed" for told in (before, after))
    if states[0] == states[1]:
        same = "holds on both sides" if states[0] == "ok" else "fails on both sides"
        return ("same", same) if states[0] in ("ok", "failed") else (None, "")
    if states == ("ok", "failed"):
        return "worse", after[1] if after else ""
    if states == ("failed", "ok"):
        return "better", "holds now"
    if "ok" not in states and "failed" not in states:
        return None, ""
    return "undecided", f"baseline: {states[0]}; candidate: {states[1]}"
