"""Softmax attention to the near keys and to every stride-th one: the Sparse Transformer's strided pattern.

    out_i = softmax over j in A_i of (q_i . k_j / sqrt(d)) v_j
    A_i = {j : |i - j| <= l} and {j : (i - j) mod l = 0}, l the stride; causal: those with j <= i

Time n (l + n / l) d, which is n^1.5 d at the default l = sqrt(n); memory n (l + n / l). Paper: Child and
others 2019, arXiv:1904.10509, section 4.3. Of its ways to use two sets, every head here takes their union
("merged head", equation 7). Departure: without causality both sets have their mirror image.

As on torch: the sequence is a grid of l columns; each column attends within itself, and each row to itself
and its neighbours, without the keys a stride away; the two answers are merged exactly.
"""

import math
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras import softmax
from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.layer_interface import require_equal_lengths
from implementations.on_keras.partial_softmax import Partial, attend_to_part, merged
from implementations.on_keras.patterned import PatternedAttention


@keras.saving.register_keras_serializable(package="attnbench")
class Strided(PatternedAttention):
    """Attention to the tokens less than a `stride` away and to every stride-th one beyond.

    A stride of 0 is the square root of `max_length`. Raises ValueError for a negative stride, and for a
    stride of 0 without a `max_length`.
    """

    own_settings = ("stride",)

    def __init__(self, width: int, heads: int, *, stride: int = 0, **settings: Any) -> None:
        max_length = settings.get("max_length")
        if stride < 0 or (stride == 0 and not max_length):
            raise ValueError(
                "strided attention needs a stride of at least 1, or of 0 and a max_length to take the root "
                f"of, got stride {stride} and max_length {max_length}"
            )
        super().__init__(width, heads, **settings)
        self.stride = stride or round(math.sqrt(max_length or 1))

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
        return attend(query, key, value, causal=causal, padding=padding, stride=self.stride)

    def _seen_by(self, position: int) -> list[int]:
        """The positions that a causal query sees."""
        near = max(0, position - self.stride + 1)
        return [*range(position % self.stride, near, self.stride), *range(near, position + 1)]


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    stride: int,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values in its two sets, weighted by softmax; zeros if it sees no key.

    `padding` is True where a real token stands. Raises ValueError for a stride below 1 and for a context
    of another length, in which distances have no meaning.
    """
    require_equal_lengths(query.shape[2], key.shape[2])
    if stride < 1:
        raise ValueError(f"stride must be at least 1 token, got {stride}")
    known = query.shape[2]
    if stride == 1 or (isinstance(known, int) and stride >= known - 1):  # every key is seen
        return softmax.attend(query, key, value, causal=causal, padding=padding)
    length = ops.shape(query)[2]
    query, key, value = (_grid(part, stride) for part in (query, key, value))
    given = ops.ones((1, length), dtype="bool") if padding is None else padding
    real = _grid(given[:, None, :, None], stride)
    in_rows = _visible_in_rows(real, stride, causal=causal)
    in_columns = _visible_in_columns(real, causal=causal)
    near = _within_rows(query, key, value, in_rows, causal=causal)
    mixed = merged(near, _within_columns(query, key, value, in_columns))
    if padding is not None:
        in_column = ops.swapaxes(ops.any(in_columns, axis=-1, keepdims=True), 2, 3)
        seen = ops.logical_or(ops.any(in_rows, axis=-1, keepdims=True), in_column)
        mixed = ops.where(seen, mixed, ops.zeros_like(mixed))
    batch, heads, rows, _, width = ops.shape(mixed)
    return ops.reshape(mixed, (batch, heads, rows * stride, width))[:, :, :length]


def _grid(part: Tensor, stride: int) -> Tensor:
    """``[batch, heads, rows, stride, width]``; zeros and False fill up the last row."""
    batch, heads, length, width = ops.shape(part)
    room = ops.zeros((batch, heads, -length % stride, width), dtype=part.dtype)
    filled = ops.concatenate([part, room], axis=2)
    return ops.reshape(filled, (batch, heads, ops.shape(filled)[2] // stride, stride, width))


def _within_rows(query: Tensor, key: Tensor, value: Tensor, visible: Tensor, *, causal: bool) -> Partial:
    """The part of the keys less than a stride away: in a row and its neighbours."""
    keys, values = (_neighbours(part, causal=causal) for part in (key, value))
    return attend_to_part(query, keys, values, visible)


def _visible_in_rows(real: Tensor, stride: int, *, causal: bool) -> Tensor:
    """``[batch, 1, rows, stride, span]``: True where a real key is less than a stride away."""
    queries = ops.arange(stride)[:, None]
    positions = ops.arange(-stride, stride if causal else 2 * stride)
    near = ops.abs(queries - positions) < stride
    if causal:
        near = ops.logical_and(near, positions <= queries)
    return ops.logical_and(ops.swapaxes(_neighbours(real, causal=causal), -1, -2), near)


def _neighbours(grid: Tensor, *, causal: bool) -> Tensor:
    """Each row behind the one before it, and in front of the next unless causal; zeros stand outside."""
    outside = ops.zeros_like(grid[:, :, :1])
    rows = [ops.concatenate([outside, grid[:, :, :-1]], axis=2), grid]
    if not causal:
        rows.append(ops.concatenate([grid[:, :, 1:], outside], axis=2))
    return ops.concatenate(rows, axis=3)


def _within_columns(query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Partial:
    """The part of the keys in a column, with the columns as rows again."""
    query, key, value = (ops.swapaxes(grid, 2, 3) for grid in (query, key, value))
    part = attend_to_part(query, key, value, visible)
    return Partial(*(ops.swapaxes(field, 2, 3) for field in part))


def _visible_in_columns(real: Tensor, *, causal: bool) -> Tensor:
    """``[batch, 1, stride, rows, rows]``: True for real keys but the query's own, earlier if causal."""
    rows = ops.arange(ops.shape(real)[2])
    others = rows[:, None] > rows if causal else rows[:, None] != rows
    return ops.logical_and(ops.transpose(real, (0, 1, 3, 4, 2)), others)


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="strided.attend")(attend)
