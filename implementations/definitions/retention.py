"""Retention, arXiv:2307.08621, equation 5, its parallel form, inside equation 8: scores times decays.

The matrix D of decays and its rows' norms are built in full; the normalisations are those of the paper's
section "Retention Score Normalization" but for the last, which the norm of the heads divides out again.
"""

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture, products
from implementations.definitions.recurrences import centred, gated


def mix(given: Given, value: Array) -> Array:
    """Scores times decays times values."""
    scores = products(turned(given.of_tokens("query")), turned(given.of_source("key")))
    decays = normalised_decays(given.heads, given.tokens.shape[1])
    mixed: Array = (scores * decays * given.visible()[:, None]) @ value
    return mixed


def finish(given: Given, mixed: Array) -> Array:
    """Multi-scale retention's norm and gate."""
    return gated(given.tokens, centred(mixed), given.weights)


layer = Mixture(mix, finish=finish)


def normalised_decays(heads: int, time: int) -> Array:
    """D / sqrt(sum of D's row), ``[heads, time, time]``; D_nm = gamma^(n-m) for m <= n."""
    decays = np.zeros((heads, time, time))
    for head in range(heads):
        for n in range(time):
            for m in range(n + 1):
                decays[head, n, m] = (1 - 2.0 ** (-5 - head)) ** (n - m)
    normalised: Array = decays / np.sqrt(decays.sum(axis=-1, keepdims=True))
    return normalised


def turned(tokens: Array) -> Array:
    """Channels c and c + d / 2 as one complex number, times exp(i n theta_c); an odd last one as it is."""
    pairs = tokens.shape[-1] // 2
    if pairs == 0:
        return tokens
    theta = 10_000.0 ** (-2 * np.arange(pairs) / (2 * pairs))
    turns = np.exp(1j * np.arange(tokens.shape[2])[:, None] * theta)
    numbers = (tokens[..., :pairs] + 1j * tokens[..., pairs : 2 * pairs]) * turns
    return np.concatenate([numbers.real, numbers.imag, tokens[..., 2 * pairs :]], axis=-1)
