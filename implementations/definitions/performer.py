"""Performer, arXiv:2009.14794, equation 7: positive random features with the columns that the layer holds.

phi(x) = exp(W^T y - |y|^2 / 2) / sqrt(m), y = x / d^(1/4), and no stabilising factors, which cancel.
"""

import numpy as np

from implementations.definitions.linear import weighted_mean
from implementations.definitions.projected import Array, Given, Mixture


def features(tokens: Array, columns: Array) -> Array:
    """phi of each token `[..., d]`."""
    scaled = tokens / tokens.shape[-1] ** 0.25
    exponents = scaled @ columns - np.sum(scaled**2, axis=-1, keepdims=True) / 2
    mapped: Array = np.exp(exponents) / np.sqrt(columns.shape[-1])
    return mapped


def mix(given: Given, value: Array) -> Array:
    """The mean by products of features; `options` only say how the columns were drawn."""
    columns = given.weights["features"].astype(np.float64)
    query, key = (features(x, columns) for x in (given.of_tokens("query"), given.of_source("key")))
    return weighted_mean(query @ key.swapaxes(-1, -2), value, given.visible())


layer = Mixture(mix)
