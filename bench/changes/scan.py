"""How strongly a night's last few nights speak for a step, and the threshold above which that is one.

For every window of the last k nights the score is that of a step at the window's start under noise in which
neighbouring nights correlate by r (AR(1); the generalised least squares of a step):

    z_1 - r z_0 + (1 - r) sum_i (z_i - r z_(i-1)),   i = 2..k
    over sqrt((1 - r^2) I (1 + I / (n (1 - r)^2))),  I = 1 + (k - 1) (1 - r)^2

with z the nights' distance from the level of the n nights before, in standard deviations and winsorised so
that a few spikes cannot make a step. It is then brought down for what has been estimated only (scale and
correlation from few nights), for correlation and for outliers seen, and held against one threshold. The
constants were chosen by simulation; `tests/proof/change_points.py` shows what they give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.changes.noise import Noise, Values, estimate

WINDOWS = (3, 4, 5, 6, 7, 8, 10, 12)
"""Nights that may carry a step when it is found. Two spikes of one sign in two nights are too common for
a window of two, so that no step is found before its third night."""
NOISE_NIGHTS = 24
"""Nights without a step that must be known before anything is called one."""
LEVEL_NIGHTS = 6
"""Those of them that must belong to the level which the step leads away from."""
MEMORY = 365
"""Nights that level and noise are taken from at most: the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a score is brought down before it is held against the threshold, for windows of one kind.

    `winsor` is in standard deviations; `few` a loss over the number of nights; `linear` and `square` are
    factors of the correlation, `outlying` of outliers as far as there are many; `agreeing` is how far, in
    standard deviations, three of four nights must lie out for it to be a step rather than a burst of spikes.
    """

    winsor: float
    few: float
    linear: float
    square: float
    outlying: float
    agreeing: float
    factor: float


SHORT_WINDOW = 4
SHORT = Rule(winsor=3.0, few=1.8, linear=0.2, square=1.5, outlying=0.115, agreeing=0.9, factor=1.03)
LONG = Rule(winsor=2.5, few=5.7, linear=0.0, square=4.5, outlying=0.05, agreeing=0.8, factor=1.0)
STRETCH, ALLOWED, ALLOWED_FEW = 1.23, 0.053, 0.21
"""The correlation is taken as its estimate times the first, less the second and less the third's standard
errors: what chance alone gives is not taken for correlation, what is more than that is taken seriously."""
HIGHEST_CORRELATION = 0.85
PLAIN = 6.5
"""Standard deviations beyond which every night of a window lies only where there is a step, in any noise."""
MANY_OUTLIERS = 0.02
"""The share of nights, beyond 3.5 standard deviations, from which noise counts as heavy-tailed."""
THRESHOLD = 4.22


def scores(values: Values, carried: Values, smallest: float) -> tuple[Values, npt.NDArray[np.int64]]:
    """For each night the highest score of its windows over the threshold (from 1 on it is a step), and the
    window's length.

    `values` is ``[series, nights]`` since the last step, `carried` ``[series, nights]`` are residuals from
    before it. A step smaller than `smallest` is none. Each night knows only the nights before it.
    """
    highest = np.zeros_like(values)
    windows = np.zeros(values.shape, dtype=np.int64)
    carried = carried[:, -MEMORY:]
    first = max(LEVEL_NIGHTS, NOISE_NIGHTS - carried.shape[1])
    for start in range(first, values.shape[1] - WINDOWS[0] + 1):
        noise = estimate(values[:, max(0, start - MEMORY) : start], carried, smallest / 3)
        for window in WINDOWS:
            night = start + window - 1
            if night >= values.shape[1]:
                break
            found = _score(values[:, start - 1 : night + 1], noise, smallest) / THRESHOLD
            better = found > highest[:, night]
            windows[better, night] = window
            highest[better, night] = found[better]
    return highest, windows


def _score(nights: Values, noise: Noise, smallest: float) -> Values:
    """The score of a step at the second of these nights that goes on to the last."""
    window = nights.shape[1] - 1
    rule = SHORT if window <= SHORT_WINDOW else LONG
    distances = (nights - noise.level[:, None]) / noise.scale[:, None]
    kept = np.clip(distances, -rule.winsor, rule.winsor)
    correlation = _told_correlation(noise)
    drop = 1 - correlation
    rest = kept[:, 2:].sum(axis=1) - correlation * kept[:, 1:-1].sum(axis=1)
    information = 1 + (window - 1) * drop**2
    variance = (1 - correlation**2) * information
    variance *= 1 + 1.06 * information / (noise.level_nights * drop**2)
    score = np.abs(kept[:, 1] - correlation * kept[:, 0] + drop * rest) / np.sqrt(variance)
    score *= 1 - rule.few / noise.nights
    score /= 1 + rule.linear * correlation + rule.square * correlation**2
    score /= 1 + rule.outlying * np.minimum(noise.outliers / noise.nights / MANY_OUTLIERS, 1)
    direction = np.sign(kept[:, 1:].sum(axis=1, keepdims=True))
    # As many nights may dissent as there are whole fours: one in a window of four, none in three.
    dissenting = np.sort(distances[:, 1:] * direction, axis=1)[:, window // 4]
    size = np.abs(np.median(nights[:, 1:], axis=1) - noise.level)
    score = np.where(dissenting > rule.agreeing, score / rule.factor, 0.0)
    # Winsorised nights have a highest score, which few or correlated nights keep below the threshold.
    nearest = (distances[:, 1:] * direction).min(axis=1)
    score = np.maximum(score, THRESHOLD * nearest / PLAIN)
    return np.asarray(np.where(size >= smallest, score, 0.0))


def _told_correlation(noise: Noise) -> Values:
    """The correlation that scores are computed with."""
    told = STRETCH * noise.correlation - ALLOWED - ALLOWED_FEW / np.sqrt(noise.nights)
    return np.asarray(np.clip(told, 0.0, HIGHEST_CORRELATION))


def locate(values: Values, noise: Noise, latest: int) -> npt.NDArray[np.int64]:
    """Where the step to some of the last `latest` nights most likely began, by least squares."""
    kept = np.clip((values - noise.level[:, None]) / noise.scale[:, None], -3 * WINDOWS[0], 3 * WINDOWS[0])
    lengths = np.arange(WINDOWS[0], latest + 1)
    sums = np.stack([kept[:, -length:].sum(axis=1) for length in lengths], axis=1)
    gains = sums**2 / (lengths * (1 + lengths / noise.level_nights))
    return np.asarray(values.shape[1] - lengths[np.argmax(gains, axis=1)])
