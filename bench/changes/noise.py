"""What a nightly series does when nothing changes: its level, its scatter, and how nights hang together.

Everything is estimated from nights before the window that is judged, and so that a spike or a heavy tail
moves it little: the level is a one-step M-estimate from the median, the scatter a winsorised standard
deviation from the median deviation (Huber 1981, chapters 3 and 5), the correlation of neighbouring nights
that of the winsorised residuals. Arrays are ``[series, nights]``; a figure a series is ``[series]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.float64]

WINSOR = 2.5
"""Standard deviations beyond which a residual counts as this many."""
_WINSOR_VARIANCE = 0.94
"""Mean square of a standard normal value that is winsorised there, rounded up for estimating the level."""
NORMAL_MAD = 1.4826
OUTLYING = 3.5
"""Standard deviations beyond which a night counts as an outlier."""
MEMORY = 365
"""Nights that level and noise are taken from at most: the latest."""


@dataclass(frozen=True, slots=True)
class Noise:
    """A figure a series: `level` and `scale` in the values' unit, `correlation` of neighbouring nights,
    `outliers` counted among the `nights` that all but the level were taken from; `level_nights` are
    those behind the level."""

    level: Values
    scale: Values
    correlation: Values
    outliers: Values
    nights: int
    level_nights: int


def estimate(baseline: Values, carried: Values, floor: float) -> Noise:
    """The noise of a `baseline`; `carried` are residuals from before it that belong to the same noise.

    The scale is never below `floor`: a series that has not moved at all would otherwise call anything a
    change.
    """
    middle = np.median(baseline, axis=1, keepdims=True)
    residuals = np.concatenate([carried, baseline - middle], axis=1)
    nights = residuals.shape[1]
    rough = np.median(np.abs(residuals), axis=1, keepdims=True) * NORMAL_MAD * (1 + 0.8 / nights)
    rough = np.maximum(rough, floor)
    level = middle + rough * _winsorised((baseline - middle) / rough).mean(axis=1, keepdims=True)
    residuals[:, carried.shape[1] :] = baseline - level
    squares = _winsorised(residuals / rough) ** 2
    scale = rough * np.sqrt(squares.sum(axis=1, keepdims=True) / ((nights - 1) * _WINSOR_VARIANCE))
    scale = np.maximum(scale, floor)
    return Noise(
        level=level[:, 0],
        scale=scale[:, 0],
        correlation=_correlation(residuals / scale),
        outliers=np.sum(np.abs(residuals) > OUTLYING * scale, axis=1).astype(float),
        nights=nights,
        level_nights=baseline.shape[1],
    )


def _winsorised(standardised: Values) -> Values:
    return np.clip(standardised, -WINSOR, WINSOR)


def _correlation(standardised: Values) -> Values:
    """Of neighbouring nights, freed of most of the bias that comes of estimating the level."""
    kept = _winsorised(standardised)
    kept = kept - kept.mean(axis=1, keepdims=True)
    energy = np.maximum(np.sum(kept**2, axis=1), np.finfo(float).tiny)
    raw = np.sum(kept[:, 1:] * kept[:, :-1], axis=1) / energy
    return np.asarray(raw + (1 + 3 * raw) / kept.shape[1])
