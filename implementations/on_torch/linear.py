"""Linear attention: the softmax's exponential replaced by a product of features.

    out_i = phi(q_i)^T S / (phi(q_i)^T z),   S = sum over j of phi(k_j) v_j^T,   z = sum over j of phi(k_j)
    phi(x) = elu(x) + 1, which is exp(x) below 0 and x + 1 above; causal: sums over j <= i

Time n d^2, memory n d; decoding keeps S and z, d^2 + d numbers a head whatever the length. Paper:
Katharopoulos and others 2020, arXiv:2006.16236, equations 4 to 12 and 16 to 20. No scaling by sqrt(d), as
in the paper. Departures: phi is computed as exp(min(x, 0)) + max(x, 0), which keeps its digits where
elu(x) + 1 rounds to 0; chunks in place of the paper's step over positions (see `causal_product`); no
constant added to the divisor.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.causal_product import smallest_normaliser
from implementations.on_torch.feature_attention import FeatureAttention, attend_by_features


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
    return attend_by_features(feature_map(query), _hidden(feature_map(key), padding), value, causal=causal)


def feature_map(tokens: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """elu + 1, entry by entry: positive for every finite entry above -87 in float32."""
    features: Tensor = _EluPlusOne.apply(tokens)  # type: ignore[no-untyped-call]  # torch has no types for it
    return features


class _EluPlusOne(torch.autograd.Function):
    """Its slope, exp(x) below 0 and 1 above, is read off its answer: nothing else is kept."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor) -> Tensor:
        features = tokens.clamp(max=0.0).exp_().add_(tokens.clamp(min=0.0))
        ctx.save_for_backward(features)
        return features

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        slope: Tensor = features.clamp(max=1.0)
        return slope.mul_(gradients[0])


def _by_tokens(heads: Tensor) -> Tensor:
    """``[batch, heads, time, width]`` to ``[batch, time, heads * width]``, a view of what lies by tokens."""
    return heads.transpose(1, 2).flatten(2)


def _hidden(features: Tensor, padding: Tensor | None) -> Tensor:
    return features if padding is None else features.masked_fill(~padding[:, None, :, None], 0.0)


class Linear(FeatureAttention):
    """Linear attention with the standard projections, and its recurrent form for decoding."""

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to `context`, or to itself; `padding` is True where a real source token stands.

        Raises ValueError for tokens of another width and for a padding that does not fit the source.
        """
        source = query if context is None else context
        self._check(query, source, padding)
        if self.causal or not self._pays_to_fold(query, source):
            return super().forward(query, context, padding)
        key = self._keys(source)
        features = self.key_features(key, 0, padding, causal=False)
        return self._recall_folded(self.query_features(self._queries(query), 0), features, source)

    def _pays_to_fold(self, query: Tensor, source: Tensor) -> bool:
        """In half precision it never does: sums over all tokens would be rounded twice."""
        half = torch.finfo(query.dtype).bits < 32 or torch.is_autocast_enabled(query.device.type)
        return not half and query.shape[1] + source.shape[1] > 2 * self.width

    def _recall_folded(self, query: Tensor, key: Tensor, source: Tensor) -> Tensor:
        """The layer's answer from features of queries and keys, and from tokens without a map of values."""
        total = key.sum(dim=-2)
        normaliser = (query @ total.unsqueeze(-1)).clamp(min=smallest_normaliser(query.dtype))
        by_head = (self.heads, self.head_width, self.width)
        sums = (_by_tokens(key).mT @ source).view(-1, *by_head)
        value_bias = self.value.bias.view(self.heads, 1, self.head_width)
        state = sums @ self.value.weight.view(by_head).mT + total.unsqueeze(-1) * value_bias
        output_map = self.output.weight.t().reshape(by_head)
        # Times the reciprocal: the gradient of a quotient goes through all tokens twice as often.
        weights = _by_tokens(query * normaliser.reciprocal())
        return torch.baddbmm(self.output.bias, weights, (state @ output_map).flatten(1, 2))

    def feature_count(self) -> int:
        """A feature a channel."""
        return self.head_width

    def query_features(
        self, query: Float[Tensor, "batch heads time head_width"], first: int
    ) -> Float[Tensor, "batch heads time features"]:
        """phi, wherever the query stands."""
        return feature_map(query)

    def key_features(
        self,
        key: Float[Tensor, "batch heads source head_width"],
        first: int,
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
    ) -> Float[Tensor, "batch heads source features"]:
        """phi, wherever the key stands; zero for a padded one."""
        return _hidden(feature_map(key), padding)
