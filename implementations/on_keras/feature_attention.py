"""Attention whose weights are products of features: the step after the feature map.

    out_i = a_i^T (sum over j of b_j v_j^T) / (a_i^T sum over j of b_j)

All keys, or those at j <= i when causal. Features are non-negative, so the divisor is zero only where no
visible key shares a feature with the query: such a query gets zeros. `FeatureAttention` is the layer
around a pair of feature maps; it decodes with the two sums as its state, of constant size.
"""

from typing import NamedTuple

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.causal_product import CHUNK, causal_mean, quotient, transposed
from implementations.on_keras.decoding import State
from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.layer_interface import require_equal_lengths, require_padding, require_tokens
from implementations.on_keras.projected import AttentionLayer, Memory


def attend_by_features(
    query_features: Float[Tensor, "batch heads time features"],
    key_features: Float[Tensor, "batch heads source features"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool,
    chunk: int = CHUNK,
) -> Float[Tensor, "batch heads time head_width"]:
    """The values' mean for each query; a hidden key is one whose features are all zero.

    Raises ValueError for causal attention between sequences of different lengths, or a chunk below 1.
    """
    if causal:
        require_equal_lengths(query_features.shape[2], key_features.shape[2])
        return causal_mean(query_features, key_features, value, chunk)
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
        features, values = (ops.cast(part, self.state.dtype) for part in (key_features, value))
        state, total = sums_of(features, values)
        return Sums(self.state + state, self.total + total, self.length + int(value.shape[2]))


def sums_of(
    key_features: Float[Tensor, "batch heads source features"],
    value: Float[Tensor, "batch heads source head_width"],
) -> tuple[Float[Tensor, "batch heads features head_width"], Float[Tensor, "batch heads features"]]:
    """The sums over all keys."""
    return ops.matmul(transposed(key_features), value), ops.sum(key_features, axis=2)


def recall_mean(
    query_features: Float[Tensor, "batch heads time features"],
    state: Float[Tensor, "batch heads features head_width"],
    total: Float[Tensor, "batch heads features"],
) -> Float[Tensor, "batch heads time head_width"]:
    """The mean of the values that the sums hold, for each query."""
    features = ops.cast(query_features, state.dtype)
    mean = quotient(ops.matmul(features, state), ops.matmul(features, total[..., None]))
    return ops.cast(mean, query_features.dtype)


@keras.saving.register_keras_serializable(package="attnbench")
class FeatureAttention(AttentionLayer):
    """Attention by `query_features` and `key_features`, which a subclass gives.

    Decoding keeps two sums and their number of tokens.
    """

    chunk = CHUNK

    def feature_count(self) -> int:
        """How many features a key has."""
        raise NotImplementedError(f"{type(self).__name__} must define feature_count()")

    def query_features(
        self, query: Float[Tensor, "batch heads time head_width"], first: int | Tensor
    ) -> Float[Tensor, "batch heads time features"]:
        """Non-negative features of queries, the first of which stands at position `first`."""
        raise NotImplementedError(f"{type(self).__name__} must define query_features(query, first)")

    def key_features(
        self,
        key: Float[Tensor, "batch heads source head_width"],
        first: int | Tensor,
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
        query_features = self.query_features(query, 0)
        return attend_by_features(query_features, key_features, value, causal=causal, chunk=self.chunk)

    def call(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """Attend from `query` to `context` (None: to itself); `padding` is True where a real token stands.

        Raises ValueError for tokens of another width and for a padding that does not fit the source.
        """
        source = query if context is None else context
        require_tokens("query", query, self.width)
        return self._attend(self._queries(query), self._checked(source, padding), causal=self.causal)

    def initial_state(self, batch: int) -> State:
        """Sums of no token. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        # In half precision a long sum would stop growing.
        dtype = "float32" if self.compute_dtype in ("bfloat16", "float16") else self.compute_dtype
        shape = (batch, self.heads, self.feature_count())
        return Sums(ops.zeros((*shape, self.head_width), dtype=dtype), ops.zeros(shape, dtype=dtype), 0)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``call(tokens)`` and the sums over all of them."""
        empty: Sums = self.initial_state(int(tokens.shape[0]))
        key, value, _ = self._remembered(tokens, None)
        key_features = self.key_features(key, 0, None, causal=True)
        query_features = self.query_features(self._queries(tokens), 0)
        mixed = attend_by_features(query_features, key_features, value, causal=True, chunk=self.chunk)
        return self._merge(mixed), empty.extended(key_features, value)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the sums with it."""
        first = state.length
        key, value, _ = self._remembered(token, None, first)
        state = state.extended(self.key_features(key, first, None, causal=True), value)
        query_features = self.query_features(self._queries(token, first), first)
        return self._merge(recall_mean(query_features, state.state, state.total)), state

    def remember(
        self,
        context: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """The sums over the context, in the places of keys and values: of constant size."""
        key, value, _ = self._checked(context, padding)
        state, total = sums_of(self.key_features(key, 0, padding, causal=False), value)
        return state, total, None

    def _checked(self, context: Tensor, padding: Tensor | None) -> Memory:
        require_tokens("context", context, self.width)
        if padding is not None:
            require_padding(padding, context)
        return self._remembered(context, padding)

    def recall(
        self, query: Float[Tensor, "batch time width"], memory: Memory, first: int | Tensor = 0
    ) -> Float[Tensor, "batch time width"]:
        """``call(query, context, padding)`` for a remembered context; the first query stands at `first`."""
        query_features = self.query_features(self._queries(query, first), first)
        return self._merge(recall_mean(query_features, memory[0], memory[1]))


def hidden(
    features: Float[Tensor, "batch heads source features"], padding: Bool[Tensor, "batch source"] | None
) -> Float[Tensor, "batch heads source features"]:
    """The features of keys with those of padded ones set to zero."""
    if padding is None:
        return features
    return ops.where(padding[:, None, :, None], features, ops.zeros_like(features))
