"""Linear attention: a kernel feature map in place of the softmax, so that cost grows with n, not n^2.

    out_i = phi(q_i)^T S / (phi(q_i)^T z),   S = sum_j phi(k_j) v_j^T,   z = sum_j phi(k_j)
    phi(x) = elu(x) + 1

with j over all keys, or over j <= i when causal.
Cost: time n d^2 and memory n d (causal: n (d + chunk) + n d^2 / chunk), d the head width; decoding keeps S
and z, d^2 + d numbers a head whatever the length.
Paper: Katharopoulos et al., "Transformers are RNNs", https://arxiv.org/abs/2006.16236.

Departures: the causal form goes over the sequence in chunks (see `causal_product`) where the paper steps
through positions; both compute the same sums. phi is written as exp(x) for x <= 0, which equals elu(x) + 1
but does not round to zero for strongly negative x. There is no 1 / sqrt(d) scaling and no epsilon in the
denominator: a query that may see no key yields zeros.
"""

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.causal_product import CHUNK
from implementations.on_keras.feature_attention import FeatureAttention, attend_by_features, hidden
from implementations.on_keras.keras_types import Tensor


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source value_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    chunk: int = CHUNK,
) -> Float[Tensor, "batch heads time value_width"]:
    """Mix `value` by the similarity phi(query) . phi(key).

    `padding` is True where a real token stands. `chunk` (in tokens) trades the memory of the products
    inside a chunk against that of the running sums; it does not change the result.

    Raises ValueError when `causal` is asked for with a source whose length is not that of the query, or
    when `chunk` is below 1.
    """
    key_features = hidden(feature_map(key), padding)
    return attend_by_features(feature_map(query), key_features, value, causal=causal, chunk=chunk)


def feature_map(tokens: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """elu + 1, entry by entry."""
    tokens = ops.convert_to_tensor(tokens)
    # The minimum keeps the branch that is not taken finite, and with it the gradient.
    return ops.where(tokens > 0, tokens + 1, ops.exp(ops.minimum(tokens, 0)))


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="linear.attend")(attend)


@keras.saving.register_keras_serializable(package="attnbench")
class Linear(FeatureAttention):
    """Linear attention with the standard projections, and its recurrent form for decoding."""

    def feature_count(self) -> int:
        """A feature a channel."""
        return self.head_width

    def query_features(
        self, query: Float[Tensor, "batch heads time head_width"], first: int | Tensor
    ) -> Float[Tensor, "batch heads time features"]:
        """phi, wherever the query stands."""
        return feature_map(query)

    def key_features(
        self,
        key: Float[Tensor, "batch heads source head_width"],
        first: int | Tensor,
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
    ) -> Float[Tensor, "batch heads source features"]:
        """phi, wherever the key stands; zero for a padded one."""
        return hidden(feature_map(key), padding)
