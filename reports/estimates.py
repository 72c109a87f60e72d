"""Every figure of a report: an estimate with its interval, unit, method and status.

Positive quantities (times, rates, bytes) are averaged over launches as logarithms, scores over seeds as
they are; intervals are Student's t over launches or seeds. What too few calls cannot show, such as
the slowest hundredth of thirty calls, is `below_resolution` with the reason and carries no number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from statistics import fmean, median
from typing import Any

import numpy

from bench.paired import wilson
from bench.statistics import interval
from reports.comparison import SETTLED_LAUNCHES, SETTLED_SEEDS
from reports.comparisons import seed_means
from reports.energy.figures import energy_figures
from reports.figure import Figure, cells, figure_of, nothing, over_launches
from reports.frame import Results

__all__ = ["LEARNT", "Figure", "estimate", "is_score", "over_launches"]

# Suites whose values are scores of trained models, a row a seed.
LEARNT = ("accuracy", "transfer")
_PERCENTILES = (("latency_p50", 50, 1), ("latency_p95", 95, 20), ("latency_p99", 99, 100))
_RATES = (("items_per_second", "items", "items/s"), ("tokens_per_second", "tokens", "tokens/s"))
# Curves, profiles and values a rate or a part: no mean of them says anything (see `reports.learnt.training`).
_SERIES = frozenset(
    {
        "loss_curve",
        "validation",
        "gradient_norm_p50",
        "gradient_norm_p95",
        "gradient_norm_max",
        "attention_entropy",
        "largest_logit",
        "bits_by_position",
        "accuracy_by_distance",
    }
)
_UNSCORED = _SERIES | {"parameters", "training_seconds", "learning_rate", "loss_spikes", "diverged"}
# The same for every seed by design: there is no scatter to wait for.
_SETTLED = frozenset({"parameters", "learning_rate", "diverged"})
_OF_SUCCESSES = frozenset({"attack_queries", "attack_changed"})


def estimate(results: Results) -> tuple[Figure, ...]:
    """All figures of all suites, in the order in which they were measured."""
    level = 1 - results.alpha
    return (
        *_timings(results, level),
        *_each(results.select("memory"), level),
        *_each(_yardsticks(results), level),
        *energy_figures(results, level),
        *_scores(results, level),
        *_attacked(results, level),
        *_without_value(results),
    )


def _spread(values: Sequence[float], level: float) -> dict[str, Any]:
    centre, low, high = over_launches(values, level)
    launches = len(values)
    return {
        "estimate": centre,
        "low": low,
        "high": high,
        "level": level if low is not None else None,
        "launches": launches,
        "provisional": launches < SETTLED_LAUNCHES,
    }


def _yardsticks(results: Results) -> Any:
    return results.select("throughput", "gemm_flops")


def _each(rows: Any, level: float) -> Iterator[Figure]:
    """One median a launch, as it was measured."""
    for group in cells(rows):
        values = [median(launch) for launch in group["values"]]
        if min(values) > 0:
            yield figure_of(group, **_spread(values, level))
        else:
            yield nothing(group, "below_resolution", "what was measured is not above zero")


def _timings(results: Results, level: float) -> Iterator[Figure]:
    for group in cells(results.select("throughput", "seconds")):
        if group.iloc[0]["role"] == "control":
            continue
        yield from _percentiles(group, level)
        yield from _rates(group, level)
        yield from _share_of_gemm(results, group, level)
    for group in cells(results.select("crossing", "seconds")):
        yield from _percentiles(group, level)


def _percentiles(rows: Any, level: float) -> Iterator[Figure]:
    calls = min(len(values) for values in rows["values"])
    batched = int(float(rows.iloc[0]["details"].get("calls_per_value", "1")))
    warmups = int(rows["warmups"].median())
    for name, percent, needed in _PERCENTILES:
        if percent != 50 and batched > 1:
            reason = f"each value is the mean of {batched} calls, which hides the slow ones"
            yield nothing(rows, "below_resolution", reason, metric=name)
        elif calls < needed:
            reason = f"needs {needed} calls in each launch, had {calls}"
            yield nothing(rows, "below_resolution", reason, metric=name)
        else:
            values = [float(numpy.percentile(launch, percent)) for launch in rows["values"]]
            yield figure_of(rows, metric=name, warmups=warmups, **_spread(values, level))


def _derived(rows: Any, level: float, amount: float, **fields: Any) -> Figure:
    """What is done in one call, by the second: items, tokens, shares of the machine's speed."""
    values = [amount / median(launch) for launch in rows["values"]]
    return figure_of(rows, **fields, **_spread(values, level))


