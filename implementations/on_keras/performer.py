"""Performer: random features whose product is, on average, the softmax's exponential.

    phi(x) = exp(W^T y - |y|^2 / 2), y = x / d^(1/4);   out_i = phi(q_i)^T S / (phi(q_i)^T z),
    S = sum over j of phi(k_j) v_j^T, z = sum over j of phi(k_j); causal: sums over j <= i

W [d, m] has Gaussian columns, orthogonal within each group of d. Time n m d, memory n m; decoding keeps S
and z, m (d + 1) numbers a head whatever the length. Paper: Choromanski and others 2021, FAVOR+,
arXiv:2009.14794, equation 7 and section 2.4.

Departures: factors that cancel in the quotient are left out (1 / sqrt(m), and |q|^2 / 2, as each query
is divided by its own largest feature). Keys are divided by the largest feature of all keys, but only
when not causal: that maximum looks at the future, and a causal key is instead held below a constant
that it practically never reaches. No constant is added to the features. The features are drawn once,
from a seed of their own, and stay as they are. Keys so long that all their features vanish drop out: a
causal query that sees no other gets zeros.
"""

import math
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.feature_attention import FeatureAttention
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.visibility import HIDDEN_SCORE
from implementations.random_features import draw_orthogonal_features

# Half the logarithm of float32's largest number: two such features, multiplied, stay finite.
LARGEST_EXPONENT = 44.361


@keras.saving.register_keras_serializable(package="attnbench")
class Performer(FeatureAttention):
    """FAVOR+ attention with the standard projections; the random features are a weight that is not trained.

    `features` says how many, `seed` which. Raises ValueError for fewer than one feature.
    """

    own_settings = ("features", "seed")

    def __init__(
        self, width: int, heads: int, *, features: int = 256, seed: int = 0, **settings: Any
    ) -> None:
        super().__init__(width, heads, **settings)
        self.features = features
        self.seed = seed
        self._drawn = draw_orthogonal_features(self.head_width, features, seed)

    def build(self, query_shape: Shape) -> None:
        """Make the weights, the random features among them."""
        super().build(query_shape)
        make_weight: Any = self.add_weight  # it takes more than our type of Layer knows
        self.columns = make_weight(
            shape=self._drawn.shape,
            initializer=lambda shape, dtype: ops.convert_to_tensor(self._drawn, dtype=dtype),
            name="features",
            trainable=False,
        )

    def exported(self) -> dict[str, Any]:
        """The maps and the random features."""
        return super().exported() | {"features": self.columns}

    def feature_count(self) -> int:
        """The random features."""
        return self.features

    def query_features(
        self, query: Float[Tensor, "batch heads time head_width"], first: int | Tensor
    ) -> Float[Tensor, "batch heads time features"]:
        """Each query's features, divided by the largest of them; its position does not matter."""
        exponents = self._projected(query)
        return ops.exp(exponents - ops.stop_gradient(ops.max(exponents, axis=-1, keepdims=True)))

    def key_features(
        self,
        key: Float[Tensor, "batch heads source head_width"],
        first: int | Tensor,
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
    ) -> Float[Tensor, "batch heads source features"]:
        """The keys' features, divided by the largest of all keys unless `causal`; zero for a padded key."""
        halved_square = ops.sum(ops.square(key), axis=-1, keepdims=True) / (2 * math.sqrt(self.head_width))
        exponents = self._projected(key) - halved_square
        real = None if padding is None else padding[:, None, :, None]
        if real is not None:
            exponents = ops.where(real, exponents, ops.cast(HIDDEN_SCORE, exponents.dtype))
        if causal:
            features = ops.exp(ops.minimum(exponents, LARGEST_EXPONENT))
        else:
            largest = ops.stop_gradient(ops.max(exponents, axis=(-2, -1), keepdims=True))
            features = ops.exp(exponents - largest)
        # Where all keys are padded, the largest is that of a padded one.
        return features if real is None else ops.where(real, features, ops.zeros_like(features))

    def _projected(self, tokens: Tensor) -> Tensor:
        columns = ops.cast(self.columns, tokens.dtype)
        return ops.matmul(tokens, columns / self.head_width**0.25)
