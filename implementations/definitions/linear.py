"""Linear attention, arXiv:2006.16236, equations 4 and 7: a mean weighted by products of elu + 1 features."""

import numpy as np

from implementations.definitions.projected import Array, projected


def features(tokens: Array) -> Array:
    """elu(x) + 1."""
    mapped: Array = np.where(tokens > 0, tokens + 1, np.exp(np.minimum(tokens, 0)))
    return mapped


def weighted_mean(weights: Array, value: Array, visible: Array) -> Array:
    """The values' mean for each query by unnormalised weights `[batch, heads, time, source]`, one by one."""
    mixed = np.zeros((*weights.shape[:3], value.shape[-1]))
    for batch, head, place in np.ndindex(*weights.shape[:3]):
        seen = weights[batch, head, place] * visible[batch, place]
        if seen.sum() > 0:
            mixed[batch, head, place] = seen @ value[batch, head] / seen.sum()
    return mixed


def mix(query: Array, key: Array, value: Array, visible: Array) -> Array:
    """All products of features, and the mean by them."""
    return weighted_mean(features(query) @ features(key).swapaxes(-1, -2), value, visible)


layer = projected(mix)
