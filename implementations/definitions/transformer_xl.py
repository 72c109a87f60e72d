"""Transformer-XL, arXiv:1901.02860, section 3.3: the four terms (a) to (d) of each score, one by one."""

from collections.abc import Mapping

import numpy as np

from implementations.definitions.projected import (
    Array,
    Given,
    Mixture,
    join,
    linear,
    softmax,
    split,
)


def scores_given(given: Given) -> Array:
    """The scores without memory. A context must be as long as the tokens."""
    return scores(given.tokens, given.source, given.weights, given.heads)


def mix(given: Given, value: Array) -> Array:
    """Softmax attention by those scores."""
    mixed: Array = softmax(scores_given(given), given.visible()[:, None]) @ value
    return mixed


layer = Mixture(mix, scores=scores_given)


def with_memory(
    tokens: Array, memory: Array, *, causal: bool, weights: Mapping[str, Array], heads: int
) -> Array:
    """`tokens [batch, time, width]` after those of `memory [batch, past, width]`, all of which they see."""
    source = np.concatenate((memory, tokens), axis=1)
    time, length = tokens.shape[1], source.shape[1]
    earlier = np.arange(length) <= np.arange(time)[:, None] + memory.shape[1]
    visible = np.broadcast_to(earlier | (not causal), (len(tokens), time, length))
    value = split(linear(source, weights, "value"), heads)
    mixed = softmax(scores(tokens, source, weights, heads), visible[:, None]) @ value
    return linear(join(mixed), weights, "output")


def scores(tokens: Array, source: Array, weights: Mapping[str, Array], heads: int) -> Array:
    """The four terms of each score, divided by sqrt(d), of tokens that are the last of their source."""
    query, key = (split(linear(x, weights, name), heads) for x, name in ((tokens, "query"), (source, "key")))
    time, length, head_width = tokens.shape[1], source.shape[1], query.shape[-1]
    found = np.zeros((len(tokens), heads, time, length))
    for i in range(time):
        for j in range(length):
            distance = length - time + i - j
            wave = sinusoid(distance, tokens.shape[-1]) @ weights["position.kernel"].astype(np.float64)
            for head in range(heads):
                r = wave[head * head_width : (head + 1) * head_width]
                u, v = weights["content_bias"][head], weights["position_bias"][head]
                q, k = query[:, head, i], key[:, head, j]
                found[:, head, i, j] = (q * k).sum(axis=-1) + q @ r + k @ u + v @ r
    scaled: Array = found / np.sqrt(head_width)
    return scaled


def sinusoid(distance: int, width: int) -> Array:
    """Sines of all wavelengths, then cosines; the last cosine is left out of an odd width."""
    angles = [distance / 10_000 ** (channel / width) for channel in range(0, width, 2)]
    wave: Array = np.array([*map(np.sin, angles), *map(np.cos, angles)])[:width]
    return wave
