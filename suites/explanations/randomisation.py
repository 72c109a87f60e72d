"""Does an explanation speak of the model, or only of its architecture and its input?

The explanation of the trained model is held against that of the same model with all its weights redrawn, by
Spearman's rank correlation over an example's features. One that stays the same without what was learnt
explains nothing learnt. Adebayo and others 2018, arXiv:1810.03292, section 3: the model parameter
randomisation test, all layers at once.

Redrawn means here: the entries of every weight array in another order. So an array keeps its distribution,
as a fresh start at the trained scale would have it, and loses its structure; arrays of equal entries (fresh
norms, zero biases) stay, as they would at a fresh start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

# Fixed before any figure was seen: a quarter of the ranks' variance.
THRESHOLD = 0.5
REASON = "explains the architecture, not the model"


def redrawn(weights: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """The weights with the entries of each array of floats shuffled; whole numbers stay."""
    generator = np.random.default_rng(seed)
    return {name: _shuffled(weights[name], generator) for name in sorted(weights)}


def _shuffled(array: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.floating):
        return array
    return generator.permutation(array.ravel()).reshape(array.shape)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation of two lists of importances ``[features]``.

    Where ranks do not exist because all importances are equal: 1 for two lists that are the same, else 0.
    Raises ValueError for lists of different lengths or of fewer than two.
    """
    if one.shape != other.shape or one.ndim != 1 or len(one) < 2:
        raise ValueError(f"two lists of at least 2 importances are needed, got {one.shape} and {other.shape}")
    if np.allclose(one, other, rtol=1e-6, atol=1e-12):
        return 1.0
    if min(np.ptp(one), np.ptp(other)) <= 1e-12:
        return 0.0
    from scipy.stats import spearmanr  # slow to import

    return float(spearmanr(one, other).statistic)


def verdict(correlations: Sequence[float], threshold: float = THRESHOLD) -> str:
    """Why the explanation may not be used; empty where the mean correlation is at most `threshold` from 0.

    Raises ValueError without any correlation.
    """
    if not correlations:
        raise ValueError("the randomisation test needs at least one correlation")
    mean = float(np.mean(correlations))
    if abs(mean) <= threshold:
        return ""
    return (
        f"{REASON}: with all weights redrawn the importances still correlate by {mean:.2f}, "
        f"at most {threshold:g} is allowed"
    )
