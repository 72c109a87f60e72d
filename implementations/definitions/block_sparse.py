"""BigBird's pattern, arXiv:2007.14062, section 2 and appendix D, global blocks among the sequence's own."""

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
    """Softmax attention over the tokens of the blocks that each query's block sees."""
    pattern = tokens_seen(tokens.shape[1], **options)

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


def tokens_seen(
    length: int,
    *,
    block: int = 64,
    window_blocks: int = 3,
    global_blocks: int = 2,
    random_blocks: int = 3,
    seed: int = 0,
) -> Array:
    """``[length, length]``: True where query i may see key j, the future left to causality."""
    pattern: Array = np.zeros((length, length), dtype=bool)
    for i in range(length):
        one = i // block
        drawn = random_choice(one, window_blocks, global_blocks, random_blocks, seed)
        for j in range(length):
            other = j // block
            in_window = abs(one - other) <= window_blocks // 2
            in_global = one < global_blocks or other < global_blocks
            pattern[i, j] = in_window or in_global or other in drawn
    return pattern


def random_choice(
    one: int, window_blocks: int, global_blocks: int, random_blocks: int, seed: int
) -> set[int]:
    """The first distinct candidates that block `one`'s own generator names.

    Candidates are the blocks below the smallest power of two above `one`, without the global ones and
    without the window, whether or not the sequence is as long.
    """
    population = 1
    while population <= one:
        population *= 2
    candidates = {j for j in range(population) if j >= global_blocks and abs(one - j) > window_blocks // 2}
    generator = np.random.default_rng([seed, one])
    drawn: set[int] = set()
    while len(drawn) < min(random_blocks, len(candidates)):
        number = int(generator.integers(population))
        if number in candidates:
            drawn.add(number)
    return drawn
