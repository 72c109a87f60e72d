"""What the definitions of recurrent variants share: the gate, a head's norm, and who is real."""

from collections.abc import Mapping

import numpy as np

from implementations.definitions.projected import Array, join, linear

EPSILON = 1e-5


def gated(tokens: Array, normed: Array, weights: Mapping[str, Array]) -> Array:
    """W_o (swish(W_g x) * the heads' normed mixtures)."""
    return linear(join(normed) * swish(linear(tokens, weights, "gate")), weights, "output")


def centred(mixed: Array) -> Array:
    """Each head's channels with mean 0 and variance 1."""
    deviation = mixed - mixed.mean(axis=-1, keepdims=True)
    normed: Array = deviation / np.sqrt((deviation**2).mean(axis=-1, keepdims=True) + EPSILON)
    return normed


def swish(x: Array) -> Array:
    """x sigmoid(x)."""
    return x * sigmoid(x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), which never overflows as a hyperbolic tangent."""
    answer: Array = (1 + np.tanh(x / 2)) / 2
    return answer


def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    answer: Array = np.logaddexp(0.0, x)
    return answer


def real_tokens(tokens: Array, padding: Array | None) -> Array:
    """``[batch, time]``: True where a real token stands."""
    real: Array = np.ones(tokens.shape[:2], dtype=bool) if padding is None else padding
    return real
