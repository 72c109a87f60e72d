"""Explicit sparse attention, arXiv:1912.11637, equations 4 to 6: sort a row, cut below the k-th score."""

import numpy as np

from implementations.definitions.projected import Array, products, projected, scaled_products, softmax


def mix(query: Array, key: Array, value: Array, visible: Array, *, kept: int = 32) -> Array:
    """Softmax over the scores that reach the `kept`-th largest of those a query sees, ties included."""
    scores = products(query, key)
    chosen = np.zeros(scores.shape, dtype=bool)
    for batch, head, row in np.ndindex(scores.shape[:3]):
        seen = scores[batch, head, row, visible[batch, row]]
        if seen.size:
            threshold = np.sort(seen)[::-1][min(kept, seen.size) - 1]
            chosen[batch, head, row] = visible[batch, row] & (scores[batch, head, row] >= threshold)
    mixed: Array = softmax(scores, chosen) @ value
    return mixed


layer = projected(mix, scaled_products)
