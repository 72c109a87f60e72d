"""The strided pattern of the Sparse Transformer, arXiv:1904.10509, section 4.3, both sets in every head."""

import numpy as np

from implementations.definitions.pattern import seen_through
from implementations.definitions.projected import Array


def union_of_both(length: int, stride: int) -> Array:
    """``[length, length]``: True where key j is in a set of query i, the future left to causality."""
    seen: Array = np.zeros((length, length), dtype=bool)
    for i in range(length):
        first = set(range(max(0, i - stride), min(length, i + stride + 1)))
        second = {j for j in range(length) if (i - j) % stride == 0}
        for j in first | second:
            seen[i, j] = True
    return seen


def pattern(length: int, causal: bool, *, stride: int = 0) -> Array:
    """The same whether causal or not.

    An option of 0 leaves the stride to the layer's `max_length`, here the length of these tokens.
    """
    return union_of_both(length, stride or max(1, round(length**0.5)))


layer = seen_through(pattern)
"""Softmax attention over the union of the paper's two sets; both sides of a query unless causal."""
