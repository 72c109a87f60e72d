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

import numpy as np
import numpy.typing as npt

from bench.changes.noise import MEMORY, Noise, Values, estimate
from bench.changes.pools import Shape
from bench.changes.rules import (
    LONG,
    LONG_POOLED,
    PLAIN,
    SHORT,
    SHORT_POOLED,
    SHORT_WINDOW,
    THRESHOLD,
    Known,
    blended,
    known,
)

WINDOWS = (3, 4, 5, 6, 7, 8, 10, 12)
"""Nights that may carry a step when it is found. Two spikes of one sign in two nights are too common for
a window of two, so that no step is found before its third night."""
NOISE_NIGHTS = 24
"""Nights without a step that must be known before anything is called one."""
LEVEL_NIGHTS = 6
"""Those of them that must belong to the level which the step leads away from."""


def scores(
    values: Values, carried: Values, smallest: float, pool: Shape, since: int = 0
) -> tuple[Values, npt.NDArray[np.int64]]:
    """For each night the highest score of its windows over the threshold (from 1 on it is a step), and the
    window's length.

    `values` is ``[series, nights]`` since the last step, `carried` ``[series, nights]`` are residuals from
    before it, `pool` what was known of its pool each night. A step smaller than `smallest` is none; nights
    before `since` are not looked at. Each night knows only the nights before it.
    """
    highest = np.zeros_like(values)
    windows = np.zeros(values.shape, dtype=np.int64)
    carried = carried[:, -MEMORY:]
    first = max(LEVEL_NIGHTS, NOISE_NIGHTS - carried.shape[1], since + 1 - WINDOWS[-1])
    for start in range(first, values.shape[1] - WINDOWS[0] + 1):
        noise = estimate(values[:, max(0, start - MEMORY) : start], carried, smallest / 3)
        held = known(noise, pool.on(start))
        for window in WINDOWS:
            night = start + window - 1
            if night < since:
                continue
            if night >= values.shape[1]:
                break
            found = _score(values[:, start - 1 : night + 1], noise, held, smallest) / THRESHOLD
            better = found > highest[:, night]
            windows[better, night] = window
            highest[better, night] = found[better]
    return highest, windows


def _score(nights: Values, noise: Noise, held: Known, smallest: float) -> Values:
    """The score of a step at the second of these nights that goes on to the last."""
    window = nights.shape[1] - 1
    rules = (SHORT, SHORT_POOLED) if window <= SHORT_WINDOW else (LONG, LONG_POOLED)
    winsor, few, young, linear, square, outlying, agreeing, quiet, factor = blended(*rules, held.unknown)
    distances = (nights - noise.level[:, None]) / noise.scale[:, None]
    kept = np.clip(distances, -winsor[:, None], winsor[:, None])
    correlation, drop = held.correlation, 1 - held.correlation
    rest = kept[:, 2:].sum(axis=1) - correlation * kept[:, 1:-1].sum(axis=1)
    information = 1 + (window - 1) * drop**2
    variance = (1 - correlation**2) * information
    variance *= 1 + 1.06 * information / (noise.level_nights * drop**2)
    score = np.abs(kept[:, 1] - correlation * kept[:, 0] + drop * rest) / np.sqrt(variance)
    score *= 1 - few / noise.nights - (young / noise.nights) ** 2
    score /= (1 + linear * correlation + square * correlation**2) * (1 + outlying * held.heavy)
    direction = np.sign(kept[:, 1:].sum(axis=1, keepdims=True))
    # As many nights may dissent as there are whole fours: one in a window of four, none in three.
    dissenting = np.sort(distances[:, 1:] * direction, axis=1)[:, window // 4]
    score = np.where(dissenting > quiet + (agreeing - quiet) * held.heavy, score / factor, 0.0)
    # Winsorised nights have a highest score, which few or correlated nights keep below the threshold.
    nearest = (distances[:, 1:] * direction).min(axis=1)
    score = np.maximum(score, THRESHOLD * nearest / PLAIN)
    size = np.abs(np.median(nights[:, 1:], axis=1) - noise.level)
    return np.asarray(np.where(size >= smallest, score, 0.0))


def locate(values: Values, noise: Noise, latest: int) -> npt.NDArray[np.int64]:
    """Where the step to some of the last `latest` nights most likely began, by least squares."""
    kept = np.clip((values - noise.level[:, None]) / noise.scale[:, None], -3 * WINDOWS[0], 3 * WINDOWS[0])
    lengths = np.arange(WINDOWS[0], latest + 1)
    sums = np.stack([kept[:, -length:].sum(axis=1) for length in lengths], axis=1)
    gains = sums**2 / (lengths * (1 + lengths / noise.level_nights))
    return np.asarray(values.shape[1] - lengths[np.argmax(gains, axis=1)])
