"""Differential attention: the difference of two softmax maps, which cancels what both see as noise.

    A = softmax(Q1 K1^T / sqrt(g)) - lambda softmax(Q2 K2^T / sqrt(g)),   g half the head's width
    lambda = exp(a1 . b1) - exp(a2 . b2) + lambda_init,   lambda_init = 0.8 - 0.6 exp(-0.3 (depth - 1))
    head = (1 - lambda_init) RMSNorm(A V)

a1, b1, a2, b2 are the paper's lambda_q1, lambda_k1, lambda_q2, lambda_k2, one set for all heads of a
layer; the norm works on each head by itself and its scale is shared by them. Time n^2 d, memory n d: the
scores of a block of queries at a time, see `query_blocks`. Paper: Ye and others 2024, arXiv:2410.05258,
equations 1 to 3.

Each head has two groups of queries and keys of half its width and values of its full width, so that
parameters and products are those of softmax attention with as many heads. The paper compares with half as
many heads of twice the width: halve `heads` for that. An odd width is halved upwards.
"""

import math
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.decoding import KeyValueCache, empty_cache
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.projected import AttentionLayer, Memory
from implementations.on_keras.query_blocks import attend_in_blocks
from implementations.on_keras.relative_positions import rotate

EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="attnbench")
class Differential(AttentionLayer):
    """Differential attention in a layer that stands at place `depth` of its model, from 1.

    Raises ValueError for a `depth` below 1.
    """

    takes_bias = True
    own_settings = ("depth",)

    def __init__(self, width: int, heads: int, *, depth: int = 1, **settings: Any) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, the first layer, got {depth}")
        super().__init__(width, heads, **settings)
        self.depth = depth
        self.lambda_init = 0.8 - 0.6 * math.exp(-0.3 * (depth - 1))
        del self.query_map, self.key_map  # assigning anew would keep the old ones as well
        self.query_map, self.key_map = (
            keras.layers.Dense(2 * heads * self.group_width, dtype=self.dtype_policy, name=name)
            for name in ("query", "key")
        )
        self.head_norm = keras.layers.RMSNormalization(
            epsilon=EPSILON, dtype=self.dtype_policy, name="head_norm"
        )

    @property
    def group_width(self) -> int:
        """The width of a group of queries or keys."""
        return -(-self.head_width // 2)

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        for linear in (self.query_map, self.key_map, self.value_map):
            linear.build(query_shape)
        self.output_map.build((*query_shape[:-1], self.heads * self.head_width))
        self.head_norm.build((None, None, None, self.head_width))
        for norm in (self.query_norm, self.key_norm):
            if norm is not None:
                norm.build((None, None, None, self.group_width))
        if self.positions == "t5":
            self.bias.build(())  # type: ignore[union-attr]  # with these positions it is a table
        self.first_query, self.first_key, self.second_query, self.second_key = (
            self.add_weight(
                shape=(self.group_width,), initializer=keras.initializers.RandomNormal(stddev=0.1), name=name
            )
            for name in ("first_query", "first_key", "second_query", "second_key")
        )

    def mix(
        self,
        query: Float[Tensor, "batch heads time two_groups"],
        key: Float[Tensor, "batch heads source two_groups"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """The normed difference of the maps of the first and of the second half of the channels."""
        first, second = (
            attend_in_blocks(
                query[..., group],
                key[..., group],
                value,
                rule=_Softmax(),
                causal=causal,
                padding=padding,
                bias=bias,
            )
            for group in (slice(0, self.group_width), slice(self.group_width, None))
        )
        return (1 - self.lambda_init) * self.head_norm(first - self.subtracted() * second)

    def subtracted(self) -> Float[Tensor, ""]:
        """The weight lambda of the second map."""
        gain, loss = (
            ops.sum(ops.cast(one, self.compute_dtype) * ops.cast(other, self.compute_dtype))
            for one, other in ((self.first_query, self.first_key), (self.second_query, self.second_key))
        )
        return ops.exp(gain) - ops.exp(loss) + self.lambda_init

    def initial_state(self, batch: int) -> KeyValueCache:
        """What decoding starts from. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        return empty_cache(self.compute_dtype, batch, self.heads, 2 * self.group_width, self.head_width)

    def _queries(self, tokens: Tensor, first: int | Tensor = 0) -> Tensor:
        return self._groups(self.query_map(tokens), self.query_norm, first)

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int | Tensor = 0) -> Memory:
        key = self._groups(self.key_map(tokens), self.key_norm, first)
        return key, self._split(self.value_map(tokens)), padding

    def _groups(self, projected: Tensor, norm: Any, first: int | Tensor) -> Tensor:
        """``[batch, heads, time, 2 * group_width]``, each group normed and turned by itself."""
        batch, time, _ = ops.shape(projected)
        groups = ops.reshape(projected, (batch, time, 2 * self.heads, self.group_width))
        groups = ops.swapaxes(groups, 1, 2)
        if norm is not None:
            groups = norm(groups)
        if self.positions == "rotary":
            groups = rotate(groups, first)
        groups = ops.reshape(groups, (batch, self.heads, 2, time, self.group_width))
        return ops.reshape(ops.swapaxes(groups, 2, 3), (batch, self.heads, time, 2 * self.group_width))

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        names = ("first_query", "first_key", "second_query", "second_key", "head_norm")
        return super().exported() | {name: getattr(self, name) for name in names}


class _Softmax:
    scale = 1.0

    def weigh(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        largest = ops.max(scores, axis=-1, keepdims=True)
        weights = ops.exp(scores - largest)
        total = ops.sum(weights, axis=-1, keepdims=True)
        return weights / total, ops.concatenate([largest, total], axis=-1)

    def weigh_again(self, scores: Tensor, kept: Tensor) -> Tensor:
        return ops.exp(scores - kept[..., :1]) / kept[..., 1:]

    def gradient(self, weights: Tensor, of_weights: Tensor) -> Tensor:
        return weights * (of_weights - ops.sum(weights * of_weights, axis=-1, keepdims=True))
