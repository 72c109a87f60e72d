"""Retention, arXiv:2307.08621, equation 5, its parallel form, inside equation 8: scores times decays.

The matrix D of decays and its rows' norms are built in full; the normalisations are those of the paper's
section "Retention Score Normalization" but for the last, which the norm of the heads divides out again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import Array, who_sees_whom
from implementations.definitions.recurrences import centred, gated, heads_of


def layer(
    tokens: Array,
    *,
    context: Array | None,
    padding: Array | None,
    causal: bool,
    weights: Mapping[str, Array],
    heads: int,
    options: Mapping[str, Any],
) -> Array:
    """Multi-scale retention with gate and norm."""
    source = tokens if context is None else context
    query, key = (
        turned(heads_of(x, weights, name, heads)) for x, name in ((tokens, "query"), (source, "key"))
    )
    value = heads_of(source, weights, "value", heads)
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    visible = who_sees_whom(tokens, source, padding, causal=causal)
    mixed = (scores * normalised_decays(heads, tokens.shape[1]) * visible[:, None]) @ value
    return gated(tokens, centred(mixed), weights)


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
