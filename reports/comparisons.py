"""Every candidate against the reference it was measured beside: time, memory, scores, frameworks.

Times and memory are compared as ratios, paired within a launch; the unit of evidence is the launch.
Scores are compared as differences, paired by seed; the unit of evidence is the seed. Benjamini and
Hochberg's correction then runs over all cells: a cell that differs on its own but not in this company
is undecided, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any, Literal, TypeAlias

from bench.schema import Verdict
from bench.statistics import (
    benjamini_hochberg,
    decision_level,
    judge,
    judge_differences,
    p_value,
    paired_log_ratio,
)
from reports.directions import better
from reports.frame import Results

SETTLED_LAUNCHES = 8
SETTLED_SEEDS = 3
SETTLED_REPEATS = 3

Axis: TypeAlias = Literal["time", "memory", "score", "framework"]
Effects: TypeAlias = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One cell: `effects` are log ratios by launch, or differences of mean scores by seed.

    `axis` says what is compared and `phase` which call; `planned` is how many launches were to be made.
    """

    axis: Axis
    phase: str
    suite: str
    metric: str
    unit: str
    subject: str
    series: str
    architecture: str
    length: int
    implementation: str
    reference: str
    framework: str
    environment_id: str
    effects: Effects
    planned: int
    verdict: Verdict
    adjusted_p: float | None = None

    @property
    def provisional(self) -> bool:
        """Whether fewer launches (or seeds) stand behind it than a settled figure needs."""
        if self.axis == "score":
            return len(self.effects) < SETTLED_SEEDS
        if self.axis == "memory":
            return len(self.effects) < SETTLED_REPEATS
        # A comparison that stopped early did so at a scheduled look, at the level that look allows.
        cut_short = len(self.effects) < self.planned and self.verdict.word == "undecided"
        return self.planned < SETTLED_LAUNCHES or cut_short

    @property
    def decided_difference(self) -> bool:
        """Whether it was found to be better or worse."""
        return self.verdict.word in ("better", "worse")


def compare(results: Results) -> tuple[Comparison, ...]:
    """Every cell that has a reference and a candidate, corrected for how many there are."""
    found = [
        *_ratios(results, results.select("throughput", "seconds"), "time", "framework", _time_effect),
        *_ratios(results, results.select("memory", "peak_bytes"), "memory", "framework", _memory_effect),
        *_ratios(results, results.select("crossing", "seconds"), "framework", "variant", _time_effect),
        *_differences(results),
    ]
    return _corrected(found, results)


def control_effects(results: Results) -> dict[tuple[str, str, str], Effects]:
    """Log ratios of the reference to its own copy: by environment, framework and workload."""
    rows = results.select("throughput", "seconds")
    found: dict[tuple[str, str, str], Effects] = {}
    for (environment, framework, subject), group in _groups(rows, "framework"):
        effects = _effects(_role(group, "reference"), _role(group, "control"), _time_effect)
        if effects:
            found[environment, framework, subject] = effects
    return found


def _groups(rows: Any, side: str) -> Iterator[tuple[tuple[str, str, str], Any]]:
    """Measured rows that were taken on the same work beside one another."""
    fine = rows[rows["status"] == "ok"]
    yield from fine.groupby(["environment_id", side, "subject"], sort=False)


def _role(rows: Any, role: str) -> Any:
    return rows[rows["role"] == role]


def _time_effect(reference: Sequence[float], candidate: Sequence[float]) -> float:
    return paired_log_ratio(reference, candidate)


def _memory_effect(reference: Sequence[float], candidate: Sequence[float]) -> float:
    return math.log(median(candidate) / median(reference))


def _effects(
    reference: Any, candidate: Any, effect: Callable[[Sequence[float], Sequence[float]], float]
) -> Effects:
    """One effect for each launch that holds both arms, in the order of the launches."""
    beside = {(row.run, row.launch): row.values for row in _rows(reference)}
    mine = {(row.run, row.launch): row.values for row in _rows(candidate)}
    return tuple(effect(beside[key], mine[key]) for key in sorted(mine) if key in beside)


@dataclass(frozen=True, slots=True)
class _Row:
    run: str
    launch: int
    seed: int
    values: tuple[float, ...]


def _rows(rows: Any) -> list[_Row]:
    """The frame's rows as plain records (`values` would be a method's name in pandas)."""
    return [
        _Row(run, int(launch), int(seed), tuple(values))
        for run, launch, seed, values in zip(
            rows["run"], rows["launch"], rows["seed"], rows["values"], strict=True
        )
    ]


