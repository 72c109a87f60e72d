"""Nyströmformer, arXiv:2102.03902, equations 11 and 13: three softmaxes and an iterated pseudo-inverse.

Sequence by sequence and head by head, on the real tokens and the segments that hold any. `pinv` is what
the iteration makes of it, so that its error is part of the definition.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture


def mix(given: Given, value: Array) -> Array:
    """The mixture. Raises ValueError if causal or for a context, which it does not have."""
    if given.causal or given.source is not given.tokens:
        raise ValueError("nystrom has no causal form and attends to no context")
    query, key = given.of_tokens("query"), given.of_tokens("key")
    real = np.ones(given.tokens.shape[:2], bool) if given.padding is None else given.padding
    mixed = np.zeros_like(value)
    for batch, head in np.ndindex(*mixed.shape[:2]):
        own = value[batch, head] * real[batch][:, None]
        if real[batch].any():
            mixed[batch, head] = _attend(
                query[batch, head], key[batch, head], own, real[batch], given.options
            )
        if given.options["convolution"]:
            mixed[batch, head] += _convolved(own, given.weights["skip"][head].astype(np.float64))
    return mixed


layer = Mixture(mix)


def _attend(query: Array, key: Array, value: Array, real: Array, options: Mapping[str, Any]) -> Array:
    size = -(-len(query) // options["landmarks"])
    segments = [np.arange(first, min(first + size, len(query))) for first in range(0, len(query), size)]
    segments = [places[real[places]] for places in segments]
    middle, middle_key = (
        np.stack([part[places].mean(axis=0) for places in segments if len(places)]) for part in (query, key)
    )
    inverse = pseudo_inverse(_softmax(middle, middle_key), options["iterations"])
    answer: Array = _softmax(query, middle_key) @ inverse @ _softmax(middle, key[real]) @ value[real]
    return answer


def _softmax(query: Array, key: Array) -> Array:
    scores = query @ key.T / np.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    answer: Array = weights / weights.sum(axis=1, keepdims=True)
    return answer


def pseudo_inverse(matrix: Array, iterations: int) -> Array:
    """Equation 11 from the start of section 3.3."""
    one = np.eye(len(matrix))
    inverse: Array = matrix.T / (np.linalg.norm(matrix, 1) * np.linalg.norm(matrix, np.inf))
    for _ in range(iterations):
        product = matrix @ inverse
        inverse = inverse @ (13 * one - product @ (15 * one - product @ (7 * one - product))) / 4
    return inverse


def _convolved(value: Array, taps: Array) -> Array:
    """Each token's neighbourhood weighted by the taps, the middle one on the token itself."""
    mixed = np.zeros_like(value)
    for place in range(len(value)):
        for tap, weight in enumerate(taps):
            neighbour = place + tap - len(taps) // 2
            if 0 <= neighbour < len(value):
                mixed[place] += weight * value[neighbour]
    return mixed
