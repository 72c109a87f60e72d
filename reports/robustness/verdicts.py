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
from reports.examples import Paired, paired
from reports.frame import Results
from reports.robustness.attacked import Attacked, AttackedTask, conclusive, strongest

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
            found = _compared(task, family, implementation, reference, level, margin)
            if found is not None:
                yield (task.environment, task.task, family, implementation), found


def _compared(
    task: AttackedTask, family: str, implementation: str, reference: str, level: float, margin: float
) -> AttackVerdict | None:
    """None where the two share no conclusive attack, or no examples to be paired."""
    arms = _arms(task, family, implementation, reference)
    pair = paired(arms[0].right, arms[1].right) if arms else None
    judged = _verdict(*arms, pair, level, margin) if arms and pair else None
    if arms is None or pair is None or judged is None:
        return None
    verdict, p = judged
    return AttackVerdict(reference=reference, mine=arms[0], theirs=arms[1], pair=pair, verdict=verdict, p=p)


def _arms(
    task: AttackedTask, family: str, implementation: str, reference: str
) -> tuple[Attacked, Attacked] | None:
    """The strongest attack on either at the family's headline budget, out of what is conclusive for both: an
    attack that is believed on one side only would make the other side look robust."""
    mine = {one.subject: one for one in conclusive(task.at_headline(implementation, family))}
    theirs = {one.subject: one for one in conclusive(task.at_headline(reference, family))}
    shared = mine.keys() & theirs.keys()
    first = strongest([mine[subject] for subject in mine if subject in shared])
    other = strongest([theirs[subject] for subject in theirs if subject in shared])
    return (first, other) if first is not None and other is not None else None


def _verdict(
    mine: Attacked, theirs: Attacked, pair: Paired, level: float, margin: float
) -> tuple[Verdict, float] | None:
    """With the p before any correction; None for one seed whose examples are not plainly right or wrong."""
    if len(pair.trainings) > 1:
        effects = _by_training(mine, theirs, pair)
        return judge_differences(effects, level=level, margin=margin, better="higher"), p_value(effects)
    if pair.only_it is None or pair.only_reference is None or pair.p is None:
        return None
    tried = len(pair.differences)
    return judge_pairs(pair.only_it, pair.only_reference, tried, level=level, margin=margin), pair.p


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
