"""entmax: sparsemax and 1.5-entmax over written-out scores, in our projections.

    out = sparsemax(Q K^T / sqrt(d)) V,  out = entmax15(Q K^T / sqrt(d)) V

The package has functions of scores and no attention: the scores are built as in our `softmax`, and its
function stands in the softmax's place, with its default full sort along each row.
"""

import math
from collections.abc import Callable

import torch
from entmax import entmax15, sparsemax
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.visibility import hidden_score, visible_keys


def attend_by_sparsemax(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values by sparsemax weights. Raises ValueError if causal with two lengths."""
    return _attend(sparsemax, query, key, value, causal=causal, padding=padding)


def attend_by_entmax15(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values by 1.5-entmax weights. Raises ValueError if causal with two lengths."""
    return _attend(entmax15, query, key, value, causal=causal, padding=padding)


def _attend(
    weigh: Callable[..., Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    causal: bool,
    padding: Tensor | None,
) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    visible = visible_keys(query, key, causal=causal, padding=padding)
    if visible is not None:
        scores = scores.masked_fill(~visible, _hidden(scores.dtype))
    mixed = weigh(scores, dim=-1) @ value
    if visible is None or padding is None:
        return mixed
    return mixed.masked_fill(~visible.any(dim=-1, keepdim=True), 0.0)


def _hidden(dtype: torch.dtype) -> float:
    """entmax squares and sums the sorted scores: one whose square overflows would hide every key."""
    return -math.sqrt(-hidden_score(dtype)) / 2**10
