"""How far a classifier's probabilities can be taken at their word, on untouched test examples.

All figures are of the softmax of the logits as they are: no temperature is fitted.

The calibration error is the debiased L2 error of the answer's confidence (Kumar, Liang and Ma 2019,
arXiv:1909.10155, section 5: the plug-in estimate less its bias in each bin):

    E^2 = sum over bins of share * ((confidence - accuracy)^2 - accuracy * (1 - accuracy) / (count - 1))

with bins of equal mass. The usual estimate calls a calibrated model miscalibrated, by more the fewer
examples a bin holds; this one scatters around 0 for it, and so can be below. The error is the square's
root, 0 below 0; take the square to average over seeds. Binning itself can only hide error, so it is a lower
bound. `ece` is the customary L1 figure (Guo et al. 2017, arXiv:1706.04599) in the same bins, with its bias,
to be held against others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Raw figures: those of an example ``[n]``, those of a bin ``[bins]``, and two of all.

    `brier` is the squared distance of the probabilities from the right class's corner (0 to 2; Brier 1950),
    `nll` the right class's negative log probability in nats, `confidence` the answer's probability.
    `squared_error` is the debiased squared calibration error (below 0 where it is all noise), `ece` the
    biased L1 one. Bins go from the least confident to the most.
    """

    brier: np.ndarray
    nll: np.ndarray
    confidence: np.ndarray
    right: np.ndarray
    bin_confidence: np.ndarray
    bin_accuracy: np.ndarray
    bin_counts: np.ndarray
    squared_error: float
    ece: float

    @property
    def error(self) -> float:
        """The debiased calibration error, 0 where its square is estimated below 0."""
        return math.sqrt(max(self.squared_error, 0.0))


def calibration(logits: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Calibration:
    """The figures of logits ``[n, classes]`` and labels ``[n]``, in at most `bins` bins.

    Raises:
        ArithmeticError: a logit is not finite.
        ValueError: there are fewer than two examples a bin, or less than one bin.
    """
    if not np.isfinite(logits).all():
        raise ArithmeticError("calibration needs logits that are finite")
    rows = np.arange(len(labels))
    logs = special.log_softmax(logits.astype(np.float64), axis=-1)
    off = np.exp(logs)
    off[rows, labels] -= 1
    confidence, right = np.exp(logs.max(axis=-1)), logits.argmax(axis=-1) == labels
    mean_confidence, accuracy, counts = _binned(confidence, right, equal_mass(confidence, bins))
    gap, share = mean_confidence - accuracy, counts / len(labels)
    bias = accuracy * (1 - accuracy) / (counts - 1)
    return Calibration(
        brier=(off**2).sum(axis=-1),
        nll=-logs[rows, labels],
        confidence=confidence,
        right=right,
        bin_confidence=mean_confidence,
        bin_accuracy=accuracy,
        bin_counts=counts,
        squared_error=float((share * (gap**2 - bias)).sum()),
        ece=float((share * np.abs(gap)).sum()),
    )


def figures_of(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """What a table shows: the debiased error ``[1]``, and Brier score and NLL of each example ``[n]``.

    Fewer than `2 * BINS` examples get fewer bins. Raises as `calibration` does.
    """
    found = calibration(logits, labels, min(BINS, len(labels) // 2))
    return {
        "calibration_error": np.array([found.error]),
        "brier": found.brier,
        "negative_log_likelihood": found.nll,
    }


def equal_mass(confidence: np.ndarray, bins: int) -> np.ndarray:
    """The number of each example's bin ``[n]``: at most `bins`, as equally filled as may be, two at least
    in each.

    Equal confidences are never parted, or the order of the examples would decide. Raises ValueError for
    fewer than two examples a bin.
    """
    total = len(confidence)
    if bins < 1 or total < 2 * bins:
        raise ValueError(f"{total} examples cannot fill {bins} bins with two each")
    _, value, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    bin_of_value = np.empty(len(counts), dtype=np.int64)
    current, filled, placed, wanted = 0, 0, 0, total / bins
    for number, count in enumerate(counts):
        # Closed where the next confidence would overshoot what is wanted by more than the bin falls short.
        if 2 * filled + count > 2 * wanted and filled >= 2 and current < bins - 1:
            current, filled = current + 1, 0
            wanted = (total - placed) / (bins - current)
        bin_of_value[number] = current
        filled, placed = filled + count, placed + count
    if filled < 2:
        bin_of_value[bin_of_value == current] = current - 1
    return bin_of_value[value]


def _binned(
    confidence: np.ndarray, right: np.ndarray, bin_numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts = np.bincount(bin_numbers)
    return (
        np.bincount(bin_numbers, confidence) / counts,
        np.bincount(bin_numbers, right.astype(np.float64)) / counts,
        counts,
    )
