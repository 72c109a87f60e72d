"""Multi-query and grouped-query attention, arXiv:1911.02150 section 3 and arXiv:2305.13245 section 2.2.

How many heads the keys have is read from their weights.
"""

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture, linear, softmax, split


def shared(given: Given, name: str) -> Array:
    """Keys or values, ``[batch, key_heads, source, head_width]``."""
    head_width = given.weights["query.kernel"].shape[1] // given.heads
    key_heads = given.weights["key.kernel"].shape[1] // head_width
    return split(linear(given.source, given.weights, name), key_heads)


def values(given: Given) -> Array:
    """Values, one head for each group."""
    return shared(given, "value")


def scores(given: Given) -> Array:
    """Each head's queries against the keys of its group."""
    query, key = given.of_tokens("query"), shared(given, "key")
    found = np.zeros((*query.shape[:3], key.shape[2]))
    for head in range(given.heads):
        group = head * key.shape[1] // given.heads
        for sequence in range(len(query)):
            products = query[sequence, head] @ key[sequence, group].T
            found[sequence, head] = products / np.sqrt(query.shape[-1])
    return found


def mix(given: Given, value: Array) -> Array:
    """Head by head, each with the values of its group."""
    found, visible = scores(given), given.visible()
    mixed = np.zeros((*found.shape[:3], value.shape[-1]))
    for head in range(given.heads):
        group = head * value.shape[1] // given.heads
        mixed[:, head] = softmax(found[:, head], visible) @ value[:, group]
    return mixed


layer = Mixture(mix, values=values, scores=scores)
