"""Gated linear attention, arXiv:2312.06635, equation 3 and section 4.4: the recurrence, token by token."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import Array, linear, split
from implementations.definitions.recurrences import centred, gated, heads_of, real_tokens, sigmoid


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
    """S_t = Diag(alpha_t) S_{t-1} + k_t v_t^T, read by q_t; a padded token leaves S as it is."""
    if not causal:
        raise ValueError("gated linear attention is defined in one direction only: causal must be True")
    source = tokens if context is None else context
    query = heads_of(tokens, weights, "query", heads)
    key, value = (heads_of(source, weights, name, heads) for name in ("key", "value"))
    low = source.astype(np.float64) @ weights["decay_down.kernel"].astype(np.float64)
    alpha = split(sigmoid(linear(low, weights, "decay_up")) ** (1 / 16), heads)
    real = real_tokens(source, padding)
    mixed = np.zeros_like(value)
    for sequence in range(len(tokens)):
        for head in range(heads):
            state = np.zeros((key.shape[-1], value.shape[-1]))
            for t in range(tokens.shape[1]):
                here = sequence, head, t
                if real[sequence, t]:
                    state = np.diag(alpha[here]) @ state + np.outer(key[here], value[here])
                mixed[here] = query[here] @ state
    return gated(tokens, centred(mixed) * weights["norm.scale"].astype(np.float64), weights)
