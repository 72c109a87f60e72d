"""Night after night through whole series: steps are found with what each night knew, and levels begin anew.

A step ends a level: the nights that carry it are the first of the next one. So does a marked night, on which
the environment changed: whatever moved with it is put down to the environment and is never called a step.
The noise (scatter, correlation, outliers) goes on over both, as residuals from the level of their time, so
that the nights after either are not blind. A series is one machine's; another machine's noise is its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.changes.noise import MEMORY, Values, estimate
from bench.changes.pools import Shape, pooled_shapes, stacked
from bench.changes.scan import LEVEL_NIGHTS, WINDOWS, locate, scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Positions in the series: the step is first seen on night `at` and was found on night `found`.

    `size` is the new level less the old one, in the values' unit, as the night that found it knew them; of
    a `marked` one, which nobody looked for, what moved with the environment, between the dozen nights before
    it and after.
    """

    at: int
    found: int
    size: float
    marked: bool = False


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Nights ``first`` to ``last`` (exclusive) of a series, which follow a step or a mark."""

    series: int
    first: int
    last: int
    carried: Values


def find_steps(
    series: Sequence[Sequence[float]],
    marks: Sequence[Sequence[int]] | None = None,
    *,
    smallest: float = 0.0,
    pools: Sequence[Hashable] | None = None,
    nights: Sequence[Sequence[int]] | None = None,
) -> list[list[Step]]:
    """The steps of each series, in order; `marks` are the nights on which its environment had changed.

    Values are in a unit in which noise is about even, such as the log of a ratio; `smallest` is the smallest
    change that is one, in that unit. Series of one pool (one machine's, of one metric; None: of none) learn
    together how nights correlate and how heavy the tails are; `nights` are the moments of their values in
    whole numbers, by default their positions. Raises ValueError for values that are not finite.
    """
    arrays = [np.asarray(values, dtype=float) for values in series]
    if not all(np.isfinite(values).all() for values in arrays):
        raise ValueError("a night without a finite value must be left out of its series")
    marked = [sorted({0, *(marks[i] if marks else ())} & set(range(len(v)))) for i, v in enumerate(arrays)]
    shapes = pooled_shapes(arrays, marked, pools, nights)
    found: list[list[Step]] = [[] for _ in arrays]
    ends = [iter([*nights[1:], len(v)]) for nights, v in zip(marked, arrays, strict=True)]
    waiting = [_Stretch(i, 0, next(ends[i]), np.empty(0)) for i, values in enumerate(arrays) if len(values)]
    while waiting:
        waiting = [
            following
            for group in _of_one_shape(waiting)
            for stretch, step in zip(group, _first_steps(arrays, shapes, group, smallest), strict=True)
            for following in _after(arrays, stretch, step, found[stretch.series], ends)
        ]
    return found


def _of_one_shape(stretches: Sequence[_Stretch]) -> list[list[_Stretch]]:
    groups: dict[tuple[int, int], list[_Stretch]] = defaultdict(list)
    for stretch in stretches:
        groups[stretch.last - stretch.first, len(stretch.carried)].append(stretch)
    return list(groups.values())


def _first_steps(
    arrays: Sequence[Values], shapes: Sequence[Shape], group: Sequence[_Stretch], smallest: float
) -> list[Step | None]:
    """The first step of each stretch, all of which are equally long; None where there is none."""
    values = np.stack([arrays[one.series][one.first : one.last] for one in group])
    carried = np.stack([one.carried for one in group])
    pool = stacked([shapes[one.series].on(slice(one.first, one.last)) for one in group])
    highest, _ = scores(values, carried, smallest, pool)
    alarms = highest >= 1
    return [
        _step(one, values[[row]], carried[[row]], int(np.argmax(alarms[row])), smallest)
        if alarms[row].any()
        else None
        for row, one in enumerate(group)
    ]


def _step(stretch: _Stretch, values: Values, carried: Values, night: int, smallest: float) -> Step:
    """The step that `night` has found, put where its nights say that it began."""
    latest = min(WINDOWS[-1], night + 1 - LEVEL_NIGHTS)
    before = values[:, : night + 1 - latest]
    noise = estimate(before[:, -MEMORY:], carried, smallest / 3)
    at = int(locate(values[:, : night + 1], noise, latest)[0])
    size = float(np.median(values[0, at : night + 1]) - np.median(values[0, max(0, at - MEMORY) : at]))
    return Step(at=stretch.first + at, found=stretch.first + night, size=size)


def _after(
    arrays: Sequence[Values],
    stretch: _Stretch,
    step: Step | None,
    found: list[Step],
    ends: Sequence[Iterator[int]],
) -> list[_Stretch]:
    """What is still to be looked at of the series; notes the step, or the mark that ends the stretch."""
    values = arrays[stretch.series]
    stop = stretch.last if step is None else step.at
    level = values[stretch.first : stop]
    carried = np.concatenate([stretch.carried, level - np.median(level)])[-MEMORY:]
    if step is not None:
        found.append(step)
        return [_Stretch(stretch.series, step.at, stretch.last, carried)]
    if stop == len(values):
        return []
    end = next(ends[stretch.series])
    fresh = values[stop:end][: WINDOWS[-1]]
    size = float(np.median(fresh) - np.median(level[-WINDOWS[-1] :]))
    found.append(Step(at=stop, found=stop, size=size, marked=True))
    return [_Stretch(stretch.series, stop, end, carried)]
