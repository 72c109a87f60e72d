"""Performer, arXiv:2009.14794, equation 7: positive random features with the columns that the layer holds.

phi(x) = exp(W^T y - |y|^2 / 2) / sqrt(m), y = x / d^(1/4), and no stabilising factors, which cancel.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.linear import weighted_mean
from implementations.definitions.projected import Array, projected


def features(tokens: Array, columns: Array) -> Array:
    """phi of each token `[..., d]`."""
    scaled = tokens / tokens.shape[-1] ** 0.25
    exponents = scaled @ columns - np.sum(scaled**2, axis=-1, keepdims=True) / 2
    mapped: Array = np.exp(exponents) / np.sqrt(columns.shape[-1])
    return mapped


def layer(
    tokens: Array,
    *,
    context: Array | None,
    padding: Array | None,
    causal: bool,
    weights: Mapping[str, Array],
    heads: int,
    options: Mapping[str, Any],
) -> Array:
    """The mean by products of features; `options` only say how the columns were drawn."""
    columns = weights["features"].astype(np.float64)

    def mix(query: Array, key: Array, value: Array, visible: Array) -> Array:
        products = features(query, columns) @ features(key, columns).swapaxes(-1, -2)
        return weighted_mean(products, value, visible)

    return projected(mix)(
        tokens, context=context, padding=padding, causal=causal, weights=weights, heads=heads, options={}
    )
