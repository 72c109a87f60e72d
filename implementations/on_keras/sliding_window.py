"""Softmax attention in which each query sees the keys near it, and the first few, and no others.

    out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j,  for |i - j| <= floor(w / 2) or j < s
    causal:                                               for i - w < j <= i or j < s, j <= i

Time n (w + s) d, memory n (w + s). Papers: Beltagy and others 2020, Longformer, arXiv:2004.05150, section
3.1, without its global tokens and dilation; Xiao and others 2023, StreamingLLM, arXiv:2309.17453, section
3.2. Departure from the latter: positions are those of the text, not of the cache.

The sequence is cut into blocks of queries, each beside the few key blocks in its reach; the scores of the
sinks stand in front of theirs. Scores of n x n are never built.
"""

import math
from typing import Any, NamedTuple

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras import softmax
from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.layer_interface import require_equal_lengths
from implementations.on_keras.projected import AttentionLayer
from implementations.on_keras.visibility import HIDDEN_SCORE, softmax_over_keys

SMALLEST_BLOCK, LARGEST_BLOCK = 16, 64


class WindowState(NamedTuple):
    """Keys and values of the sinks and, as a ring, of the last `window` others, and the tokens so far;
    both ``[batch, heads, sinks + window, head_width]``."""

    key: Tensor
    value: Tensor
    length: int


@keras.saving.register_keras_serializable(package="attnbench")
class SlidingWindow(AttentionLayer):
    """Attention to the `window` nearest tokens and to the first `sinks`; decodes at constant cost.

    Raises ValueError for a window below 1 and for a negative number of sinks.
    """

    own_settings = ("window", "sinks")

    def __init__(self, width: int, heads: int, *, window: int = 256, sinks: int = 0, **settings: Any) -> None:
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
        key, value = (ops.zeros(shape, dtype=self.compute_dtype) for _ in range(2))
        return WindowState(key, value, 0)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], WindowState]:
        """``call(tokens)`` and the state after the last of them, at once."""
        state = self.initial_state(int(tokens.shape[0]))
        length = int(tokens.shape[1])
        key, value, _ = memory = self._remembered(tokens, None)
        recent = range(max(self.sinks, length - self.window), length)
        kept = sorted([*range(min(self.sinks, length)), *recent], key=self._slot)  # they fill the first slots
        keys, values = (
            ops.slice_update(room, (0, 0, 0, 0), ops.cast(ops.take(part, kept, axis=2), room.dtype))
            for room, part in ((state.key, key), (state.value, value))
        )
        return self._attend(self._queries(tokens), memory, causal=True), WindowState(keys, values, length)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: WindowState
    ) -> tuple[Float[Tensor, "batch 1 width"], WindowState]:
        """The answer for the next token, and the state after it."""
        key, value, _ = self._remembered(token, None, state.length)
        place = (0, 0, self._slot(state.length), 0)
        keys, values = (
            ops.slice_update(room, place, ops.cast(part, room.dtype))
            for room, part in ((state.key, key), (state.value, value))
        )
        filled = min(state.length + 1, self.sinks + self.window)  # slots fill up in order before they turn
        query = self._queries(token, state.length)
        mixed = softmax.attend(query, keys[:, :, :filled], values[:, :, :filled])
        return self._merge(mixed), WindowState(keys, values, state.length + 1)

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
    require_equal_lengths(query.shape[2], key.shape[2])
    _require_possible(window, sinks)
    before, after = (window - 1, 0) if causal else (window // 2, window // 2)
    length = query.shape[2]
    if isinstance(length, int) and (before >= length - 1 or sinks >= length):  # every key is seen
        return softmax.attend(query, key, value, causal=causal, padding=padding)
    return _attend_in_blocks(query, key, value, padding, before, after, sinks, causal=causal)


def _require_possible(window: int, sinks: int) -> None:
    if window < 1:
        raise ValueError(f"window must be at least 1 token, got {window}")
    if sinks < 0:
        raise ValueError(f"sinks must be at least 0 tokens, got {sinks}")


def _attend_in_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    before: int,
    after: int,
    sinks: int,
    *,
    causal: bool,
) -> Tensor:
    length = ops.shape(query)[2]
    size = min(LARGEST_BLOCK, max(SMALLEST_BLOCK, before))
    front, back = math.ceil(before / size), math.ceil(after / size)
    queries = _blocks(query / math.sqrt(query.shape[-1]), size, 0, 0)
    keys, values = (_neighbours(_blocks(part, size, front, back), front + back) for part in (key, value))
    positions = ops.arange(length)
    real = ops.ones((1, length), dtype="bool") if padding is None else padding
    # Sinks have columns of their own, in front of the window's, where they are hidden.
    near = _blocks(ops.logical_and(real, positions >= sinks)[:, None, :, None], size, front, back)
    near = ops.swapaxes(_neighbours(near, front + back), -1, -2)
    visible = ops.logical_and(near, _band(size, front, back, before, after))
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2))
    if sinks:
        first = key[:, :, None, :sinks]
        scores = ops.concatenate([ops.matmul(queries, ops.swapaxes(first, -1, -2)), scores], axis=-1)
        shown = _sinks_seen(ops.shape(queries)[2] * size, real[:, :sinks], size, causal=causal)
        width = ops.zeros_like(visible[..., :1])  # of as many sequences as `visible`, which may be one
        visible = ops.concatenate([ops.logical_or(shown, width), visible], axis=-1)
    weights = softmax_over_keys(ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype)))
    count = ops.shape(weights)[-1] - (front + 1 + back) * size
    mixed = ops.matmul(weights[..., count:], values)
    if sinks:
        mixed = mixed + ops.matmul(weights[..., :count], value[:, :, None, :sinks])
    if padding is not None:
        mixed = ops.where(ops.any(visible, axis=-1, keepdims=True), mixed, ops.zeros_like(mixed))
    batch, heads, blocks, _, width = ops.shape(mixed)
    return ops.reshape(mixed, (batch, heads, blocks * size, width))[:, :, :length]


def _blocks(part: Tensor, size: int, front: int, back: int) -> Tensor:
    """``[batch, heads, front + blocks + back, size, width]``; zeros and False fill up the last block."""
    batch, heads, length, width = ops.shape(part)
    before, after = (
        ops.zeros((batch, heads, count, width), dtype=part.dtype)
        for count in (front * size, -length % size + back * size)
    )
    filled = ops.concatenate([before, part, after], axis=2)
    return ops.reshape(filled, (batch, heads, ops.shape(filled)[2] // size, size, width))


def _neighbours(blocks: Tensor, others: int) -> Tensor:
    """Each block with the `others` after it, ``[batch, heads, blocks, (others + 1) * size, width]``."""
    count = ops.shape(blocks)[2] - others
    return ops.concatenate([blocks[:, :, first : first + count] for first in range(others + 1)], axis=3)


def _band(size: int, front: int, back: int, before: int, after: int) -> Tensor:
    """True where a query of a block is near a key in its reach, ``[size, reach * size]``."""
    queries = ops.arange(size)[:, None]
    keys = ops.arange(-front * size, (1 + back) * size)
    return ops.logical_and(keys >= queries - before, keys <= queries + after)


def _sinks_seen(length: int | Tensor, real: Tensor, size: int, *, causal: bool) -> Tensor:
    """True where a query may see a sink, ``[#batch, 1, blocks, size, sinks]``."""
    queries = ops.reshape(ops.arange(length), (-1, size, 1))
    earlier = queries >= (ops.arange(ops.shape(real)[1]) if causal else 0)
    return ops.logical_and(real[:, None, None, None, :], earlier)


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="sliding_window.attend")(attend)
