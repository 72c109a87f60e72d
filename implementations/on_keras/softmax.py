"""Softmax attention, the reference: Keras's own `MultiHeadAttention` behind our layer interface.

    out = softmax(q k^T / sqrt(d)) v        for each head, d the head width

Cost: time n^2 d; on TensorFlow the n x n scores of every head are kept for the backward pass.
Paper: Vaswani et al., "Attention Is All You Need", https://arxiv.org/abs/1706.03762.

Departures: none from Keras's layer as long as no `padding` is given: same weights, same initialisers,
same operations. With `padding`, Keras spreads a query that may see no key evenly over the keys it must
not see; here such a query gets zeros before the output projection, therefore that projection's bias
after it.
"""

from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Layer, Shape, Tensor
from implementations.on_keras.layer_interface import (
    head_width_of,
    require_equal_lengths,
    require_padding,
    require_tokens,
)


@keras.saving.register_keras_serializable(package="attnbench")
class Softmax(Layer):
    """Multi-head softmax attention with biases.

    `width` is that of the tokens; `head_width` defaults to ``width // heads``. `max_length` is accepted
    because every variant is built alike, and not needed. `keras_settings` are Keras's own (`name`, `dtype`).

    Raises ValueError when `heads` does not divide `width` and no `head_width` is given.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
        **keras_settings: Any,
    ) -> None:
        super().__init__(**keras_settings)
        self.width = width
        self.heads = heads
        self.causal = causal
        self.max_length = max_length
        self.head_width = head_width_of(width, heads, head_width)
        self.multi_head = keras.layers.MultiHeadAttention(
            num_heads=heads, key_dim=self.head_width, dtype=self.dtype_policy, name="multi_head"
        )

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``, and a context has the same width."""
        self.multi_head.build(query_shape, query_shape)

    def call(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """Attend from `query` to `context` (None: to itself); `padding` is True where a real token stands.

        Raises ValueError for tokens of another width, for a padding that does not fit the source and for
        causal attention to a context of another length.
        """
        source = query if context is None else context
        self._check(query, source, padding)
        if padding is None:
            return self.multi_head(query, source, use_causal_mask=self.causal)
        mixed = self.multi_head(
            query, source, attention_mask=padding[:, None, :], use_causal_mask=self.causal
        )
        without_keys = ops.cast(self.multi_head.output_dense.bias, mixed.dtype)
        return ops.where(self._sees_a_key(padding)[:, :, None], mixed, without_keys)

    def _check(self, query: Tensor, source: Tensor, padding: Tensor | None) -> None:
        require_tokens("query", query, self.width)
        require_tokens("context", source, self.width)
        if self.causal:
            require_equal_lengths(query.shape[1], source.shape[1])
        if padding is not None:
            require_padding(padding, source)

    def _sees_a_key(self, padding: Bool[Tensor, "batch source"]) -> Bool[Tensor, "batch rows"]:
        """One row for each query when causal, otherwise one for all of them."""
        if self.causal:
            return ops.cumsum(ops.cast(padding, "int32"), axis=1) > 0
        return ops.any(padding, axis=1, keepdims=True)

    def exported(self) -> dict[str, Any]:
        """The maps under the names that weights travel by."""
        return {
            "query": self.multi_head.query_dense,
            "key": self.multi_head.key_dense,
            "value": self.multi_head.value_dense,
            "output": self.multi_head.output_dense,
        }

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("width", "heads", "causal", "max_length", "head_width")
        return super().get_config() | {name: getattr(self, name) for name in names}
