"""Weights other than the softmax's, row by row: sigmoid, sparsemax, 1.5-entmax.

Papers: arXiv:2409.04431, equation 3, with n the number of keys that a query sees; arXiv:1602.02068,
algorithm 1; arXiv:1905.05702, algorithm 2.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from implementations.definitions.projected import Array, Mix

Weigh: TypeAlias = Callable[[Array], Array]
"""From the scores of what one query sees, ``[keys]``, to their weights."""


def weighed_by(weigh: Weigh) -> Mix:
    """The mixture with these weights; a query that sees no key is left at zeros."""

    def mix(query: Array, key: Array, value: Array, visible: Array) -> Array:
        mixed = np.zeros((*query.shape[:3], value.shape[-1]))
        for batch, head, place in np.ndindex(*query.shape[:3]):
            seen = visible[batch, place]
            if seen.any():
                scores = key[batch, head][seen] @ query[batch, head, place] / np.sqrt(query.shape[-1])
                mixed[batch, head, place] = weigh(scores) @ value[batch, head][seen]
        return mixed

    return mix


def sigmoid(scores: Array) -> Array:
    """sigmoid(s - log n); computed through tanh, which does not overflow."""
    weights: Array = (1 + np.tanh((scores - np.log(len(scores))) / 2)) / 2
    return weights


def sparsemax(scores: Array) -> Array:
    """The largest k scores with 1 + k s_k > s_1 + … + s_k are the support; it gives the threshold."""
    falling = np.sort(scores)[::-1]
    support = max(k for k in range(1, len(falling) + 1) if 1 + k * falling[k - 1] > falling[:k].sum())
    threshold = (falling[:support].sum() - 1) / support
    weights: Array = np.maximum(scores - threshold, 0)
    return weights


def entmax(scores: Array) -> Array:
    """Of the largest k of the halved scores, mean - sqrt((1 - spread) / k) is the threshold of the k that
    it separates from the next."""
    halved = scores / 2
    falling = np.append(np.sort(halved)[::-1], -np.inf)
    for k in range(1, len(scores) + 1):
        mean = falling[:k].mean()
        spread = ((falling[:k] - mean) ** 2).sum()
        threshold = mean - np.sqrt(max(1 - spread, 0) / k)
        if falling[k] <= threshold <= falling[k - 1]:
            break
    weights: Array = np.maximum(halved - threshold, 0) ** 2
    return weights
