"""cosFormer, arXiv:2202.08791, equation 10: relu(q_i) . relu(k_j) cos(pi / 2 * (i - j) / M), normalised.

M is the weight `longest`, the largest length the layer was built for.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.linear import weighted_mean
from implementations.definitions.projected import Array, projected


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
    """All weights of all pairs, and the mean by them."""
    longest = int(weights["longest"])

    def mix(query: Array, key: Array, value: Array, visible: Array) -> Array:
        offsets = np.arange(query.shape[2])[:, None] - np.arange(key.shape[2])
        products = np.maximum(query, 0) @ np.maximum(key, 0).swapaxes(-1, -2)
        return weighted_mean(products * np.cos(np.pi / 2 * offsets / longest), value, visible)

    return projected(mix)(
        tokens, context=context, padding=padding, causal=causal, weights=weights, heads=heads, options={}
    )
