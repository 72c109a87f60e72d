"""Softmax attention in which each query sees the keys near it and no others.

    out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j,  for |i - j| <= floor(w / 2)
    causal:                                               for i - w < j <= i

Time n w d, memory n d + w^2. Paper: Beltagy and others 2020, Longformer, arXiv:2004.05150, section 3.1,
without its global tokens and dilation.

The sequence is cut into blocks of queries; a block is multiplied with the few key blocks in its reach,
which overlap from block to block and are therefore views into one padded copy. The scores that exist are
n x (about w), never n x n. Blocks play the part of heads in torch's fused kernel, so that one mask of a
block serves them all; keys that are padded or outside the sequence are pushed down by one more channel,
as in `sdpa`.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from implementations.on_torch import sdpa
from implementations.on_torch.visibility import hidden_score, require_equal_lengths

SMALLEST_BLOCK, LARGEST_BLOCK = 16, 64


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    window: int = 256,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values in its window, weighted by softmax; zeros if it sees no key.

    `window` counts tokens: half of it lies on each side, or all of it, the query itself included, before
    and up to the query when causal. `padding` is True where a real token stands. Raises ValueError for a
    window below 1 and for a context of another length, in which "near" has no meaning.
    """
    require_equal_lengths(query, key, "sliding-window attention")
    if window < 1:
        raise ValueError(f"window must be at least 1 token, got {window}")
    before, after = (window - 1, 0) if causal else (window // 2, window // 2)
    if before >= query.shape[-2] - 1:  # every key is near: this is plain attention
        return sdpa.attend(query, key, value, causal=causal, padding=padding)
    mixed = _attend_in_blocks(query, key, value, padding, before, after)
    if padding is None:
        return mixed
    return mixed.masked_fill(~_sees_near_key(padding, before, after), 0.0)


def _attend_in_blocks(
    query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, before: int, after: int
) -> Tensor:
    batch, heads, length, width = query.shape
    size = min(LARGEST_BLOCK, max(SMALLEST_BLOCK, before))
    blocks = math.ceil(length / size)
    front, back = math.ceil(before / size), math.ceil(after / size)
    margins = (front * size, (blocks + back) * size - length)
    real = query.new_ones(1, length, dtype=torch.bool) if padding is None else padding
    pushed = functional.pad(key, (0, 1, *margins))
    pushed[..., -1] = _push(functional.pad(real, margins), key.dtype)
    split = (batch * heads, -1, size, width + 1)
    mixed = functional.scaled_dot_product_attention(
        functional.pad(query, (0, 1, 0, blocks * size - length), value=1.0).view(split),
        _overlapping(pushed.view(split), front + 1 + back),
        _overlapping(functional.pad(value, (0, 1, *margins)).view(split), front + 1 + back),
        attn_mask=_band(size, front, back, before, after, query.device),
        scale=1 / math.sqrt(width),
    )
    return mixed.reshape(batch, heads, blocks * size, width + 1)[:, :, :length, :width]


def _push(real: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to each key's score: 0 for a real one; broadcastable to ``[batch, heads, source]``."""
    return torch.zeros_like(real, dtype=dtype).masked_fill(~real, hidden_score(dtype))[:, None]


def _band(size: int, front: int, back: int, before: int, after: int, device: torch.device) -> Tensor:
    """True where a query of a block is near a key in its reach, ``[1, 1, size, reach * size]``."""
    queries = torch.arange(size, device=device)[:, None]
    keys = torch.arange(-front * size, (1 + back) * size, device=device)
    return ((keys >= queries - before) & (keys <= queries + after))[None, None]


def _sees_near_key(padding: Tensor, before: int, after: int) -> Tensor:
    """True for queries with a real key in their window, ``[batch, 1, time, 1]``."""
    length = padding.shape[-1]
    counted = functional.pad(padding.cumsum(dim=-1), (1, 0))
    positions = torch.arange(length, device=padding.device)
    first, last = (positions - before).clamp(min=0), (positions + after + 1).clamp(max=length)
    return (counted[:, last] > counted[:, first])[:, None, :, None]


class _Overlapping(torch.autograd.Function):
    """Views of `reach` neighbouring blocks: ``[rows, blocks, size, width]`` to ``[…, reach * size, width]``.

    The gradient of a strided view adds up element by element; here it is `reach` additions of slices.
    """

    @staticmethod
    def forward(ctx: Any, blocks: Tensor, reach: int) -> Tensor:
        rows, count, size, width = blocks.shape
        ctx.reach = reach
        shape = (rows, count - reach + 1, reach * size, width)
        return blocks.as_strided(shape, (count * size * width, size * width, width, 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        rows, views, span, width = gradient.shape
        size = span // ctx.reach
        total = gradient.new_zeros(rows, views + ctx.reach - 1, size, width)
        for shift in range(ctx.reach):
            total[:, shift : shift + views] += gradient[:, :, shift * size : (shift + 1) * size]
        return total, None


def _overlapping(blocks: Tensor, reach: int) -> Tensor:
    views: Tensor = _Overlapping.apply(blocks.contiguous(), reach)  # type: ignore[no-untyped-call]  # torch has no types for it
    return views
