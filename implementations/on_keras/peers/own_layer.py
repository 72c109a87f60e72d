"""One of Keras's own attention layers behind our interface."""

from typing import Any

from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Layer, Shape, Tensor


class OwnLayer(Layer):
    """Holds Keras's layer in `layer`, which a subclass makes, and whether it is `causal`."""

    layer: Any
    causal: bool

    def build(self, query_shape: Shape) -> None:
        """Make the weights; a context has the queries' width."""
        self.layer.build(query_shape, query_shape)

    def exported(self) -> dict[str, Layer]:
        """The maps, which Keras keeps under private names, by the names of the shared layout."""
        return {
            "query": self.layer._query_dense,
            "key": self.layer._key_dense,
            "value": self.layer._value_dense,
            "output": self.layer._output_dense,
        }

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
