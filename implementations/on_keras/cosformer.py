"""cosFormer: linear attention by relu features, with nearby tokens weighted up by a cosine.

    out_i = sum over j of w_ij v_j / sum over j of w_ij,
    w_ij = relu(q_i) . relu(k_j) cos(pi / 2 * (i - j) / M); causal: sums over j <= i

The cosine of a difference is cos cos + sin sin, so that w_ij is a product of 2 d features. Time n d^2,
memory n d; decoding keeps 2 (d^2 + d) numbers a head whatever the length. Paper: Qin and others 2022,
arXiv:2202.08791, equations 9 to 14.

Departures: M is `max_length`, where the paper takes the length of the sequence: an answer may depend
neither on the tokens to come nor on the padding. Positions are counted from 0 in queries and in a context
alike. A query none of whose visible keys shares a positive channel with it has weights of sum zero and
gets zeros; no constant is added to the divisor.
"""

import math
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.feature_attention import FeatureAttention, hidden
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.precision import at_least_float32


@keras.saving.register_keras_serializable(package="attnbench")
class Cosformer(FeatureAttention):
    """cosFormer attention with the standard projections, for at most `max_length` tokens.

    The whole number `longest`, kept beside the weights, says for which M they were learned. Raises
    ValueError without a `max_length`, and in use for more tokens than that.
    """

    def __init__(self, width: int, heads: int, *, max_length: int | None = None, **settings: Any) -> None:
        if max_length is None or max_length < 1:
            raise ValueError(f"cosformer needs a max_length of at least 1, got {max_length}")
        super().__init__(width, heads, max_length=max_length, **settings)
        self.longest_tokens = max_length

    def build(self, query_shape: Shape) -> None:
        """Make the weights, and the number beside them."""
        super().build(query_shape)
        make_weight: Any = self.add_weight  # it takes more than our type of Layer knows
        self.longest = make_weight(
            shape=(),
            initializer=lambda shape, dtype: ops.convert_to_tensor(self.longest_tokens, dtype=dtype),
            name="longest",
            dtype="int64",
            trainable=False,
        )

    def exported(self) -> dict[str, Any]:
        """The maps and the largest number of tokens."""
        return super().exported() | {"longest": self.longest}

    def feature_count(self) -> int:
        """A cosine and a sine for each channel."""
        return 2 * self.head_width

    def query_features(
        self, query: Float[Tensor, "batch heads time head_width"], first: int | Tensor
    ) -> Float[Tensor, "batch heads time features"]:
        """relu(query) times the cosine, and times the sine, of its position."""
        length = ops.shape(query)[2]
        self._require_room(first, length)
        # Angles need at least the digits of float32.
        dtype = at_least_float32(query.dtype)
        positions = ops.cast(ops.arange(length) + first, dtype)
        angles = (positions * (math.pi / 2 / self.longest_tokens))[:, None]
        positive = ops.relu(query)
        waves = (ops.cast(wave, query.dtype) for wave in (ops.cos(angles), ops.sin(angles)))
        return ops.concatenate([positive * wave for wave in waves], axis=-1)

    def key_features(
        self,
        key: Float[Tensor, "batch heads source head_width"],
        first: int | Tensor,
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
    ) -> Float[Tensor, "batch heads source features"]:
        """The same of keys; zero for a padded one."""
        return hidden(self.query_features(key, first), padding)

    def _require_room(self, first: int | Tensor, length: int | Tensor) -> None:
        """Lengths that a traced graph leaves open are taken to fit."""
        if isinstance(first, int) and isinstance(length, int) and first + length > self.longest_tokens:
            raise ValueError(
                f"cosformer takes at most max_length = {self.longest_tokens} tokens, got {first + length}; "
                "build the layer with a larger max_length"
            )
