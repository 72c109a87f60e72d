"""Gated linear attention: sums of keys and values whose channels each token lets fade at its own rate.

    S_t = Diag(alpha_t) S_{t-1} + k_t v_t^T,   mixed_t = S_t^T q_t
    alpha_t = sigmoid(x_t W_1 W_2 + b)^(1/16),   W_1 [width, rank]
    out = W_o (swish(W_g x) * layer norm of each head(mixed)) + b_o

Time n d (c + d), memory n d log c + n d^2 / c for chunks of c; decoding holds d^2 numbers a head. Paper: GLA,
Yang and others 2024, arXiv:2312.06635, equations 3 to 6 and section 4.4; the chunks are those of
`decayed_product`.

Departures: keys are as wide as values, where the paper halves them; biases in the projections; the norm
learns a scale and no offset, which would answer where nothing was seen.
"""

from typing import Any

import keras
from keras import ops

from implementations.on_keras.decayed_product import decayed_product
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.precision import at_least_float32
from implementations.on_keras.recurrent_layer import (
    NORM_EPSILON,
    Parts,
    Recent,
    RecurrentLayer,
    RecurrentState,
    hidden,
)

TEMPERATURE = 16


@keras.saving.register_keras_serializable(package="attnbench")
class GatedLinear(RecurrentLayer):
    """Gated linear attention; the gates of all channels come from `rank` numbers a token.

    Raises NotImplementedError unless it is causal, ValueError for a rank below 1.
    """

    own_settings = ("rank",)

    def __init__(self, width: int, heads: int, *, rank: int = 16, **settings: Any) -> None:
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        super().__init__(width, heads, **settings)
        self.rank = rank
        inner, policy = heads * self.head_width, self.dtype_policy
        self.decay_down = keras.layers.Dense(rank, use_bias=False, dtype=policy, name="decay_down")
        self.decay_up = keras.layers.Dense(inner, dtype=policy, name="decay_up")
        self.norm = keras.layers.LayerNormalization(
            epsilon=NORM_EPSILON, center=False, dtype=policy, name="norm"
        )

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        super().build(query_shape)
        self.decay_down.build(query_shape)
        self.decay_up.build((*query_shape[:-1], self.rank))
        self.norm.build((None, self.heads, None, self.head_width))

    def _parts(
        self, query: Tensor, source: Tensor, padding: Tensor | None, state: RecurrentState | None
    ) -> tuple[Parts, Recent]:
        keys, values, _ = self._remembered(source, None)
        working = at_least_float32(self.compute_dtype)
        gates = ops.cast(self._split(self.decay_up(self.decay_down(source))), working)
        decay = ops.exp(hidden(ops.log_sigmoid(gates) / TEMPERATURE, padding))  # 1 where nothing stands
        parts = self._queries(query), hidden(keys, padding), values, decay
        return tuple(ops.cast(part, working) for part in parts), ()

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value, decay = parts
        return decayed_product(query, key, value, decay)

    def _next(self, parts: Parts, sums: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value, decay = parts
        sums = ops.swapaxes(decay, -2, -1) * sums + ops.swapaxes(key, -2, -1) * value
        return ops.matmul(query, sums), sums

    def _normed(self, mixed: Tensor) -> Tensor:
        return self.norm(mixed)

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        own = {"decay_down": self.decay_down, "decay_up": self.decay_up, "norm": self.norm}
        return super().exported() | own
