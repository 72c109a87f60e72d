"""How far a score is brought down before it is held against the threshold, and what that rests on.

For a series alone the rules must hold for any noise. In a pool whose noise is known they ask less: what is in
between is blended by how much of the noise is still unknown. The constants were chosen by simulation on seeds
other than those that `tests/proof/change_points.py` reports on.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from bench.changes.noise import Noise, Values
from bench.changes.pools import Shape

THRESHOLD = 4.22
HIGHEST_CORRELATION = 0.85
PLAIN = 6.5
"""Standard deviations beyond which every night of a window lies only where there is a step, in any noise."""
MANY_OUTLIERS = 0.02
"""The share of nights, beyond 3.5 standard deviations, from which noise counts as heavy-tailed."""
STRETCH, ALLOWED, ALLOWED_FEW = 1.23, 0.053, 0.21
"""Alone, the correlation is its estimate times the first, less the second and less the third's standard
errors: what chance alone gives is not taken for correlation, what is more than that is taken seriously."""
LIKE, UNLIKE = 0.1, 0.2
"""A member whose correlation exceeds its pool's by less than the first is taken to be like it; one beyond the
second stands alone, whatever the pool knows."""
FEW, ENOUGH = 36, 60
"""With so few nights of its own a member stands alone; from the second on the limits above decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a score is brought down before it is held against the threshold, for windows of one kind.

    `winsor` is in standard deviations; `few` a loss over the number of nights (below 0: a gain), `young` one
    over its square; `linear` and `square` are factors of the correlation, `outlying` of outliers as far as
    there are many; `agreeing` is how far, in standard deviations, three of four nights must lie out for it
    to be a step rather than a burst of spikes, `quiet` how far where there are no outliers.
    """

    winsor: float
    few: float
    young: float
    linear: float
    square: float
    outlying: float
    agreeing: float
    quiet: float
    factor: float


SHORT_WINDOW = 4
SHORT = Rule(
    winsor=3.0,
    few=1.8,
    young=0.0,
    linear=0.2,
    square=1.5,
    outlying=0.115,
    agreeing=0.9,
    quiet=0.9,
    factor=1.03,
)
LONG = Rule(
    winsor=2.5, few=5.7, young=0.0, linear=0.0, square=4.5, outlying=0.05, agreeing=0.8, quiet=0.8, factor=1.0
)
SHORT_POOLED = Rule(
    winsor=2.5,
    few=-2.5,
    young=8.0,
    linear=0.0,
    square=-0.2,
    outlying=0.155,
    agreeing=0.9,
    quiet=0.0,
    factor=0.93,
)
LONG_POOLED = Rule(
    winsor=2.25,
    few=-2.5,
    young=8.0,
    linear=-0.05,
    square=-0.45,
    outlying=0.07,
    agreeing=0.8,
    quiet=0.0,
    factor=0.93,
)


@dataclass(frozen=True, slots=True)
class Known:
    """What is held about each series' noise on a night, ``[series]``: `unknown` is 1 where its own nights are
    all there is to learn it from, towards 0 where its pool knows; `heavy` is 1 where outliers are many."""

    correlation: Values
    heavy: Values
    unknown: Values


def known(noise: Noise, pool: Shape) -> Known:
    """The noise of each series as its own nights and its pool tell it; `pool` holds ``[series]``."""
    chance = 1 / noise.nights
    own = pool.between / (pool.between + chance)
    excess = noise.correlation - pool.correlation
    unlike = np.clip((excess - LIKE) / (UNLIKE - LIKE), (ENOUGH - noise.nights) / (ENOUGH - FEW), 1.0)
    unknown = np.maximum(unlike, np.sqrt(1.5 * own + 1 / pool.worth))
    unknown = np.where(pool.worth > 1, np.clip(unknown, 0.0, 1.0), 1.0)
    alone = STRETCH * noise.correlation - ALLOWED - ALLOWED_FEW * np.sqrt(chance)
    together = pool.correlation + own * excess
    correlation = np.clip(unknown * alone + (1 - unknown) * together, 0.0, HIGHEST_CORRELATION)
    outliers = np.maximum(noise.outliers / noise.nights, pool.outliers)
    return Known(correlation, np.minimum(outliers / MANY_OUTLIERS, 1), unknown)


def blended(alone: Rule, pooled: Rule, unknown: Values) -> tuple[Values, ...]:
    """Each of a rule's figures, in their order, ``[series]``."""
    pairs = zip(astuple(alone), astuple(pooled), strict=True)
    return tuple(np.asarray(unknown * one + (1 - unknown) * other) for one, other in pairs)
