"""Attention whose weights are products of features: the step after the feature map.

    out_i = a_i^T (sum over j of b_j v_j^T) / (a_i^T sum over j of b_j)

All keys, or those at j <= i when causal. Features are non-negative, so the divisor is zero only where a
query sees nothing: such a query gets zeros.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from implementations.on_torch.causal_product import causal_product
from implementations.on_torch.visibility import require_equal_lengths


def attend_by_features(
    query_features: Float[Tensor, "batch heads time features"],
    key_features: Float[Tensor, "batch heads source features"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool,
) -> Float[Tensor, "batch heads time head_width"]:
    """The values' mean for each query; a hidden key is one whose features are all zero.

    Raises ValueError for causal attention between sequences of different lengths.
    """
    if causal:
        require_equal_lengths(query_features, key_features, "causal attention")
        numerator, normaliser = causal_product(query_features, key_features, value)
    else:
        numerator = query_features @ (key_features.transpose(-2, -1) @ value)
        normaliser = query_features @ key_features.sum(dim=-2).unsqueeze(-1)
    # Below the root of the smallest number the square in the quotient's gradient would vanish.
    return numerator / normaliser.clamp(min=torch.finfo(normaliser.dtype).tiny ** 0.5)
