"""Gated linear attention, arXiv:2312.06635, equation 3 and section 4.4: the recurrence, token by token."""

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture, linear, split
from implementations.definitions.recurrences import centred, gated, real_tokens, sigmoid


def mix(given: Given, value: Array) -> Array:
    """S_t = Diag(alpha_t) S_{t-1} + k_t v_t^T, read by q_t; a padded token leaves S as it is."""
    if not given.causal:
        raise ValueError("gated linear attention is defined in one direction only: causal must be True")
    query, key = given.of_tokens("query"), given.of_source("key")
    low = given.source.astype(np.float64) @ given.weights["decay_down.kernel"].astype(np.float64)
    alpha = split(sigmoid(linear(low, given.weights, "decay_up")) ** (1 / 16), given.heads)
    real = real_tokens(given.source, given.padding)
    mixed = np.zeros_like(value)
    for sequence, head in np.ndindex(*value.shape[:2]):
        state = np.zeros((key.shape[-1], value.shape[-1]))
        for t in range(given.tokens.shape[1]):
            here = sequence, head, t
            if real[sequence, t]:
                state = np.diag(alpha[here]) @ state + np.outer(key[here], value[here])
            mixed[here] = query[here] @ state
    return mixed


def finish(given: Given, mixed: Array) -> Array:
    """Each head normed and scaled, and the gate."""
    normed = centred(mixed) * given.weights["norm.scale"].astype(np.float64)
    return gated(given.tokens, normed, given.weights)


layer = Mixture(mix, finish=finish)
