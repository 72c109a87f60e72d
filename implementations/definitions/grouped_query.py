"""Multi-query and grouped-query attention, arXiv:1911.02150 section 3 and arXiv:2305.13245 section 2.2.

How many heads the keys have is read from their weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import Array, join, linear, softmax, split, who_sees_whom


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
    """Head by head, each with the keys and values of its group."""
    source = tokens if context is None else context
    query = split(linear(tokens, weights, "query"), heads)
    head_width = query.shape[-1]
    key_heads = weights["key.kernel"].shape[1] // head_width
    key, value = (split(linear(source, weights, name), key_heads) for name in ("key", "value"))
    visible = who_sees_whom(tokens, source, padding, causal=causal)
    mixed = np.zeros_like(query)
    for head in range(heads):
        group = head * key_heads // heads
        for sequence in range(len(tokens)):
            scores = query[sequence, head] @ key[sequence, group].T / np.sqrt(head_width)
            mixed[sequence, head] = softmax(scores, visible[sequence]) @ value[sequence, group]
    return linear(join(mixed), weights, "output")
