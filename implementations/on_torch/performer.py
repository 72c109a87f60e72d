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
from a seed of their own, and stay as they are.

Answers are finite for keys of any size. But a feature is exp(-|y|^2 / 2) small where W^T y is: keys so long
that all their features vanish (in float32 |y|^2 above some 170) drop out of the sums, and a causal query
that sees no other key, like one that shares no feature with any, gets zeros. Softmax attention at logits
of a thousand is out of reach of random features in any case.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.base_two import BITS
from implementations.on_torch.feature_attention import FeatureAttention
from implementations.on_torch.projected import LayerSettings
from implementations.random_features import draw_orthogonal_features


class Performer(FeatureAttention):
    """FAVOR+ attention with the standard projections; the random `features` are a buffer.

    `features` says how many, `seed` which; the layer's other weights do not depend on that seed.
    Raises ValueError for fewer than one feature.
    """

    features: Tensor

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        features: int = 256,
        seed: int = 0,
        **settings: Unpack[LayerSettings],
    ) -> None:
        super().__init__(width, heads, **settings)
        self.register_buffer("features", orthogonal_features(self.head_width, features, seed))

    def feature_count(self) -> int:
        """The random features."""
        return self.features.shape[1]

    def query_features(
        self, query: Float[Tensor, "batch heads time head_width"], first: int
    ) -> Float[Tensor, "batch heads time features"]:
        """Each query's features, divided by the largest of them; its position does not matter."""
        exponents = query @ self._scaled()
        largest = exponents.detach().amax(dim=-1, keepdim=True)
        return exponents.sub_(largest).exp2_()

    def key_features(
        self,
        key: Float[Tensor, "batch heads source head_width"],
        first: int,
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
    ) -> Float[Tensor, "batch heads source features"]:
        """The keys' features, divided by the largest of all keys unless `causal`; zero for a padded key."""
        halved_square = key.square().sum(dim=-1, keepdim=True) * (BITS / (2 * math.sqrt(self.head_width)))
        exponents = (key @ self._scaled()).sub_(halved_square)
        if padding is not None:
            exponents = exponents.masked_fill_(~padding[:, None, :, None], -math.inf)
        limits = torch.finfo(exponents.dtype)
        if causal:
            return exponents.clamp_(max=math.log2(limits.max) / 2).exp2_()
        largest = exponents.detach().amax(dim=(-2, -1), keepdim=True).clamp(min=limits.min)
        return exponents.sub_(largest).exp2_()

    def _scaled(self) -> Tensor:
        """The features for exponents in bits: exponentials are to base 2 (`base_two`)."""
        scaled: Tensor = self.features * (BITS / self.head_width**0.25)
        return scaled


def orthogonal_features(head_width: int, features: int, seed: int) -> Float[Tensor, "head_width features"]:
    """The columns of `draw_orthogonal_features` in torch's default dtype."""
    drawn = torch.from_numpy(draw_orthogonal_features(head_width, features, seed))
    return drawn.to(torch.get_default_dtype())
