"""Performer: random features whose product is, on average, the softmax's exponential.

    phi(x) = exp(W^T y - |y|^2 / 2), y = x / d^(1/4);   out_i = phi(q_i)^T S / (phi(q_i)^T z),
    S = sum over j of phi(k_j) v_j^T, z = sum over j of phi(k_j); causal: sums over j <= i

W [d, m] has Gaussian columns, orthogonal within each group of d. Time n m d, memory n m. Paper:
Choromanski and others 2021, FAVOR+, arXiv:2009.14794, equation 7 and section 2.4.

Departures: factors that cancel in the quotient are left out (1 / sqrt(m), and |q|^2 / 2, as each query
is divided by its own largest feature). Keys are divided by the largest feature of all keys, but only
when not causal: that maximum looks at the future, and a causal key is instead held below a constant
that it practically never reaches. No constant is added to the features. The features are drawn once,
from a seed of their own, and stay as they are.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.feature_attention import attend_by_features
from implementations.on_torch.projected import AttentionLayer, LayerSettings


class Performer(AttentionLayer):
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

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """Attention by the features of queries and keys."""
        scaled = self.features / self.head_width**0.25
        key_features = _key_features(key, scaled, padding, causal=causal)
        return attend_by_features(_query_features(query, scaled), key_features, value, causal=causal)


def orthogonal_features(head_width: int, features: int, seed: int) -> Float[Tensor, "head_width features"]:
    """Gaussian columns, orthogonal within each group of `head_width`, with the lengths of Gaussian vectors.

    Drawn from a generator of their own, so that torch's global one stays where it is.
    """
    if features < 1:
        raise ValueError(f"features must be at least 1, got {features}")
    generator = torch.Generator().manual_seed(seed)
    groups = math.ceil(features / head_width)
    drawn = torch.randn(groups, head_width, head_width, generator=generator, dtype=torch.float64)
    directions, triangle = torch.linalg.qr(drawn)
    # QR fixes the signs; multiplying by those of the diagonal makes the directions uniform again.
    directions = directions * triangle.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]
    lengths = torch.randn(groups, head_width, head_width, generator=generator, dtype=torch.float64).norm(
        dim=1
    )
    columns: Tensor = (directions * lengths[:, None, :]).transpose(0, 1).flatten(1)[:, :features]
    return columns.to(torch.get_default_dtype())


def _query_features(query: Tensor, scaled: Tensor) -> Tensor:
    exponents = query @ scaled
    largest = exponents.detach().amax(dim=-1, keepdim=True)
    return exponents.sub_(largest).exp_()


def _key_features(key: Tensor, scaled: Tensor, padding: Tensor | None, *, causal: bool) -> Tensor:
    halved_square = key.square().sum(dim=-1, keepdim=True) / (2 * math.sqrt(key.shape[-1]))
    exponents = (key @ scaled).sub_(halved_square)
    if padding is not None:
        exponents = exponents.masked_fill(~padding[:, None, :, None], -math.inf)
    limits = torch.finfo(key.dtype)
    if causal:
        return exponents.clamp(max=math.log(limits.max) / 2).exp()
    largest = exponents.detach().amax(dim=(-2, -1), keepdim=True).clamp(min=limits.min)
    return exponents.sub_(largest).exp_()
