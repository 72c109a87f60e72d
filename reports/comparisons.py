"""Every candidate against the reference it was measured beside: time, memory, energy, scores, frameworks.

Times and memory are compared as ratios, paired within a launch; the unit of evidence is the launch.
Energies are paired window by window (see `reports.energy.pairs`).
Scores are compared as differences, paired by seed; the unit of evidence is the seed. Benjamini and
Hochberg's correction then runs over all cells: a cell that differs on its own but not in this company
is undecided, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

from bench.statistics import (
    benjamini_hochberg,
    decision_level,
    judge,
    judge_differences,
    p_value,
    paired_log_ratio,
)
from reports.comparison import (
    SETTLED_LAUNCHES,
    SETTLED_REPEATS,
    SETTLED_SEEDS,
    Axis,
    Comparison,
    Effects,
    compared,
    with_estimate,
)
from reports.directions import better
from reports.energy.pairs import energies
from reports.frame import Results

__all__ = ["SETTLED_LAUNCHES", "SETTLED_REPEATS", "SETTLED_SEEDS", "Comparison", "compare", "control_effects"]


def compare(results: Results) -> tuple[Comparison, ...]:
    """Every cell that has a reference and a candidate, corrected for how many there are."""
    found = [
        *_ratios(results, results.select("throughput", "seconds"), "time", "framework", _time_effect),
        *_ratios(results, results.select("memory", "peak_bytes"), "memory", "framework", _memory_effect),
        *_ratios(results, results.select("crossing", "seconds"), "framework", "variant", _time_effect),
        *energies(results),
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
    return compared(
        first,
        names,
        axis=axis,
        phase=first["phase"],
        unit="ratio",
        series=first["series"],
        effects=effects,
        planned=planned,
        verdict=with_estimate(verdict, math.exp(fmean(effects)), "launch"),
    )


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
    return compared(
        first,
        names,
        axis="score",
        phase="training_run",
        unit=first["unit"],
        series=names[-1],
        effects=differences,
        unit_of_evidence="seed",
        planned=SETTLED_SEEDS,
        verdict=with_estimate(verdict, fmean(differences), "seed"),
    )


def _corrected(comparisons: Sequence[Comparison], results: Results) -> tuple[Comparison, ...]:
    """Costs, energies and scores are families of their own: they are judged at different levels, by readers
    who ask apart, and the p of windows that one launch took says less than one of launches."""
    found = list(comparisons)
    for family, alpha in (("cost", results.alpha), ("energy", results.alpha), ("score", results.score_alpha)):
        mine = [i for i, c in enumerate(found) if _family(c) == family and len(c.effects) >= 2]
        adjusted = benjamini_hochberg([p_value(found[index].effects) for index in mine])
        for index, p in zip(mine, adjusted, strict=True):
            found[index] = _in_company(found[index], p, alpha, len(mine))
    return tuple(found)


def _family(comparison: Comparison) -> str:
    return comparison.axis if comparison.axis in ("energy", "score") else "cost"


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