def _rates(rows: Any, level: float) -> Iterator[Figure]:
    for name, counted, unit in _RATES:
        count = int(rows.iloc[0][counted])
        if count:
            yield _derived(rows, level, count, metric=name, unit=unit)


def _share_of_gemm(results: Results, rows: Any, level: float) -> Iterator[Figure]:
    """Operations a second as a fraction of a matrix product's in the same run; they are modelled."""
    first = rows.iloc[0]
    timed = results.select("throughput")
    here = timed[(timed["status"] == "ok") & (timed["environment_id"] == first["environment_id"])]
    work = here[
        (here["metric"] == "operations")
        & (here["subject"] == first["subject"])
        & (here["implementation"] == first["implementation"])
    ]
    gemm = here[(here["metric"] == "gemm_flops") & (here["framework"] == first["framework"])]
    if work.empty or gemm.empty:
        return
    operations = work["values"].iloc[0][0]
    speed = median(value for launch in gemm["values"] for value in launch)
    yield _derived(
        rows,
        level,
        operations / speed,
        metric="share_of_matrix_product",
        unit="share",
        method="modelled",
        tool=f"{first['tool']}; operations by {work.iloc[0]['tool']}",
    )


def _scores(results: Results, level: float) -> Iterator[Figure]:
    learnt = (cells(results.select(suite)) for suite in LEARNT)
    for group in itertools.chain.from_iterable(learnt):
        metric = group.iloc[0]["metric"]
        if metric in _SERIES:
            continue
        means = list(seed_means(group).values())
        without_scatter = metric in _SETTLED or group.iloc[0]["role"] == "baseline"
        yield figure_of(group, **(_constant(means) if without_scatter else _over_seeds(means, level)))


def _constant(means: Sequence[float]) -> dict[str, Any]:
    """A count, or a baseline that every seed gives alike: nothing to wait for, no interval over seeds."""
    return {"estimate": fmean(means), "launches": len(means)}


def _over_seeds(means: Sequence[float], level: float) -> dict[str, Any]:
    fields: dict[str, Any] = {"estimate": fmean(means), "launches": len(means)}
    if len(means) > 1:
        _, low, high = interval(means, level)
        fields |= {"low": low, "high": high, "level": level}
    return fields | {"provisional": len(means) < SETTLED_SEEDS}


def _attacked(results: Results, level: float) -> Iterator[Figure]:
    """What is found on trained models: means over seeds; what a successful attack took, its median."""
    for suite in ("robustness", "attack_transfer"):
        for group in cells(results.select(suite)):
            values = [value for row in group["values"] for value in row]
            if group.iloc[0]["metric"] in _OF_SUCCESSES:
                yield figure_of(group, estimate=median(values), launches=len(group))
            else:
                yield figure_of(group, **_share(values, list(seed_means(group).values()), level))


def _share(values: Sequence[float], means: Sequence[float], level: float) -> dict[str, Any]:
    """Over seeds as any score; a share of examples that one seed gave has Wilson's interval over them."""
    fields = _over_seeds(means, level)
    if len(means) == 1 and len(values) > 1 and set(values) <= {0.0, 1.0}:
        low, high = wilson(round(sum(values)), len(values), level)
        fields |= {"low": low, "high": high, "level": level}
    return fields


def _without_value(results: Results) -> Iterator[Figure]:
    """What was to be measured and was not: kept with its status, so that no cell is blank."""
    names = ["environment_id", "suite", "metric", "subject", "implementation", "role", "status"]
    frame = results.frame
    missing = frame[(frame["status"] != "ok") & (frame["suite"] != "certificate")]
    for _, group in missing.groupby(names, sort=False):
        first = group.iloc[0]
        yield nothing(group, first["status"], first["reason"])


def is_score(metric: str) -> bool:
    """Whether a metric of the accuracy suite says how well a variant learnt."""
    return metric not in _UNSCORED
