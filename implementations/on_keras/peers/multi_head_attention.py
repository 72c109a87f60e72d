"""Keras's own layer, `keras.layers.MultiHeadAttention`.

    out = softmax(Q K^T / sqrt(d)) V

Maps, biases and initial weights as ours. The way through the scores is Keras's choice for the backend.
Asked for flash attention it raises on a CPU, on every backend: there is no second form to compare.
"""

import keras

from implementations.on_keras.layer_interface import head_width_of
from implementations.on_keras.peers.own_layer import OwnLayer


@keras.saving.register_keras_serializable(package="attnbench", name="peers.MultiHeadAttention")
class MultiHeadAttention(OwnLayer):
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
