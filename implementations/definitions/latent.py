"""Multi-head latent attention, arXiv:2405.04434, appendix C, equations 37 to 47, one query and key at a time.

Keys and values are built for every token; RoPE turns channel c with channel c + rope_width / 2, as complex
numbers here.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import Array, linear, softmax, who_sees_whom

ROTARY_BASE = 10_000.0
EPSILON = 1e-6


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
    """One sequence, head and query after another."""
    source = tokens if context is None else context
    visible = who_sees_whom(tokens, source, padding, causal=causal)
    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    mixed = np.stack(
        [_sequence(*parts, exact, heads, options) for parts in zip(tokens, source, visible, strict=True)]
    )
    return linear(mixed, weights, "output")


def _sequence(
    tokens: Array,
    source: Array,
    visible: Array,
    weights: Mapping[str, Array],
    heads: int,
    options: Mapping[str, Any],
) -> Array:
    """``[time, heads * head_width]`` of one sequence."""
    rope = options["rope_width"]
    width = weights["key.kernel"].shape[1] // heads
    compressed = tokens.astype(np.float64)
    if options["query_rank"]:
        compressed = _normalised(
            compressed @ weights["query_down.kernel"], weights["query_latent_norm.scale"]
        )
    queries = linear(compressed, weights, "query").reshape(len(tokens), heads, width + rope)
    latents = _normalised(source @ weights["down.kernel"], weights["latent_norm.scale"])
    keys, values = (
        (latents @ weights[name]).reshape(len(source), heads, width)
        for name in ("key.kernel", "value.kernel")
    )
    shared = [_turned(row @ weights["rotary_key.kernel"], place) for place, row in enumerate(source)]
    mixed = np.zeros((len(tokens), heads, width))
    for place in range(len(tokens)):
        for head in range(heads):
            plain, turned = queries[place, head, :width], _turned(queries[place, head, width:], place)
            scores = [
                (plain @ key[head] + turned @ rotary) / np.sqrt(width + rope)
                for key, rotary in zip(keys, shared, strict=True)
            ]
            mixed[place, head] = softmax(np.array(scores), visible[place]) @ values[:, head]
    return mixed.reshape(len(tokens), heads * width)


def _normalised(rows: Array, scale: Array) -> Array:
    normalised: Array = rows / np.sqrt(np.mean(rows**2, axis=-1, keepdims=True) + EPSILON) * scale
    return normalised


def _turned(channels: Array, place: int) -> Array:
    half = len(channels) // 2
    numbers = channels[:half] + 1j * channels[half:]
    numbers = numbers * np.exp(1j * place * ROTARY_BASE ** (-np.arange(half) / half))
    return np.concatenate([numbers.real, numbers.imag])
