"""Positions that live inside the attention: RoPE, ALiBi and T5's buckets; twins of the torch ones.

    rotary: q_i and k_j are turned by angles that grow with i and j, so that q_i . k_j depends on i - j
    alibi:  score_ij - slope_h |i - j|
    t5:     score_ij + table[bucket(j - i), h], learned

Papers: Su and others 2021, arXiv:2104.09864, section 3.4.2; Press and others 2022, arXiv:2108.12409,
section 3; Raffel and others 2020, arXiv:1910.10683, section 2.1. Channel c is turned together with
channel c + d / 2; ALiBi without causality takes the distance |i - j| in both directions.
"""

import math
from typing import Any

from jaxtyping import Float
from keras import ops

from implementations.on_keras.keras_types import Layer, Shape, Tensor
from implementations.on_keras.precision import at_least_float32
from implementations.positions import ROTARY_BASE, T5_BUCKETS, T5_FARTHEST, alibi_slopes, rotary_pairs


def rotate(
    tokens: Float[Tensor, "batch heads time head_width"], first: int | Tensor = 0
) -> Float[Tensor, "batch heads time head_width"]:
    """Queries or keys turned by their positions, the first of which is `first`.

    Raises ValueError for an odd head width, whose last channel has no partner.
    """
    width = int(tokens.shape[-1])
    pairs = rotary_pairs(width)
    # Angles of late positions need at least the digits of float32.
    dtype = at_least_float32(tokens.dtype)
    positions = ops.cast(ops.arange(ops.shape(tokens)[2]) + first, dtype)
    frequencies = ops.convert_to_tensor(
        [ROTARY_BASE ** (-2 * channel / width) for channel in range(pairs)], dtype=dtype
    )
    angles = positions[:, None] * frequencies
    cosine, sine = (ops.cast(part, tokens.dtype) for part in (ops.cos(angles), ops.sin(angles)))
    left, right = tokens[..., :pairs], tokens[..., pairs:]
    return ops.concatenate([left * cosine - right * sine, right * cosine + left * sine], axis=-1)


class Alibi(Layer):
    """A penalty that grows with the distance, with a slope for each head; nothing is learned."""

    def __init__(self, heads: int, **keras_settings: Any) -> None:
        super().__init__(**keras_settings)
        self._slopes = alibi_slopes(heads)

    def call(self, queries: Tensor, keys: Tensor) -> Float[Tensor, "1 heads time source"]:
        """What is added to the scores of queries and keys at these positions, each ``[length]``."""
        distance = ops.cast(ops.abs(queries[:, None] - keys[None, :]), self.compute_dtype)
        slopes = ops.convert_to_tensor(self._slopes, dtype=self.compute_dtype)
        return -(slopes[:, None, None] * distance)[None]


class T5Buckets(Layer):
    """A learned number for each head and bucket of distances; far ones share a bucket."""

    def __init__(self, heads: int, *, causal: bool, **keras_settings: Any) -> None:
        super().__init__(**keras_settings)
        self._heads = heads
        self._causal = causal

    def build(self, *shapes: Shape) -> None:
        """Make the table, which no shape decides."""
        self.table = self.add_weight(shape=(T5_BUCKETS, self._heads), initializer="zeros", name="table")

    def call(self, queries: Tensor, keys: Tensor) -> Float[Tensor, "1 heads time source"]:
        """What is added to the scores of queries and keys at these positions, each ``[length]``."""
        buckets = t5_bucket(keys[None, :] - queries[:, None], causal=self._causal)
        return ops.transpose(ops.take(ops.convert_to_tensor(self.table), buckets, axis=0), (2, 0, 1))[None]


def t5_bucket(offset: Tensor, *, causal: bool) -> Tensor:
    """The bucket of key position minus query position: one each for the near, logarithmic beyond."""
    buckets, first = T5_BUCKETS, ops.zeros_like(offset)
    if not causal:
        buckets //= 2
        first = ops.cast(offset > 0, offset.dtype) * buckets
    distance = ops.maximum(-offset, 0) if causal else ops.abs(offset)
    near = buckets // 2
    relative = ops.cast(ops.maximum(distance, 1), "float64") / near
    growth = ops.log(relative) / math.log(T5_FARTHEST / near)
    far = ops.minimum(near + ops.cast(growth * (buckets - near), offset.dtype), buckets - 1)
    return first + ops.where(distance < near, distance, far)
