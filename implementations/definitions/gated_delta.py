"""The gated delta rule, arXiv:2412.06464, equation 10 and section 3.4: the recurrence, token by token."""

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture, linear, split
from implementations.definitions.recurrences import EPSILON, gated, real_tokens, sigmoid, softplus, swish


def mapped(given: Given, tokens: Array, name: str) -> Array:
    """Queries, keys or values: a map, a short convolution if there is one, and swish."""
    inner = linear(tokens, given.weights, name)
    taps = given.weights.get(f"{name}_taps")
    return split(swish(convolved(inner, taps, real_tokens(given.source, given.padding))), given.heads)


def values(given: Given) -> Array:
    """The values that are stored."""
    return mapped(given, given.source, "value")


def mix(given: Given, value: Array) -> Array:
    """S_t = S_{t-1} alpha_t (I - beta_t k_t k_t^T) + beta_t v_t k_t^T, read by q_t; S is [value, key]."""
    if not given.causal:
        raise ValueError("the gated delta rule is defined in one direction only: causal must be True")
    query = of_length_one(mapped(given, given.tokens, "query"))
    key = of_length_one(mapped(given, given.source, "key"))
    beta = sigmoid(linear(given.source, given.weights, "strength"))
    rate = np.exp(given.weights["decay_rate"].astype(np.float64))
    alpha = np.exp(-rate * softplus(linear(given.source, given.weights, "decay")))
    real = real_tokens(given.source, given.padding)
    mixed = np.zeros_like(value)
    for sequence, head in np.ndindex(*value.shape[:2]):
        state = np.zeros((value.shape[-1], key.shape[-1]))
        for t in range(given.tokens.shape[1]):
            here = sequence, head, t
            if real[sequence, t]:
                a, b, k = alpha[sequence, t, head], beta[sequence, t, head], key[here]
                state = state @ (a * (np.eye(len(k)) - b * np.outer(k, k))) + b * np.outer(value[here], k)
            mixed[here] = state @ query[here]
    return mixed


def finish(given: Given, mixed: Array) -> Array:
    """Each head normed and scaled, and the gate."""
    normed = mixed / np.sqrt((mixed**2).mean(axis=-1, keepdims=True) + EPSILON)
    return gated(given.tokens, normed * given.weights["norm.scale"].astype(np.float64), given.weights)


def refusal(given: Given) -> str:
    """Values that a convolution mixed belong to no one token."""
    taps = given.options.get("convolution", 0)
    return (
        f"each value is a convolution of the last {taps} tokens, so a row weighs no single one"
        if taps
        else ""
    )


layer = Mixture(mix, values=values, finish=finish, refusal=refusal)


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
