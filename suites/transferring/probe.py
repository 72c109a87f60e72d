"""Linear probes: what a linear head makes of features that are left as they are.

Logistic regression (scikit-learn) on standardised features, its regularisation chosen on validation examples.
What a frozen encoder holds is read off so since Alain and Bengio 2016, arXiv:1610.01644.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.learning.scoring import NotFiniteError

REGULARISATIONS = (0.001, 0.01, 0.1, 1.0)
STEPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A linear head on features: ``logits = features @ kernel + bias``."""

    kernel: np.ndarray
    bias: np.ndarray

    def right(self, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """1.0 where the largest logit is the label's ``[examples]``."""
        answers = (features @ self.kernel + self.bias).argmax(axis=1)
        right: np.ndarray = answers == labels
        return right.astype(np.float64)


def fit_head(
    features: np.ndarray, labels: np.ndarray, validated: np.ndarray, validation_labels: np.ndarray
) -> Head:
    """The logistic regression that does best on the validation side.

    Raises NotFiniteError for features that are not finite.
    """
    if not (np.isfinite(features).all() and np.isfinite(validated).all()):
        raise NotFiniteError("features of the encoder are not finite")
    linear_model: Any = importlib.import_module("sklearn.linear_model")
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    heads = []
    for regularisation in REGULARISATIONS:
        model = linear_model.LogisticRegression(C=regularisation, max_iter=STEPS)
        model.fit((features - mean) / scale, labels)
        heads.append(_head_of(model, mean, scale))
    return max(heads, key=lambda head: float(head.right(validated, validation_labels).mean()))


def _head_of(model: Any, mean: np.ndarray, scale: np.ndarray) -> Head:
    """scikit-learn's model of standardised features as a head of the features themselves."""
    kernel, bias = model.coef_.T, model.intercept_
    if kernel.shape[1] == 1:
        # Of two classes it keeps the second's logit alone.
        kernel, bias = np.hstack([0 * kernel, kernel]), np.array([0.0, bias[0]])
    kernel = kernel / scale[:, None]
    return Head(kernel=kernel.astype(np.float32), bias=(bias - mean @ kernel).astype(np.float32))
