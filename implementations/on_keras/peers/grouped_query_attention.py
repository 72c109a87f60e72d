"""Keras's own layer, `keras.layers.GroupQueryAttention`: groups of query heads share keys and values.

    out_h = softmax(Q_h K_g^T / sqrt(d)) V_g,  g the group of head h

Maps, biases and initial weights as ours. It repeats keys and values in memory for every query head, so
that it saves projections and parameters, and no time in the scores.
"""

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Layer, Shape, Tensor
from implementations.on_keras.layer_interface import head_width_of
from implementations.on_keras.peers.multi_head_attention import exported_maps


@keras.saving.register_keras_serializable(package="attnbench", name="peers.GroupedQueryAttention")
class GroupedQueryAttention(Layer):
    """The layer with `key_heads` heads of keys and values."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
        key_heads: int = 2,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.layer = keras.layers.GroupQueryAttention(
            head_width_of(width, heads, head_width), heads, key_heads, dtype=self.dtype_policy
        )

    def build(self, query_shape: Shape) -> None:
        """Make the weights; a context has the queries' width."""
        self.layer.build(query_shape, query_shape)

    def exported(self) -> dict[str, Layer]:
        """The maps, by the names of the shared layout."""
        return exported_maps(self.layer)

    def call(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to `context`, or to itself; `padding` is True where a real source token stands."""
        source = query if context is None else context
        mask = None if padding is None else ops.expand_dims(padding, 1)
        return self.layer(query, source, attention_mask=mask, use_causal_mask=self.causal)
