"""Keras's own layer, `keras.layers.MultiHeadAttention`.

    out = softmax(Q K^T / sqrt(d)) V

Maps, biases and initial weights as ours. The way through the scores is Keras's choice for the backend.
Asked for flash attention it raises on a CPU, on every backend: there is no second form to compare.
"""

from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Layer, Shape, Tensor
from implementations.on_keras.layer_interface import head_width_of


@keras.saving.register_keras_serializable(package="attnbench", name="peers.MultiHeadAttention")
class MultiHeadAttention(Layer):
    """The layer at the same width, heads and biases."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.layer = keras.layers.MultiHeadAttention(
            heads, head_width_of(width, heads, head_width), dtype=self.dtype_policy
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


def exported_maps(layer: Any) -> dict[str, Layer]:
    """The four maps of a built Keras attention layer, which keeps them under private names."""
    return {
        "query": layer._query_dense,
        "key": layer._key_dense,
        "value": layer._value_dense,
        "output": layer._output_dense,
    }