def _ratios(
    results: Results,
    rows: Any,
    axis: Axis,
    side: str,
    effect: Callable[[Sequence[float], Sequence[float]], float],
) -> Iterator[Comparison]:
    for (environment, _, subject), group in _groups(rows, side):
        reference = _role(group, "reference")
        if reference.empty:
            continue
        candidates = _role(group, "candidate")
        for implementation, mine in candidates.groupby("implementation", sort=False):
            effects = _effects(reference, mine, effect)
            if effects:
                names = (reference["implementation"].iloc[0], implementation, environment, subject)
                yield _ratio(results, mine, axis, names, effects)


def _ratio(
    results: Results, rows: Any, axis: Axis, names: tuple[str, str, str, str], effects: Effects
) -> Comparison:
    first = rows.iloc[0]
    counted = "repeats_planned" if axis == "memory" else "launches_planned"
    planned = max(1, results.planned(list(rows["run"].unique()), counted))
    level = decision_level(len(effects), max(planned, len(effects)), results.alpha)
    verdict = judge(effects, level=level, margin=results.margin, better="lower")
    return _compared(
        first,
        names,
        axis=axis,
        phase=first["phase"],
        unit="ratio",
        series=first["series"],
        effects=effects,
        planned=planned,
        verdict=_with_estimate(verdict, math.exp(fmean(effects)), "launch"),
    )


def _compared(first: Any, names: tuple[str, str, str, str], **judged: Any) -> Comparison:
    """A comparison of the candidate whose `first` row this is."""
    reference, implementation, environment, subject = names
    return Comparison(
        suite=first["suite"],
        metric=first["metric"],
        subject=subject,
        architecture=first["architecture"],
        length=int(first["length"]),
        implementation=implementation,
        reference=reference,
        framework=first["framework"],
        environment_id=environment,
        **judged,
    )


def _with_estimate(verdict: Verdict, estimate: float, unit: str) -> Verdict:
    """One launch gives an estimate but no interval, and therefore no decision."""
    if verdict.ratio is not None:
        return verdict
    return replace(verdict, ratio=estimate, reason=f"one {unit} has no scatter, so there is no interval")


def _differences(results: Results) -> Iterator[Comparison]:
    """Only metrics with a margin are judged: without one nobody has said which difference matters."""
    margins = results.score_margins
    scores = results.select("accuracy")
    for (environment, _, subject), group in _groups(
        scores[scores["metric"].isin(list(margins))], "framework"
    ):
        for metric, rows in group.groupby("metric", sort=False):
            reference = _role(rows, "reference")
            beside = seed_means(reference)
            for implementation, mine in _role(rows, "candidate").groupby("implementation", sort=False):
                means = seed_means(mine)
                differences = tuple(means[seed] - beside[seed] for seed in sorted(means) if seed in beside)
                if differences:
                    names = (reference["implementation"].iloc[0], implementation, environment, subject)
                    yield _difference(results, mine.iloc[0], names, differences, margins[metric])


def seed_means(rows: Any) -> dict[int, float]:
    """Mean score by seed, over all test examples (and over runs that share a seed)."""
    found: dict[int, list[float]] = {}
    for row in _rows(rows):
        found.setdefault(row.seed, []).extend(row.values)
    return {seed: fmean(values) for seed, values in found.items()}


def _difference(
    results: Results, first: Any, names: tuple[str, str, str, str], differences: Effects, margin: float
) -> Comparison:
    level = 1 - results.score_alpha
    direction = better("accuracy", first["metric"])
    verdict = judge_differences(differences, level=level, margin=margin, better=direction)
    return _compared(
        first,
        names,
        axis="score",
        phase="training_run",
        unit=first["unit"],
        series=names[-1],
        effects=differences,
        planned=SETTLED_SEEDS,
        verdict=_with_estimate(verdict, fmean(differences), "seed"),
    )


def _corrected(comparisons: Sequence[Comparison], results: Results) -> tuple[Comparison, ...]:
    """Costs and scores are two families: they are judged at different levels, by readers who ask apart."""
    found = list(comparisons)
    for is_score, alpha in ((False, results.alpha), (True, results.score_alpha)):
        family = [i for i, c in enumerate(found) if (c.axis == "score") == is_score and len(c.effects) >= 2]
        adjusted = benjamini_hochberg([p_value(found[index].effects) for index in family])
        for index, p in zip(family, adjusted, strict=True):
            found[index] = _in_company(found[index], p, alpha, len(family))
    return tuple(found)


def _in_company(comparison: Comparison, p: float, alpha: float, cells: int) -> Comparison:
    if not comparison.decided_difference or p <= alpha:
        return replace(comparison, adjusted_p=p)
    reason = (
        f"its own interval leaves out no change, but among {cells} cells such a difference is expected "
        f"by chance (adjusted p {p:.2g}, above {alpha:g})"
    )
    return replace(
        comparison, adjusted_p=p, verdict=replace(comparison.verdict, word="undecided", reason=reason)
    )
