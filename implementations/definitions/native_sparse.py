"""Native sparse attention, arXiv:2502.11089, equations 3 to 12, query by query and block by block."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import (
    Array,
    WithoutRows,
    join,
    linear,
    softmax,
    split,
    who_sees_whom,
)

DEFAULTS = {
    "compression_block": 32,
    "compression_stride": 16,
    "selection_block": 64,
    "selected": 16,
    "window": 512,
}


def _layer(
    tokens: Array,
    *,
    context: Array | None,
    padding: Array | None,
    causal: bool,
    weights: Mapping[str, Array],
    heads: int,
    options: Mapping[str, Any],
) -> Array:
    """The whole layer; keys and values hold the three branches' heads one after the other."""
    sizes = DEFAULTS | dict(options)
    source = tokens if context is None else context
    query = split(linear(tokens, weights, "query"), heads)
    key, value = (split(linear(source, weights, name), 3 * heads) for name in ("key", "value"))
    gates = 1 / (1 + np.exp(-linear(tokens, weights, "gate")))
    visible = who_sees_whom(tokens, source, padding, causal=causal)
    real = np.ones(source.shape[:2], dtype=bool) if padding is None else padding
    mixed = np.zeros_like(query)
    for batch, head, place in np.ndindex(query.shape[:3]):
        own = [(part[batch, branch * heads + head]) for branch in range(3) for part in (key, value)]
        asking = query[batch, head, place] / np.sqrt(query.shape[-1])
        answers = one_query(asking, place, own, visible[batch, place], real[batch], causal, weights, sizes)
        for branch, answer in enumerate(answers):
            mixed[batch, head, place] += gates[batch, place, branch * heads + head] * answer
    return linear(join(mixed), weights, "output")


layer = WithoutRows(
    _layer, "its compressed values come out of a network with a bend: no one weight stands between two tokens"
)


def one_query(
    query: Array,
    place: int,
    branches: list[Array],
    visible: Array,
    real: Array,
    causal: bool,
    weights: Mapping[str, Array],
    sizes: Mapping[str, int],
) -> list[Array]:
    """What the compressed, the selected and the window branch answer."""
    compressed_key, seen = compress(branches[0], place, real, causal, weights, "key_compression", sizes)
    compressed_value, _ = compress(branches[1], place, real, causal, weights, "value_compression", sizes)
    attention = softmax(compressed_key @ query, seen)
    selected = tokens_of_best_blocks(attention, place, visible, sizes)
    distance = place - np.arange(len(visible))
    near = (distance < sizes["window"]) if causal else abs(distance) <= sizes["window"] // 2
    return [
        attention @ compressed_value,
        softmax(branches[2] @ query, visible & selected) @ branches[3],
        softmax(branches[4] @ query, visible & near) @ branches[5],
    ]


def compress(
    tokens: Array,
    place: int,
    real: Array,
    causal: bool,
    weights: Mapping[str, Array],
    name: str,
    sizes: Mapping[str, int],
) -> tuple[Array, Array]:
    """Equation 7: every block that begins in the sequence, and whether this query sees it."""
    size, stride = sizes["compression_block"], sizes["compression_stride"]
    blocks, seen = [], []
    for begin in range(0, len(tokens), stride):
        block = np.zeros((size, tokens.shape[1]))
        for number in range(begin, min(begin + size, len(tokens))):
            if real[number]:
                block[number - begin] = tokens[number]
        placed = (block + weights[f"{name}.positions"]).reshape(-1)
        hidden = np.maximum(linear(placed, weights, f"{name}.hidden"), 0.0)
        blocks.append(linear(hidden, weights, f"{name}.output"))
        seen.append(real[begin : begin + size].any() and (not causal or begin + size - 1 <= place))
    return np.stack(blocks), np.array(seen)


def tokens_of_best_blocks(attention: Array, place: int, visible: Array, sizes: Mapping[str, int]) -> Array:
    """Equations 9, 11 and 12: True for the tokens of the selected blocks."""
    size, stride, length = sizes["selection_block"], sizes["compression_stride"], len(visible)
    ranking = []
    for block in range(-(-length // size)):
        if not visible[block * size : (block + 1) * size].any():
            continue
        always = block in (0, place // size, place // size - 1)
        importance = 0.0
        for compressed, weight in enumerate(attention):
            first = compressed * stride
            shared = min(first + sizes["compression_block"], (block + 1) * size) - max(first, block * size)
            importance += weight * max(shared, 0) / stride
        ranking.append((not always, -importance, block))
    chosen = np.zeros(length, dtype=bool)
    for _, _, block in sorted(ranking)[: sizes["selected"]]:
        chosen[block * size : (block + 1) * size] = True
    return chosen
