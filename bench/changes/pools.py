"""What the series of one machine tell together about its noise: how nights correlate, how heavy its tails.

Sixty nights of one series cannot tell a correlation of 0.3 from none (standard error 0.13); sixty nights of
thirty series can. A pool's correlation is the mean of its members', each from the variogram: mean squared
differences between neighbouring nights over those between nights 5 to 7 apart, both winsorised. That needs no
level, so that steps and marks cost it little. How far members differ among themselves beyond chance says how
much a member's own estimate counts beside the pool's (empirical Bayes; Efron and Morris 1973), and how far
they move together (they share a reference) says how many independent ones they are worth. Level and scatter
stay each series' own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.changes.noise import MEMORY, NORMAL_MAD, OUTLYING, WINSOR, Values

FIRST_LOOK = 24
LOOK_EVERY = 7
"""Nights after which a pool is looked at, and after which it is looked at anew: its noise moves slowly."""
MEMBERS = 5
"""Members from which a pool is one: how much four differ among themselves says too little."""
_LAGS = (5, 6, 7)
_FEWEST = 16
"""Pairs of neighbouring nights from which a series' correlation counts."""
_VARIANCE = 1.6
"""Of such a correlation, times the number of pairs, in independent nights."""
_SPIKED = 25.0
"""How that grows with the share of outliers, by simulation."""
_CHANCE = 1.2
"""How much the members' variance must exceed that of chance before they count as different."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A figure a night, ``[..., nights]``: what the nights before it told of the pool.

    `correlation` and its variance among members (`between`), the share of `outliers`, and what the pool is
    `worth` in independent members; 1 where it says nothing.
    """

    correlation: Values
    between: Values
    outliers: Values
    worth: Values

    def on(self, nights: int | slice) -> Shape:
        """That of this night, or these."""
        return Shape(*(figures[..., nights] for figures in self.figures()))

    def figures(self) -> tuple[Values, Values, Values, Values]:
        """All four, in their order."""
        return self.correlation, self.between, self.outliers, self.worth


def no_pool(nights: int) -> Shape:
    """That of a series which stands alone."""
    return Shape(*(np.full(nights, figure) for figure in (0.0, 0.0, 0.0, 1.0)))


def stacked(shapes: Sequence[Shape]) -> Shape:
    """One ``[series, nights]`` of several of equally many nights."""
    return Shape(*(np.stack(figures) for figures in zip(*(one.figures() for one in shapes), strict=True)))


def pooled_shapes(
    arrays: Sequence[Values],
    marked: Sequence[Sequence[int]],
    pools: Sequence[Hashable] | None,
    nights: Sequence[Sequence[int]] | None,
) -> list[Shape]:
    """Of each series what its pool told each night; `nights` are the moments of its values, in whole numbers
    (by default their positions), `marked` the positions at which its level begins anew."""
    shapes = [no_pool(len(values)) for values in arrays]
    members: dict[Hashable, list[int]] = {}
    for i, pool in enumerate(pools or ()):
        if pool is not None and len(arrays[i]):
            members.setdefault(pool, []).append(i)
    for mine in members.values():
        if len(mine) < MEMBERS:
            continue
        moments = [np.asarray(nights[i]) if nights else np.arange(len(arrays[i])) for i in mine]
        grid = np.unique(np.concatenate(moments))
        values = np.full((len(mine), len(grid)), np.nan)
        levels = np.zeros(values.shape, dtype=np.int64)
        places = [np.searchsorted(grid, moment) for moment in moments]
        for row, (i, place) in enumerate(zip(mine, places, strict=True)):
            values[row, place] = arrays[i]
            levels[row, place[list(marked[i])]] += 1
        told = shape(values, np.cumsum(levels, axis=1))
        for i, place in zip(mine, places, strict=True):
            shapes[i] = Shape(*(figures[place] for figures in told.figures()))
    return shapes


def shape(values: Values, levels: Values, since: int = 0) -> Shape:
    """The shape of a pool of ``[series, nights]``, NaN for a night without a value; `levels` counts the marks
    up to each night. Each night's is from the nights before it; of nights before `since` nothing is told."""
    told = no_pool(values.shape[1])
    for night in range(FIRST_LOOK, values.shape[1], LOOK_EVERY):
        if night + LOOK_EVERY <= since:
            continue
        known = slice(max(0, night - MEMORY), night)
        for figures, figure in zip(told.figures(), _look(values[:, known], levels[:, known]), strict=True):
            figures[night:] = figure
    return told


def _look(values: Values, levels: Values) -> tuple[float, float, float, float]:
    """Correlation, its variance among members, share of outliers, worth."""
    near, roughly = _differences(values, levels, 1)
    told = np.isfinite(near)
    pairs = told.sum(axis=1)
    known = (pairs >= _FEWEST) & (roughly > 0)
    if known.sum() < MEMBERS:
        return 0.0, 0.0, 0.0, 1.0
    values, levels, near, told, pairs = values[known], levels[known], near[known], told[known], pairs[known]
    far = np.mean([_mean_square(*_differences(values, levels, lag)) for lag in _LAGS], axis=0)
    ratio = _mean_square(near, roughly[known]) / far
    correlations = 1 - ratio * (1 - np.clip(1 - ratio, 0, 1) ** _LAGS[1])
    correlations += (0.7 + 2 * correlations) / pairs  # its bias, by simulation
    # An outlier is in two differences.
    outliers = np.sum(np.abs(np.where(told, near, 0.0)) > OUTLYING) / pairs.sum() / 2
    chance = _VARIANCE * (1 + _SPIKED * outliers) * np.mean(1 / pairs)
    between = np.var(correlations, ddof=1) - _CHANCE * chance
    return float(np.mean(correlations)), max(0.0, float(between)), float(outliers), _worth(near, told)


def _differences(values: Values, levels: Values, lag: int) -> tuple[Values, Values]:
    """Between nights so far apart on one level, in their rough standard deviations, and these."""
    apart = values[:, lag:] - values[:, :-lag]
    apart = np.where(levels[:, lag:] == levels[:, :-lag], apart, np.nan)
    some = np.isfinite(apart).any(axis=1)
    roughly = np.zeros(len(values))
    # Where nothing is missing the plain median says the same in a fifth of the time.
    middle = np.nanmedian if np.isnan(apart).any() else np.median
    roughly[some] = middle(np.abs(apart[some]), axis=1) * NORMAL_MAD
    return apart / np.where(roughly > 0, roughly, 1.0)[:, None], roughly


def _mean_square(standardised: Values, roughly: Values) -> Values:
    some = np.isfinite(standardised)
    squares = np.where(some, np.clip(standardised, -WINSOR, WINSOR), 0.0) ** 2
    return np.asarray(roughly**2 * squares.sum(axis=1) / np.maximum(1, some.sum(axis=1)))


def _worth(near: Values, told: Values) -> float:
    """How many independent members would know as much: their errors correlate as the square of theirs do."""
    moves = np.where(told, np.clip(near, -WINSOR, WINSOR), 0.0)
    lengths = np.sqrt(np.sum(moves**2, axis=1))
    together = (moves @ moves.T) / np.outer(lengths, lengths)
    members = len(near)
    squares = (np.sum(together**2) - members) / (members * (members - 1))
    by_chance = 1.5 / np.mean(told.sum(axis=1))
    return float(members / (1 + (members - 1) * max(0.0, squares - by_chance)))
