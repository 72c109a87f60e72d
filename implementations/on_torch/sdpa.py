"""Softmax attention through torch's fused kernel, `scaled_dot_product_attention`.

    out = softmax(Q K^T / sqrt(d)) V

Time n^2 d, memory n d: the scores live in tiles with a running maximum and sum. Papers: Dao and others
2022, arXiv:2205.14135; Rabe and Staats 2021, arXiv:2112.05682. No departure.

Torch takes either its causal flag or a mask. To have both without a mask of n x n entries, hidden keys
are pushed down by one more channel: queries hold 1 there, hidden keys a very negative number.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from implementations.on_torch.visibility import (
    hidden_score,
    require_equal_lengths,
    sees_any_key,
    visible_keys,
)


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

    `padding` is True where a real key stands; with a `bias`, which is added to the scores, the mask is a
    tensor of all scores. Raises ValueError if causal with unequal lengths.
    """
    if causal:
        require_equal_lengths(query, key, "causal attention")
    if bias is not None:
        return _attend_with_bias(query, key, value, bias, causal=causal, padding=padding)
    if padding is None:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
    if causal:
        mixed = _attend_causally(query, key, value, padding)
    else:
        # A mask without any True makes the kernel's gradient undefined: such rows see all, and are zeroed.
        seen = padding | ~padding.any(dim=-1, keepdim=True)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None, :])
    return mixed.masked_fill(~sees_any_key(padding, causal=causal), 0.0)


def _attend_causally(query: Tensor, key: Tensor, value: Tensor, padding: Tensor) -> Tensor:
    """Causal attention that hides padded keys through one more channel, linear in memory."""
    width = query.shape[-1]
    hidden = torch.zeros_like(padding, dtype=key.dtype).masked_fill(~padding, hidden_score(key.dtype))
    push = hidden[:, None, :, None].expand(-1, key.shape[1], -1, 1)
    mixed = functional.scaled_dot_product_attention(
        functional.pad(query, (0, 1), value=1.0),
        torch.cat((key, push), dim=-1),
        functional.pad(value, (0, 1)),  # the fused kernel needs values as wide as keys
        is_causal=True,
        scale=1 / math.sqrt(width),
    )
    return mixed[..., :width]


def _attend_with_bias(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor, *, causal: bool, padding: Tensor | None
) -> Tensor:
    visible = visible_keys(query, key, causal=causal, padding=padding)
    if visible is not None:
        bias = bias.masked_fill(~visible, hidden_score(bias.dtype))
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    if padding is None:
        return mixed
    return mixed.masked_fill(~sees_any_key(padding, causal=causal), 0.0)
