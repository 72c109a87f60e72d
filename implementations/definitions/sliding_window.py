"""Sliding-window attention, arXiv:2004.05150, section 3.1, sinks as in arXiv:2309.17453, section 3.2."""

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
    """Softmax attention over the keys near each query and over the first `sinks`."""
    near = neighbourhood(tokens.shape[1], causal=causal, **options)

    def mix(query: Array, key: Array, value: Array, visible: Array) -> Array:
        return softmax_mix(query, key, value, visible & near)

    return projected(mix)(
        tokens,
        context=context,
        padding=padding,
        causal=causal,
        weights=weights,
        heads=heads,
        options={},
    )


def neighbourhood(length: int, *, causal: bool, window: int = 256, sinks: int = 0) -> Array:
    """``[length, length]``: True where query i may see key j, the future left to causality."""
    near: Array = np.zeros((length, length), dtype=bool)
    for i in range(length):
        for j in range(length):
            within = i - window < j <= i if causal else abs(i - j) <= window // 2
            near[i, j] = within or j < sinks
    return near
