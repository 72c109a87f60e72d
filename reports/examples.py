"""Two implementations on the same test examples: what differs example by example.

Values of a score are one a test example, in the same order for every implementation of a run; those of the
same run and seed pair up by place. Seeds are averaged within an example, so that the examples are what is
drawn anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bench.paired import bootstrap, mcnemar

Training: TypeAlias = tuple[str, int]
"""A run and a seed in it."""
Examples: TypeAlias = Mapping[Training, np.ndarray]
"""One value a test example ``[examples]``, by training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """`trainings` are those that both have; `differences` ``[examples]`` are the candidate's value less the
    reference's, averaged over them. `only_it` and `only_reference` count the examples that one of the two
    alone has right at the first of the trainings; None where values are not 1 or 0."""

    trainings: tuple[Training, ...]
    differences: np.ndarray
    only_it: int | None
    only_reference: int | None

    @property
    def p(self) -> float | None:
        """McNemar's exact p at the first training; None where there is nothing to count."""
        if self.only_it is None or self.only_reference is None:
            return None
        return mcnemar(self.only_it, self.only_reference)

    def interval(self, level: float) -> tuple[float, float, float]:
        """The mean difference with its percentile interval over examples."""
        return bootstrap(self.differences.tolist(), level)


def examples(rows: Any) -> Examples:
    """The values of one metric of one implementation on one subject; rows without values are left out."""
    fine = rows[rows["status"] == "ok"]
    places = zip(fine["run"], fine["seed"], fine["values"], strict=True)
    return {(run, int(seed)): np.asarray(values, dtype=np.float64) for run, seed, values in places}


def mean(found: Examples) -> float | None:
    """The mean over examples and trainings; None where there are none."""
    return float(np.mean([values.mean() for values in found.values()])) if found else None


def paired(mine: Examples, reference: Examples) -> Paired | None:
    """The two over the trainings that both have on as many examples; None where there are none."""
    shared = sorted(key for key in mine if key in reference and len(mine[key]) == len(reference[key]))
    sizes = {len(mine[key]) for key in shared}
    if len(sizes) != 1:
        return None
    differences = np.mean([mine[key] - reference[key] for key in shared], axis=0)
    first, other = mine[shared[0]], reference[shared[0]]
    counted = bool(np.isin(first, (0, 1)).all() and np.isin(other, (0, 1)).all())
    return Paired(
        trainings=tuple(shared),
        differences=differences,
        only_it=int(((first == 1) & (other == 0)).sum()) if counted else None,
        only_reference=int(((first == 0) & (other == 1)).sum()) if counted else None,
    )
