"""Multi-query and grouped-query attention: several query heads read the same keys and values.

    out_h = softmax(Q_h K_g^T / sqrt(d)) V_g,   g = floor(h G / H):   H query heads, G heads of keys

Time n^2 d H as with all keys, memory n^2 H: the scores are built, as in `softmax`; projections, cache and
what a decoding step reads shrink by H / G. Papers: Shazeer 2019, arXiv:1911.02150, section 3 (G = 1,
multi-query); Ainslie and others 2023, arXiv:2305.13245, section 2.2. No departure; keys are not repeated:
the query heads of a group are multiplied with them as one longer sequence. Keras's own fused attention
would repeat them.
"""

import math
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.projected import AttentionLayer
from implementations.on_keras.visibility import HIDDEN_SCORE, sees_any_key, softmax_over_keys, visible_keys


@keras.saving.register_keras_serializable(package="attnbench")
class GroupedQuery(AttentionLayer):
    """`key_heads` heads of keys and values for `heads` of queries; 0 takes two where that divides the
    heads, otherwise one.

    Raises ValueError when `key_heads` does not divide `heads`.
    """

    takes_bias = True
    own_settings: tuple[str, ...] = ("key_heads",)

    def __init__(self, width: int, heads: int, *, key_heads: int = 0, **settings: Any) -> None:
        key_heads = key_heads or 2 - heads % 2
        if key_heads < 1 or heads % key_heads:
            raise ValueError(
                f"key_heads must divide heads, got {key_heads} key heads for {heads} heads; "
                "0 chooses a number that does"
            )
        super().__init__(width, heads, key_heads=key_heads, **settings)

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch key_heads source head_width"],
        value: Float[Tensor, "batch key_heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """Softmax attention, each query head with the keys of its group."""
        batch, heads, time, width = ops.shape(query)
        source, groups = ops.shape(key)[2], (self.key_heads, heads // self.key_heads)
        # A group's heads, one after the other, are one sequence of queries for the group's keys.
        together = ops.reshape(query / math.sqrt(width), (batch, self.key_heads, groups[1] * time, width))
        scores = ops.matmul(together, ops.swapaxes(key, -1, -2))
        scores = ops.reshape(scores, (batch, heads, time, source))
        if bias is not None:
            scores = scores + bias
        visible = visible_keys(query, key, causal=causal, padding=padding)
        if visible is not None:
            scores = ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype))
        weights = ops.reshape(softmax_over_keys(scores), (batch, self.key_heads, groups[1] * time, source))
        mixed = ops.reshape(ops.matmul(weights, value), (batch, heads, time, width))
        if padding is None:
            return mixed
        return ops.where(sees_any_key(padding, causal=causal), mixed, ops.zeros_like(mixed))


@keras.saving.register_keras_serializable(package="attnbench")
class MultiQuery(GroupedQuery):
    """One head of keys and values for all heads of queries."""

    own_settings = ()

    def __init__(self, width: int, heads: int, **settings: Any) -> None:
        super().__init__(width, heads, key_heads=1, **settings)
