"""Keras's own layer, `keras.layers.GroupQueryAttention`: groups of query heads share keys and values.

    out_h = softmax(Q_h K_g^T / sqrt(d)) V_g,  g the group of head h

Maps, biases and initial weights as ours. It repeats keys and values in memory for every query head, so
that it saves projections and parameters, and no time in the scores.
"""

import keras

from implementations.on_keras.layer_interface import head_width_of
from implementations.on_keras.peers.own_layer import OwnLayer


@keras.saving.register_keras_serializable(package="attnbench", name="peers.GroupedQueryAttention")
class GroupedQueryAttention(OwnLayer):
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
