"""The gated delta rule, arXiv:2412.06464, equation 10 and section 3.4: the recurrence, token by token."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import Array, linear, split
from implementations.definitions.recurrences import EPSILON, gated, real_tokens, sigmoid, softplus, swish


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
    """S_t = S_{t-1} alpha_t (I - beta_t k_t k_t^T) + beta_t v_t k_t^T, read by q_t; S is [value, key]."""
    if not causal:
        raise ValueError("the gated delta rule is defined in one direction only: causal must be True")
    source = tokens if context is None else context
    real = real_tokens(source, padding)
    query, key, value = (
        split(swish(convolved(linear(x, weights, name), weights.get(f"{name}_taps"), real)), heads)
        for x, name in ((tokens, "query"), (source, "key"), (source, "value"))
    )
    query, key = of_length_one(query), of_length_one(key)
    beta = sigmoid(linear(source, weights, "strength"))
    rate = np.exp(weights["decay_rate"].astype(np.float64))
    alpha = np.exp(-rate * softplus(linear(source, weights, "decay")))
    mixed = np.zeros_like(value)
    for sequence in range(len(tokens)):
        for head in range(heads):
            state = np.zeros((value.shape[-1], key.shape[-1]))
            for t in range(tokens.shape[1]):
                here = sequence, head, t
                if real[sequence, t]:
                    a, b, k = alpha[sequence, t, head], beta[sequence, t, head], key[here]
                    state = state @ (a * (np.eye(len(k)) - b * np.outer(k, k))) + b * np.outer(value[here], k)
                mixed[here] = state @ query[here]
    normed = mixed / np.sqrt((mixed**2).mean(axis=-1, keepdims=True) + EPSILON)
    return gated(tokens, normed * weights["norm.scale"].astype(np.float64), weights)


def of_length_one(tokens: Array) -> Array:
    """Each query or key divided by its length."""
    normalised: Array = tokens / np.sqrt((tokens**2).sum(axis=-1, keepdims=True) + 1e-6)
    return normalised


def convolved(inner: Array, taps: Array | None, real: Array) -> Array:
    """Each channel mixed with its own last inputs, those of real tokens only."""
    if taps is None:
        return inner
    mixed = np.zeros_like(inner)
    for t in range(inner.shape[1]):
        for back in range(min(len(taps), t + 1)):
            there = np.where(real[:, t - back, None], inner[:, t - back], 0.0)
            mixed[:, t] += taps[len(taps) - 1 - back].astype(np.float64) * there
    return mixed
