"""Attention whose weights are products of features: the step after the feature map.

    out_i = a_i^T (sum over j of b_j v_j^T) / (a_i^T sum over j of b_j)

All keys, or those at j <= i when causal. Features are non-negative, so the divisor is zero only where no
visible key shares a feature with the query: such a query gets zeros. `FeatureAttention` is the layer
around a pair of feature maps; it decodes with the two sums as its state, of constant size.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.causal_product import causal_mean, smallest_normaliser, summing_dtype
from implementations.on_torch.decoding import State
from implementations.on_torch.projected import AttentionLayer, Memory
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
        return causal_mean(query_features, key_features, value)
    return recall_mean(query_features, *sums_of(key_features, value))


class Sums(NamedTuple):
    """What a sequence of any length leaves behind; `length` tokens are in it.

    `state` is the sum of b_j v_j^T ``[batch, heads, features, head_width]``, `total` that of b_j
    ``[batch, heads, features]``.
    """

    state: Tensor
    total: Tensor
    length: int

    def extended(
        self,
        key_features: Float[Tensor, "batch heads time features"],
        value: Float[Tensor, "batch heads time head_width"],
    ) -> "Sums":
        """The sums with these keys and values in them."""
        features, value = key_features.to(self.state.dtype), value.to(self.state.dtype)
        state, total = sums_of(features, value)
        return Sums(self.state + state, self.total + total, self.length + value.shape[2])


def sums_of(
    key_features: Float[Tensor, "batch heads source features"],
    value: Float[Tensor, "batch heads source head_width"],
) -> tuple[Float[Tensor, "batch heads features head_width"], Float[Tensor, "batch heads features"]]:
    """The sums over all keys."""
    return key_features.mT @ value, key_features.sum(dim=-2)


def recall_mean(
    query_features: Float[Tensor, "batch heads time features"],
    state: Float[Tensor, "batch heads features head_width"],
    total: Float[Tensor, "batch heads features"],
) -> Float[Tensor, "batch heads time head_width"]:
    """The mean of the values that the sums hold, for each query."""
    features = query_features.to(state.dtype)
    normaliser = features @ total.unsqueeze(-1)
    mean = (features @ state) / normaliser.clamp(min=smallest_normaliser(normaliser.dtype))
    return mean.to(query_features.dtype)


class FeatureAttention(AttentionLayer):
    """Attention by `query_features` and `key_features`, which a subclass gives.

    `features` counts them. Decoding keeps two sums and their number of tokens.
    """

    def feature_count(self) -> int:
        """How many features a key has."""
        raise NotImplementedError(f"{type(self).__name__} must define feature_count()")

    def query_features(
        self, query: Float[Tensor, "batch heads time head_width"], first: int
    ) -> Float[Tensor, "batch heads time features"]:
        """Non-negative features of queries, the first of which stands at position `first`."""
        raise NotImplementedError(f"{type(self).__name__} must define query_features(query, first)")

    def key_features(
        self,
        key: Float[Tensor, "batch heads source head_width"],
        first: int,
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
    ) -> Float[Tensor, "batch heads source features"]:
        """Non-negative features of keys from position `first` on, all zero for a padded one."""
        raise NotImplementedError(f"{type(self).__name__} must define key_features(key, first, padding, …)")

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """The mean of the values by the products of features."""
        key_features = self.key_features(key, 0, padding, causal=causal)
        return attend_by_features(self.query_features(query, 0), key_features, value, causal=causal)

    def initial_state(self, batch: int) -> State:
        """Sums of no token. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        features, weight = self.feature_count(), self.key.weight
        state = weight.new_zeros(
            batch, self.heads, features, self.head_width, dtype=summing_dtype(weight.dtype)
        )
        return Sums(state, state.new_zeros(batch, self.heads, features), 0)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``forward(tokens)`` and the sums over all of them."""
        empty: Sums = self.initial_state(tokens.shape[0])
        key, value, _ = self._remembered(tokens, None)
        key_features = self.key_features(key, 0, None, causal=True)
        query_features = self.query_features(self._queries(tokens), 0)
        mixed = attend_by_features(query_features, key_features, value, causal=True)
        return self._join(mixed), empty.extended(key_features, value)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the sums with it."""
        first = state.length
        key, value, _ = self._remembered(token, None, first)
        state = state.extended(self.key_features(key, first, None, causal=True), value)
        query_features = self.query_features(self._queries(token, first), first)
        return self._join(recall_mean(query_features, state.state, state.total)), state

    def remember(
        self,
        context: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """The sums over the context, in the places of keys and values: of constant size."""
        self._check(context, context, padding)
        key, value, _ = self._remembered(context, padding)
        return *sums_of(self.key_features(key, 0, padding, causal=False), value), None

    def recall(
        self, query: Float[Tensor, "batch time width"], memory: Memory, first: int = 0
    ) -> Float[Tensor, "batch time width"]:
        """``forward(query, context, padding)`` for a remembered context; the queries begin at `first`."""
        query_features = self.query_features(self._queries(query, first), first)
        return self._join(recall_mean(query_features, memory[0], memory[1]))
