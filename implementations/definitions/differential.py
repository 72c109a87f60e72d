"""Differential attention, arXiv:2410.05258, equations 1 to 3, head by head."""

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture, output_map, products, softmax


def scores(given: Given) -> Array:
    """Both maps of all heads, ``[batch, heads, 2, time, source]``."""
    query, key = given.of_tokens("query"), given.of_source("key")
    group = query.shape[-1] // 2
    halves = (slice(0, group), slice(group, 2 * group))
    return np.stack([products(query[..., half], key[..., half]) for half in halves], axis=2)


def maps(given: Given) -> Array:
    """The same, one after the other: ``[batch, 2 heads, time, source]``."""
    both = scores(given)
    return both.reshape(len(both), -1, *both.shape[3:])


def start(given: Given) -> float:
    """lambda_init of a layer at the place that the option `depth` names."""
    return float(0.8 - 0.6 * np.exp(-0.3 * (given.options.get("depth", 1) - 1)))


def mix(given: Given, value: Array) -> Array:
    """Two maps a head, subtracted, times the values."""
    first, second = (
        np.exp(np.dot(given.weights[f"{which}_query"].astype(np.float64), given.weights[f"{which}_key"]))
        for which in ("first", "second")
    )
    both, visible = scores(given), given.visible()
    mixed = np.zeros((*both.shape[:2], both.shape[3], value.shape[-1]))
    for head in range(given.heads):
        one, other = (softmax(both[:, head, place], visible) for place in (0, 1))
        mixed[:, head] = (one - (first - second + start(given)) * other) @ value[:, head]
    return mixed


def finish(given: Given, mixed: Array) -> Array:
    """Each head normed and scaled, joined, and mapped."""
    size = np.sqrt((mixed**2).mean(axis=-1, keepdims=True) + 1e-5)
    return output_map(given, (1 - start(given)) * mixed / size * given.weights["head_norm.scale"])


layer = Mixture(mix, finish=finish, scores=maps)
