"""BigBird's pattern, arXiv:2007.14062, section 2 and appendix D, global blocks among the sequence's own."""

import numpy as np

from implementations.definitions.pattern import seen_through
from implementations.definitions.projected import Array


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
    seen: Array = np.zeros((length, length), dtype=bool)
    for i in range(length):
        one = i // block
        drawn = random_choice(one, window_blocks, global_blocks, random_blocks, seed)
        for j in range(length):
            other = j // block
            in_window = abs(one - other) <= window_blocks // 2
            in_global = one < global_blocks or other < global_blocks
            seen[i, j] = in_window or in_global or other in drawn
    return seen


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


def pattern(length: int, causal: bool, **options: int) -> Array:
    """The same whether causal or not."""
    return tokens_seen(length, **options)


layer = seen_through(pattern)
"""Softmax attention over the tokens of the blocks that each query's block sees."""
