"""Each variant against the reference under the strongest attack of each family.

Over two seeds or more the unit is the seed, as for every score. Where one seed was attacked the evidence is
its test examples, paired: McNemar's exact test and the score interval of the difference (`bench.paired`).
Benjamini and Hochberg's correction runs over all cells of all tasks; `same` is claimed only where the whole
interval lies within the margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeAlias

from bench.paired import judge_pairs
from bench.schema import Verdict
from bench.statistics import benjamini_hochberg, judge_differences, p_value
from reports.attacked import Attacked, AttackedTask, conclusive, strongest
from reports.examples import Paired, paired
from reports.frame import Results

MARGIN = 0.02
"""Accuracy under attack that counts as none, where the run's manifest names no other margin."""

Place: TypeAlias = tuple[str, str, str, str]
"""Environment, task, family of attacks and implementation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackVerdict:
    """`mine` and `theirs` are the strongest attack on the candidate and the one on the reference, each of
    those that are conclusive for both; `pair` their examples, `p` the test's before the correction."""

    reference: str
    mine: Attacked
    theirs: Attacked
    pair: Paired
    verdict: Verdict
    p: float
    adjusted_p: float = 1.0

    @property
    def seeds(self) -> int:
        """How many trainings of both were attacked."""
        return len(self.pair.trainings)


def judge_attacks(tasks: Sequence[AttackedTask], results: Results) -> dict[Place, AttackVerdict]:
    """All cells that have a reference, corrected for how many there are."""
    level = 1 - results.score_alpha
    margin = results.score_margins.get("robust_accuracy", MARGIN)
    found = {place: one for task in tasks for place, one in _judged(task, level, margin)}
    adjusted = benjamini_hochberg([one.p for one in found.values()])
    return {
        place: _in_company(one, p, results.score_alpha, len(found))
        for (place, one), p in zip(found.items(), adjusted, strict=True)
    }


def _judged(task: AttackedTask, level: float, margin: float) -> Iterator[tuple[Place, AttackVerdict]]:
    for implementation, role in task.roles.items():
        reference = task.reference(implementation)
        if role == "reference" or reference is None:
            continue
        for family in task.families:
            arms = _arms(task, family, implementation, reference)
            pair = paired(arms[0].right, arms[1].right) if arms else None
            if arms is not None and pair is not None:
                verdict, p = _verdict(*arms, pair, level, margin)
                place = (task.environment, task.task, family, implementation)
                yield (
                    place,
                    AttackVerdict(
                        reference=reference, mine=arms[0], theirs=arms[1], pair=pair, verdict=verdict, p=p
                    ),
                )


def _arms(
    task: AttackedTask, family: str, implementation: str, reference: str
) -> tuple[Attacked, Attacked] | None:
    """The strongest attack on either, out of what is conclusive for both: an attack that is believed on one
    side only would make the other side look robust."""
    mine = {one.subject: one for one in conclusive(task.of(implementation, family))}
    theirs = {one.subject: one for one in conclusive(task.of(reference, family))}
    shared = mine.keys() & theirs.keys()
    first = strongest([mine[subject] for subject in mine if subject in shared])
    other = strongest([theirs[subject] for subject in theirs if subject in shared])
    return (first, other) if first is not None and other is not None else None


def _verdict(
    mine: Attacked, theirs: Attacked, pair: Paired, level: float, margin: float
) -> tuple[Verdict, float]:
    if len(pair.trainings) > 1:
        effects = _by_training(mine, theirs, pair)
        return judge_differences(effects, level=level, margin=margin, better="higher"), p_value(effects)
    only_it, only_reference = pair.only_it or 0, pair.only_reference or 0
    verdict = judge_pairs(only_it, only_reference, len(pair.differences), level=level, margin=margin)
    return verdict, pair.p if pair.p is not None else 1.0


def _by_training(mine: Attacked, theirs: Attacked, pair: Paired) -> list[float]:
    return [fmean(mine.right[key]) - fmean(theirs.right[key]) for key in pair.trainings]


def _in_company(one: AttackVerdict, p: float, alpha: float, cells: int) -> AttackVerdict:
    if one.verdict.word not in ("better", "worse") or p <= alpha:
        return replace(one, adjusted_p=p)
    reason = (
        f"it differs on its own, but among {cells} cells such a difference is expected by chance "
        f"(adjusted p {p:.2g}, above {alpha:g})"
    )
    return replace(one, adjusted_p=p, verdict=replace(one.verdict, word="undecided", reason=reason))


def places_of(
    verdicts: Mapping[Place, AttackVerdict], task: AttackedTask
) -> dict[tuple[str, str], AttackVerdict]:
    """Those of one task, by family and implementation."""
    return {
        (family, implementation): one
        for (environment, name, family, implementation), one in verdicts.items()
        if (environment, name) == (task.environment, task.task)
    }
