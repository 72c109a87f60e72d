"""Noise of nightly series with a standard deviation of 1, and what one who knows it could make of a step."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

Values: TypeAlias = npt.NDArray[np.float64]

KINDS = ("gaussian", "t3", "AR(1) 0.3", "AR(1) 0.6", "spikes 2%", "spikes 5%")
_LEAST, _MOST = 5.0, 10.0


def noise(kind: str, series: int, nights: int, chance: np.random.Generator) -> Values:
    """``[series, nights]``. Spikes of either sign, 5 to 10 standard deviations, come on top of Gaussian
    noise; t3 has the standard deviation 1, three quarters of which come from its tails."""
    plain = chance.standard_normal((series, nights))
    if kind == "gaussian":
        return plain
    if kind == "t3":
        return np.asarray(chance.standard_t(3, (series, nights)) / np.sqrt(3))
    if kind.startswith("AR(1)"):
        return _correlated(plain, correlation(kind))
    spiked = chance.random((series, nights)) < share(kind)
    signs = chance.choice([-1, 1], (series, nights))
    return np.asarray(plain + spiked * signs * chance.uniform(_LEAST, _MOST, (series, nights)))


def correlation(kind: str) -> float:
    """Of neighbouring nights."""
    return float(kind.split()[1]) if kind.startswith("AR(1)") else 0.0


def share(kind: str) -> float:
    """Of nights with a spike."""
    return float(kind.split()[1].rstrip("%")) / 100 if kind.startswith("spikes") else 0.0


def _correlated(plain: Values, correlated: float) -> Values:
    values = plain.copy()
    for night in range(1, plain.shape[1]):
        values[:, night] = correlated * values[:, night - 1] + np.sqrt(1 - correlated**2) * plain[:, night]
    return values


def _log_density(kind: str, values: Values) -> Values:
    if kind == "t3":
        return np.asarray(t.logpdf(values * np.sqrt(3), 3))
    if share(kind):
        spike = (norm.cdf(np.abs(values) - _LEAST) - norm.cdf(np.abs(values) - _MOST)) / (_MOST - _LEAST) / 2
        return np.asarray(np.log((1 - share(kind)) * norm.pdf(values) + share(kind) * spike + 1e-300))
    return np.asarray(norm.logpdf(values))


def oracle_scores(kind: str, values: Values, size: float) -> Values:
    """Page's CUSUM of the exact log likelihood ratio for a step of `size` either way, night by night."""
    r = correlation(kind)
    spread = np.sqrt(1 - r**2)
    new = values.copy()
    new[:, 1:] = (values[:, 1:] - r * values[:, :-1]) / spread
    highest = np.full_like(values, -np.inf)
    base = _log_density(kind, new)
    for sign in (1, -1):
        first = _log_density(kind, new - sign * size / spread) - base
        later = _log_density(kind, new - sign * size * (1 - r) / spread) - base
        sums = np.full(len(values), -np.inf)
        for night in range(values.shape[1]):
            sums = np.maximum(sums + later[:, night], first[:, night])
            highest[:, night] = np.maximum(highest[:, night], sums)
    return highest
