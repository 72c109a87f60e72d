"""Softmax attention in which each query sees the keys near it and no others.

    out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j,  for |i - j| <= floor(w / 2)
    causal:                                               for i - w < j <= i

With s sinks the first s tokens are seen by every query, too (when causal, by those at or after them).
Time n (w + s) d, memory n d + w^2, with sinks n d (1 + w / 64). Papers: Beltagy and others 2020, Longformer,
arXiv:2004.05150, section 3.1, without its global tokens and dilation; Xiao and others 2023, StreamingLLM,
arXiv:2309.17453, section 3.2. Departure from the latter: positions are those of the text, not of the cache.

The sequence is cut into blocks of queries; a block is multiplied with the few key blocks in its reach,
which overlap from block to block and are therefore views into one padded copy. The scores that exist are
n x (about w), never n x n. Blocks play the part of heads in torch's fused kernel, so that one mask of a
block serves them all. Where nothing is padded and there are no sinks, blocks whose reach leaves the sequence
are attended to apart and the others take their keys as they lie. Else keys that are padded or outside the
sequence are pushed down by one more channel, as in `sdpa`, and sinks stand before each block's keys, hidden
where they would come a second time.
"""

import math
from typing import NamedTuple, Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from implementations.on_torch import sdpa
from implementations.on_torch.overlapping_blocks import overlapping
from implementations.on_torch.projected import AttentionLayer, LayerSettings
from implementations.on_torch.visibility import hidden_score, require_equal_lengths

SMALLEST_BLOCK = 4
# Smaller ones waste fewer keys at their edges; for gradients, whose sums go over the reach, it does not pay.
LARGEST_BLOCK, LARGEST_FOR_GRADIENTS = 32, 64


class WindowState(NamedTuple):
    """Keys and values of the sinks and, as a ring, of the last `window` others, and the tokens so far.

    Both ``[batch, heads, sinks + window, head_width]`` and written in place: a state that was handed to
    `step` belongs to its answer.
    """

    key: Tensor
    value: Tensor
    length: int


