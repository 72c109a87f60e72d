"""The strided pattern of the Sparse Transformer, arXiv:1904.10509, section 4.3, both sets in every head."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import Array, projected
from implementations.definitions.softmax import mix as softmax_mix


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
    """Softmax attention over the union of the paper's two sets; both sides of a query unless causal."""
    length = tokens.shape[1]
    # An option of 0 leaves the stride to the layer's `max_length`, here that of these tokens.
    stride = options.get("stride", 0) or max(1, round(length**0.5))
    pattern = union_of_both(length, stride)

    def mix(query: Array, key: Array, value: Array, visible: Array) -> Array:
        return softmax_mix(query, key, value, visible & pattern)

    return projected(mix)(
        tokens,
        context=context,
        padding=padding,
        causal=causal,
        weights=weights,
        heads=heads,
        options={},
    )


def union_of_both(length: int, stride: int) -> Array:
    """``[length, length]``: True where key j is in a set of query i, the future left to causality."""
    pattern: Array = np.zeros((length, length), dtype=bool)
    for i in range(length):
        first = set(range(max(0, i - stride), min(length, i + stride + 1)))
        second = {j for j in range(length) if (i - j) % stride == 0}
        for j in first | second:
            pattern[i, j] = True
    return pattern
