"""Talking-heads attention, arXiv:2003.02436, section 4: sums over heads, written as sums."""

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
    """Scores of each head, mixed, through the softmax, mixed again, times the values of each head."""
    source = tokens if context is None else context
    query, key, value = (
        split(linear(x, weights, name), heads)
        for x, name in ((tokens, "query"), (source, "key"), (source, "value"))
    )
    visible = who_sees_whom(tokens, source, padding, causal=causal)
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    maps = [
        softmax(sum(weights["before"][h, g] * scores[:, h] for h in range(heads)), visible)
        for g in range(heads)
    ]
    mixed = np.stack(
        [sum(weights["after"][g, h] * maps[g] for g in range(heads)) @ value[:, h] for h in range(heads)],
        axis=1,
    )
    return linear(join(mixed), weights, "output")
