"""Talking-heads attention, arXiv:2003.02436, section 4: sums over heads, written as sums."""

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture, scaled_products, softmax


def scores(given: Given) -> Array:
    """What the softmax is given: the scores of all heads, mixed."""
    before, found = given.weights["before"], scaled_products(given)
    mixed = [sum(before[h, g] * found[:, h] for h in range(given.heads)) for g in range(given.heads)]
    return np.stack(mixed, axis=1)


def mix(given: Given, value: Array) -> Array:
    """The mixed scores through the softmax, mixed again, times the values of each head."""
    maps = softmax(scores(given), given.visible()[:, None])
    after, heads = given.weights["after"], range(given.heads)
    return np.stack([sum(after[g, h] * maps[:, g] for g in heads) @ value[:, h] for h in heads], axis=1)


layer = Mixture(mix, scores=scores)
