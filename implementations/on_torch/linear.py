"""Linear attention: the softmax's exponential replaced by a product of features.

    out_i = phi(q_i)^T (sum over j of phi(k_j) v_j^T) / (phi(q_i)^T sum over j of phi(k_j))
    phi(x) = elu(x) + 1, which is exp(x) below 0 and x + 1 above; causal: sums over j <= i

Time n d^2, memory n d (causal: times and states of `causal_product`). Paper: Katharopoulos and others
2020, arXiv:2006.16236, equations 4 to 9. No scaling by sqrt(d), as in the paper. Departures: phi is
computed as exp(min(x, 0)) + max(x, 0), which keeps its digits where elu(x) + 1 rounds to 0; chunks in
place of the paper's step over positions; no constant added to the divisor.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.feature_attention import attend_by_features


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values, weighted by phi(query) . phi(key); zeros if it sees no key.

    `padding` is True where a real key stands. Raises ValueError if causal with unequal lengths.
    """
    key_features = feature_map(key)
    if padding is not None:
        key_features = key_features.masked_fill(~padding[:, None, :, None], 0.0)
    return attend_by_features(feature_map(query), key_features, value, causal=causal)


def feature_map(tokens: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """elu + 1, entry by entry: positive for every finite entry above -87 in float32."""
    return torch.exp(tokens.clamp(max=0.0)) + torch.relu(tokens)