class SlidingWindow(AttentionLayer):
    """Attention to the `window` nearest tokens and to the first `sinks`; decodes at constant cost.

    Raises ValueError for a window below 1 and for a negative number of sinks.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        window: int = 256,
        sinks: int = 0,
        **settings: Unpack[LayerSettings],
    ) -> None:
        _require_possible(window, sinks)
        super().__init__(width, heads, **settings)
        self.window = window
        self.sinks = sinks

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """What the kernel answers."""
        return attend(query, key, value, causal=causal, padding=padding, window=self.window, sinks=self.sinks)

    def initial_state(self, batch: int) -> WindowState:
        """Room for the sinks and one window. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        shape = (batch, self.heads, self.sinks + self.window, self.head_width)
        return WindowState(self.key.weight.new_zeros(shape), self.value.weight.new_zeros(shape), 0)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], WindowState]:
        """``forward(tokens)`` and the state after the last of them, at once."""
        state = self.initial_state(tokens.shape[0])
        length = tokens.shape[1]
        key, value, _ = memory = self._remembered(tokens, None)
        recent = range(max(self.sinks, length - self.window), length)
        kept = [*range(min(self.sinks, length)), *recent]
        slots = [self._slot(position) for position in kept]
        state.key[:, :, slots] = key[:, :, kept]
        state.value[:, :, slots] = value[:, :, kept]
        answer = self._attend(self._queries(tokens), memory, causal=True)
        return answer, state._replace(length=length)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: WindowState
    ) -> tuple[Float[Tensor, "batch 1 width"], WindowState]:
        """The answer for the next token, and the state after it; the state that came in is used up."""
        key, value, _ = self._remembered(token, None, state.length)
        slot = self._slot(state.length)
        state.key[:, :, slot : slot + 1] = key
        state.value[:, :, slot : slot + 1] = value
        filled = min(state.length + 1, self.sinks + self.window)  # slots fill up in order before they turn
        mixed = sdpa.attend(
            self._queries(token, state.length), state.key[:, :, :filled], state.value[:, :, :filled]
        )
        return self._join(mixed), state._replace(length=state.length + 1)

    def _slot(self, position: int) -> int:
        return position if position < self.sinks else self.sinks + (position - self.sinks) % self.window


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    window: int = 256,
    sinks: int = 0,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values in its window, weighted by softmax; zeros if it sees no key.

    `window` counts tokens: half of it lies on each side, or all of it, the query itself included, before
    and up to the query when causal. `sinks` are the first tokens that all see. `padding` is True where a
    real token stands. Raises ValueError for a window below 1, for negative sinks and for a context of
    another length, in which "near" has no meaning.
    """
    reason = "causal attention" if causal else "sliding-window attention"
    require_equal_lengths(query, key, reason)
    _require_possible(window, sinks)
    before, after = (window - 1, 0) if causal else (window // 2, window // 2)
    if (
        before >= query.shape[-2] - 1 or sinks >= query.shape[-2]
    ):  # every key is seen: this is plain attention
        return sdpa.attend(query, key, value, causal=causal, padding=padding)
    differentiated = torch.is_grad_enabled() and any(part.requires_grad for part in (query, key, value))
    largest = LARGEST_FOR_GRADIENTS if differentiated else LARGEST_BLOCK
    blocks = _Blocks(query.shape[-2], before, after, largest)
    if padding is None and not sinks and blocks.inner:
        return _attend_apart(query, key, value, blocks)
    mixed = _attend_in_blocks(query, key, value, padding, blocks, sinks)
    if padding is not None:
        seen = _sees_near_key(padding, before, after) | padding[:, None, :sinks, None].any(2, keepdim=True)
        mixed = mixed.masked_fill(~seen, 0.0)
    if not (causal and sinks):
        return mixed
    # The blocks show all sinks to all; among the sinks themselves, causal attention is the plain one.
    first = [part[:, :, :sinks] for part in (query, key, value)]
    among = sdpa.attend(*first, causal=True, padding=None if padding is None else padding[:, :sinks])
    return torch.cat((among, mixed[:, :, sinks:]), dim=2)


def _require_possible(window: int, sinks: int) -> None:
    if window < 1:
        raise ValueError(f"window must be at least 1 token, got {window}")
    if sinks < 0:
        raise ValueError(f"sinks must be at least 0 tokens, got {sinks}")


class _Blocks:
    """A sequence of `length` tokens in blocks of `size`, at most `largest`: how many a block reaches in front
    of it and behind, and how many are `inner`, far enough from both ends to reach none outside."""

    def __init__(self, length: int, before: int, after: int, largest: int) -> None:
        self.before, self.after = before, after
        self.size = min(largest, max(SMALLEST_BLOCK, before))
        self.count = math.ceil(length / self.size)
        self.front, self.back = math.ceil(before / self.size), math.ceil(after / self.size)
        self.reach = self.front + 1 + self.back
        self.inner = max(0, length // self.size - self.front - self.back)

    def band(self, device: torch.device) -> Tensor:
        """True where a query of an inner block is near a key in its reach, ``[1, 1, size, reach * size]``."""
        first = -self.front * self.size
        return self.near(range(self.size), range(first, first + self.reach * self.size), device)

    def near(self, queries: range, keys: range, device: torch.device) -> Tensor:
        """True where a query at one of these positions sees a key, ``[1, 1, queries, keys]``."""
        asking = torch.arange(queries.start, queries.stop, device=device)[:, None]
        asked = torch.arange(keys.start, keys.stop, device=device)
        return ((asked >= asking - self.before) & (asked <= asking + self.after))[None, None]


def _attend_apart(query: Tensor, key: Tensor, value: Tensor, blocks: _Blocks) -> Tensor:
    """Without padding: the inner blocks at once, and the ends of the sequence each by themselves."""
    batch, heads, length, width = query.shape
    first, inner = blocks.front * blocks.size, blocks.inner * blocks.size
    begin, middle, end = (
        query[:, :, place]
        for place in (slice(first), slice(first, first + inner), slice(first + inner, None))
    )
    whole = (blocks.front + blocks.inner + blocks.back) * blocks.size
    split = (batch * heads, -1, blocks.size, width)
    keys, values = (overlapping(part[:, :, :whole].reshape(split), blocks.reach) for part in (key, value))
    mixed = functional.scaled_dot_product_attention(
        middle.reshape(split), keys, values, attn_mask=blocks.band(query.device)
    )
    ends = (
        (begin, range(first), range(min(length, first + blocks.after))),
        (end, range(first + inner, length), range(first + inner - blocks.before, length)),
    )
    mixed_begin, mixed_end = (
        functional.scaled_dot_product_attention(
            queries,
            key[:, :, near.start : near.stop],
            value[:, :, near.start : near.stop],
            attn_mask=blocks.near(places, near, query.device),
        )
        if len(places)
        else queries
        for queries, places, near in ends
    )
    return torch.cat((mixed_begin, mixed.reshape(batch, heads, inner, width), mixed_end), dim=2)


def _attend_in_blocks(
    query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, blocks: _Blocks, sinks: int
) -> Tensor:
    """Blocks whose keys carry one more channel, in which hidden ones are pushed down."""
    batch, heads, length, width = query.shape
    margins = (blocks.front * blocks.size, (blocks.count + blocks.back) * blocks.size - length)
    real = query.new_ones(1, length, dtype=torch.bool) if padding is None else padding
    push = _push(real, key.dtype)
    pushed = functional.pad(key, (0, 1, *margins))
    pushed[..., -1] = functional.pad(push, margins, value=hidden_score(key.dtype))
    pushed[..., margins[0] : margins[0] + sinks, -1] = hidden_score(key.dtype)
    split = (batch * heads, -1, blocks.size, width + 1)
    keys = overlapping(pushed.view(split), blocks.reach)
    values = overlapping(functional.pad(value, (0, 1, *margins)).view(split), blocks.reach)
    band = blocks.band(query.device)
    if sinks:
        first = torch.cat((key[:, :, :sinks], push[..., :sinks, None].expand(batch, heads, -1, 1)), dim=-1)
        keys = _behind(first, keys)
        values = _behind(functional.pad(value[:, :, :sinks], (0, 1)), values)
        band = functional.pad(band, (sinks, 0), value=True)
    mixed = functional.scaled_dot_product_attention(
        functional.pad(query, (0, 1, 0, blocks.count * blocks.size - length), value=1.0).view(split),
        keys,
        values,
        attn_mask=band,
        scale=1 / math.sqrt(width),
    )
    return mixed.reshape(batch, heads, -1, width + 1)[:, :, :length, :width]


def _behind(first: Tensor, views: Tensor) -> Tensor:
    """Each of the `views` ``[rows, blocks, span, width]`` with the sinks in front of it."""
    return torch.cat((first.flatten(0, 1)[:, None].expand(-1, views.shape[1], -1, -1), views), dim=2)


def _push(real: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to each key's score: 0 for a real one; broadcastable to ``[batch, heads, source]``."""
    return torch.zeros_like(real, dtype=dtype).masked_fill(~real, hidden_score(dtype))[:, None]


def _sees_near_key(padding: Tensor, before: int, after: int) -> Tensor:
    """True for queries with a real key in their window, ``[batch, 1, time, 1]``."""
    length = padding.shape[-1]
    counted = functional.pad(padding.cumsum(dim=-1), (1, 0))
    positions = torch.arange(length, device=padding.device)
    first, last = (positions - before).clamp(min=0), (positions + after + 1).clamp(max=length)
    return (counted[:, last] > counted[:, first])[:, None, :, None]
