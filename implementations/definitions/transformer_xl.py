"""Transformer-XL, arXiv:1901.02860, section 3.3: the four terms (a) to (d) of each score, one by one."""

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
    """Without memory. A context must be as long as the tokens."""
    source = tokens if context is None else context
    visible = who_sees_whom(tokens, source, padding, causal=causal)
    return attended(tokens, source, visible, weights, heads)


def with_memory(
    tokens: Array, memory: Array, *, causal: bool, weights: Mapping[str, Array], heads: int
) -> Array:
    """`tokens [batch, time, width]` after those of `memory [batch, past, width]`, all of which they see."""
    source = np.concatenate((memory, tokens), axis=1)
    time, length = tokens.shape[1], source.shape[1]
    earlier = np.arange(length) <= np.arange(time)[:, None] + memory.shape[1]
    visible = np.broadcast_to(earlier | (not causal), (len(tokens), time, length))
    return attended(tokens, source, visible, weights, heads)


def attended(tokens: Array, source: Array, visible: Array, weights: Mapping[str, Array], heads: int) -> Array:
    """Attention of tokens that are the last of their source."""
    query, key, value = (
        split(linear(x, weights, name), heads)
        for x, name in ((tokens, "query"), (source, "key"), (source, "value"))
    )
    time, length, head_width = tokens.shape[1], source.shape[1], query.shape[-1]
    scores = np.zeros((len(tokens), heads, time, length))
    for i in range(time):
        for j in range(length):
            distance = length - time + i - j
            wave = sinusoid(distance, tokens.shape[-1]) @ weights["position.kernel"].astype(np.float64)
            for head in range(heads):
                r = wave[head * head_width : (head + 1) * head_width]
                u, v = weights["content_bias"][head], weights["position_bias"][head]
                q, k = query[:, head, i], key[:, head, j]
                scores[:, head, i, j] = (q * k).sum(axis=-1) + q @ r + k @ u + v @ r
    mixed = softmax(scores / np.sqrt(head_width), visible[:, None]) @ value
    return linear(join(mixed), weights, "output")


def sinusoid(distance: int, width: int) -> Array:
    """Sines of all wavelengths, then cosines; the last cosine is left out of an odd width."""
    angles = [distance / 10_000 ** (channel / width) for channel in range(0, width, 2)]
    wave: Array = np.array([*map(np.sin, angles), *map(np.cos, angles)])[:width]
    return wave
