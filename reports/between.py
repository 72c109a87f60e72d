"""One run against an earlier one of the same environment: what changed, cell by cell.

    time:    log(candidate / reference) of a launch, minus the same of the earlier run's launch of that number
    memory:  log of a launch's median peak, minus the earlier run's
    scores:  mean score of a seed, minus the earlier run's with that seed, over the same examples; of a single
             seed McNemar's exact test over its examples, as wherever one trained model stands for each side

Two runs are two sittings. The ratio to a reference that was timed in the same launch does not carry what
differs between sittings, so it is judged; a reference's own time does, so it is shown and never judged.
Launch is paired with launch of the same number, which had the same place in the design; the interval is
Student's t over these pairs. Benjamini and Hochberg's correction runs over all costs and over all scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any, Literal, TypeAlias

from bench.paired import judge_pairs, mcnemar
from bench.schema import Verdict
from bench.statistics import benjamini_hochberg, judge, judge_differences, p_value, paired_log_ratio
from reports.comparison import with_estimate
from reports.directions import better
from reports.frame import Results

Kind: TypeAlias = Literal["time", "memory", "score"]
Cell: TypeAlias = tuple[str, str, str, str]
"""Suite, metric, work and implementation."""
Effects: TypeAlias = Mapping[int, float]
Scores: TypeAlias = Mapping[int, tuple[float, ...]]
"""By seed, one value an example."""
Both: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""A seed's scores in the earlier run and in the later one, example by example."""
_SCORED = ("accuracy", "robustness")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A cell of both runs.

    `before` and `after` are what is compared: a ratio to the reference, bytes, a mean score, in `unit`;
    `effects` are the paired differences, one a launch or seed that stands in both; of a single seed
    the `examples` are the evidence. `judged` is false for a reference's own time."""

    kind: Kind
    cell: Cell
    unit: str
    before: float
    after: float
    verdict: Verdict
    effects: tuple[float, ...]
    judged: bool = True
    examples: int = 0
    p: float | None = None
    adjusted_p: float | None = None

    @property
    def implementation(self) -> str:
        """Its name, ``variant@framework``."""
        return self.cell[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A certificate or figure whose status is another than in the earlier run."""

    cell: Cell
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """All that two runs say of each other; `only_before` and `only_after` are cells of one of them."""

    changes: tuple[Change, ...]
    turns: tuple[Turn, ...]
    only_before: tuple[Cell, ...]
    only_after: tuple[Cell, ...]


def between(earlier: Results, later: Results) -> Between:
    """What changed from the earlier run to the later one; both are of one environment."""
    found = [
        *_costs("time", (_ratios(earlier), _ratios(later)), "ratio", later),
        *_costs("memory", (_peaks(earlier), _peaks(later)), "B", later),
        *_scores(earlier, later),
    ]
    sittings = _costs("time", (_own(earlier), _own(later)), "s", later)
    before, after = _statuses(earlier), _statuses(later)
    return Between(
        changes=(*_corrected(found, later), *(replace(change, judged=False) for change in sittings)),
        turns=tuple(
            Turn(
                cell=cell,
                before=before[cell][0],
                after=after[cell][0],
                reason=after[cell][1] or before[cell][1],
            )
            for cell in before
            if cell in after and before[cell][0] != after[cell][0]
        ),
        only_before=tuple(cell for cell in before if cell not in after),
        only_after=tuple(cell for cell in after if cell not in before),
    )


def _launches(rows: Any) -> dict[int, tuple[float, ...]]:
    return {int(launch): tuple(values) for launch, values in zip(rows["launch"], rows["values"], strict=True)}


def _measured(results: Results, suite: str, metric: str) -> Any:
    rows = results.select(suite, metric)
    return rows[rows["status"] == "ok"]


def _ratios(results: Results) -> dict[Cell, Effects]:
    """Each candidate's log ratio to its reference by launch."""
    found: dict[Cell, Effects] = {}
    rows = _measured(results, "throughput", "seconds")
    for (_, subject), group in rows.groupby(["framework", "subject"], sort=False):
        beside = _launches(group[group["role"] == "reference"])
        for name, mine in group[group["role"] == "candidate"].groupby("implementation", sort=False):
            own = _launches(mine)
            effects = {n: paired_log_ratio(beside[n], own[n]) for n in sorted(own) if n in beside}
            if effects:
                found["throughput", "seconds", str(subject), str(name)] = effects
    return found


def _own(results: Results) -> dict[Cell, Effects]:
    """Each reference's own time by launch, as a logarithm."""
    rows = _measured(results, "throughput", "seconds")
    return _medians(rows[rows["role"] == "reference"])


def _peaks(results: Results) -> dict[Cell, Effects]:
    """Everybody's peak memory by launch, as a logarithm; what took none has no ratio."""
    rows = _measured(results, "memory", "peak_bytes")
    return _medians(rows[rows["role"].isin(["reference", "candidate"])])


def _medians(rows: Any) -> dict[Cell, Effects]:
    found: dict[Cell, Effects] = {}
    for key, mine in rows.groupby(["suite", "metric", "subject", "implementation"], sort=False):
        launches = {number: median(values) for number, values in _launches(mine).items()}
        effects = {number: math.log(value) for number, value in launches.items() if value > 0}
        if effects:
            found[key] = effects
    return found


def _costs(
    kind: Kind, sides: tuple[Mapping[Cell, Effects], Mapping[Cell, Effects]], unit: str, results: Results
) -> Iterator[Change]:
    earlier, later = sides
    for cell in later:
        both = sorted(set(later[cell]) & set(earlier.get(cell, ())))
        if both:
            effects = [later[cell][number] - earlier[cell][number] for number in both]
            verdict = judge(effects, level=1 - results.alpha, margin=results.margin, better="lower")
            verdict = with_estimate(verdict, math.exp(fmean(effects)), "launch")
            before, after = (math.exp(fmean(side[cell][number] for number in both)) for side in sides)
            yield Change(
                kind=kind,
                cell=cell,
                unit=unit,
                before=before,
                after=after,
                verdict=verdict,
                effects=tuple(effects),
                p=_p(effects),
            )


def _examples(results: Results, suite: str, metric: str) -> dict[Cell, tuple[str, Scores]]:
    """Each cell's unit, and its scores by seed, example by example."""
    rows = _measured(results, suite, metric)
    rows = rows[rows["role"].isin(["reference", "candidate"])]
    found: dict[Cell, tuple[str, Scores]] = {}
    for key, mine in rows.groupby(["suite", "metric", "subject", "implementation"], sort=False):
        scores = {int(seed): tuple(values) for seed, values in zip(mine["seed"], mine["values"], strict=True)}
        found[key] = str(mine["unit"].iloc[0]), scores
    return found


def _scores(earlier: Results, later: Results) -> Iterator[Change]:
    """Only metrics with a margin, and only seeds that were scored on as many examples in both runs."""
    for suite in _SCORED:
        for metric, margin in later.score_margins.items():
            before = _examples(earlier, suite, metric)
            for cell, (unit, mine) in _examples(later, suite, metric).items():
                _, theirs = before.get(cell, ("", {}))
                seeds = [n for n in sorted(mine) if n in theirs and len(mine[n]) == len(theirs[n])]
                if seeds:
                    yield _score(cell, unit, [(theirs[n], mine[n]) for n in seeds], margin, later)


def _score(cell: Cell, unit: str, scored: Sequence[Both], margin: float, results: Results) -> Change:
    """Over seeds where there are several; over the examples of one seed where each is right or wrong."""
    means = [(fmean(theirs), fmean(mine)) for theirs, mine in scored]
    effects = tuple(after - before for before, after in means)
    level, direction = 1 - results.score_alpha, better(cell[0], cell[1])
    right = {value for side in scored[0] for value in side} <= {0.0, 1.0}
    p, examples = None, 0
    if len(scored) == 1 and right and direction == "higher":
        theirs, mine = scored[0]
        ahead = sum(new > old for old, new in zip(theirs, mine, strict=True))
        behind = sum(new < old for old, new in zip(theirs, mine, strict=True))
        verdict = judge_pairs(ahead, behind, len(mine), level=level, margin=margin)
        p, examples = mcnemar(ahead, behind), len(mine)
    else:
        verdict = judge_differences(effects, level=level, margin=margin, better=direction)
        verdict = with_estimate(verdict, fmean(effects), "seed")
    return Change(
        kind="score",
        cell=cell,
        unit=unit,
        before=fmean(before for before, _ in means),
        after=fmean(after for _, after in means),
        verdict=verdict,
        effects=effects,
        examples=examples,
        p=p if p is not None else _p(effects),
    )


def _p(effects: Sequence[float]) -> float | None:
    return p_value(effects) if len(effects) > 1 else None


def _corrected(changes: Sequence[Change], results: Results) -> tuple[Change, ...]:
    """Costs and scores are families of their own, as in a report on one run."""
    found = list(changes)
    for scores, alpha in ((False, results.alpha), (True, results.score_alpha)):
        tested = {i: c.p for i, c in enumerate(found) if (c.kind == "score") == scores and c.p is not None}
        adjusted = benjamini_hochberg(list(tested.values()))
        for index, p in zip(tested, adjusted, strict=True):
            found[index] = _in_company(found[index], p, alpha, len(tested))
    return tuple(found)


def _in_company(change: Change, p: float, alpha: float, cells: int) -> Change:
    if change.verdict.word not in ("better", "worse") or p <= alpha:
        return replace(change, adjusted_p=p)
    reason = (
        f"among {cells} cells such a difference is expected by chance (adjusted p {p:.2g}, above {alpha:g})"
    )
    return replace(change, adjusted_p=p, verdict=replace(change.verdict, word="undecided", reason=reason))


def _statuses(results: Results) -> dict[Cell, tuple[str, str]]:
    """The status of each cell, with the reason where it is not ok; one launch that failed says so for all."""
    found: dict[Cell, tuple[str, str]] = {}
    frame = results.frame
    columns = (frame[name] for name in ("suite", "metric", "subject", "implementation", "status", "reason"))
    for suite, metric, subject, implementation, status, reason in zip(*columns, strict=True):
        cell = (suite, metric, subject, implementation)
        if cell not in found or found[cell][0] == "ok":
            found[cell] = status, reason
    return found
