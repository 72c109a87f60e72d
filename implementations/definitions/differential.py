"""Differential attention, arXiv:2410.05258, equations 1 to 3, head by head."""

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
    """Two maps a head, subtracted, times the values, normed, joined; `options` may hold `depth`."""
    source = tokens if context is None else context
    query, key, value = (
        split(linear(x, weights, name), heads)
        for x, name in ((tokens, "query"), (source, "key"), (source, "value"))
    )
    visible = who_sees_whom(tokens, source, padding, causal=causal)
    start = 0.8 - 0.6 * np.exp(-0.3 * (options.get("depth", 1) - 1))
    first, second = (
        np.exp(np.dot(weights[f"{which}_query"].astype(np.float64), weights[f"{which}_key"]))
        for which in ("first", "second")
    )
    mixed = np.zeros((*query.shape[:3], value.shape[-1]))
    for head in range(heads):
        group = query.shape[-1] // 2
        maps = []
        for channels in (slice(0, group), slice(group, 2 * group)):
            scores = query[:, head, :, channels] @ key[:, head, :, channels].swapaxes(1, 2) / np.sqrt(group)
            maps.append(softmax(scores, visible))
        answer = (maps[0] - (first - second + start) * maps[1]) @ value[:, head]
        size = np.sqrt((answer**2).mean(axis=-1, keepdims=True) + 1e-5)
        mixed[:, head] = (1 - start) * answer / size * weights["head_norm.scale"]
    return linear(join(mixed), weights, "output")
