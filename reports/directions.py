"""What the registry knows of a run's names: which way a metric is better, and which variants are controls."""

from __future__ import annotations

import functools

from bench.candidates import CONTROLS
from bench.registry import registry
from bench.schema import Better


@functools.cache
def _directions() -> dict[tuple[str, str], Better]:
    return {
        (suite.name, metric.name): metric.better
        for suite in registry().suites.values()
        for metric in suite.metrics
    }


def better(suite: str, metric: str) -> Better:
    """Whether less or more of a suite's metric is better; more, where nobody registered it."""
    return _directions().get((suite, metric), "higher")


@functools.cache
def _ranking() -> frozenset[str]:
    return frozenset(
        metric.name for suite in registry().suites.values() for metric in suite.metrics if metric.ranks
    )


def ranks(metric: str) -> bool:
    """Whether some suite ranks variants by this metric."""
    return metric in _ranking()


def is_control(variant: str) -> bool:
    """Whether a variant is one that others must beat to have learnt anything through their mixing."""
    row = registry().variants.get(variant)
    return row is not None and row.family == CONTROLS
