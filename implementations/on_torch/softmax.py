"""Softmax attention written out: the reference that every other variant is held against.

    out = softmax(Q K^T / sqrt(d)) V

Time n^2 d, memory n^2: the scores are really built. Paper: Vaswani and others 2017, arXiv:1706.03762,
section 3.2.1; no departure. Plain on purpose: four steps, nothing fused, nothing clever.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.visibility import hidden_score, visible_keys


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values, weighted by the softmax of its scores; zeros if it sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. Raises ValueError if causal
    with unequal lengths.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if bias is not None:
        scores = scores + bias
    visible = visible_keys(query, key, causal=causal, padding=padding)
    if visible is not None:
        scores = scores.masked_fill(~visible, hidden_score(scores.dtype))
    mixed = torch.softmax(scores, dim=-1) @ value
    if visible is None or padding is None:
        return mixed
    return mixed.masked_fill(~visible.any(dim=-1, keepdim=True), 0.0)
