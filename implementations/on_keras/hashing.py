"""Hashed attention (Reformer): queries see those keys that fall into the same bucket of a random hash.

    k_j = q_j / |q_j|;   bucket_r(x) = argmax([x R_r; -x R_r]),  R_r Gaussian, [d, buckets / 2], one a round
    place_r(j) = where j stands once all are sorted by bucket and position;   c_r(j) = place_r(j) // size
    P_i = all j that in some round r have the bucket of i, and c_r(j) = c_r(i) or c_r(i) - 1;
          causal: all j <= i that in some round have it, and place_r(j) >= place_r(i) - size
    out_i = softmax over j in P_i of (q_i . k_j / sqrt(d)) v_j,  with j = i only if there is no other

Time n d hashes size, memory n d + n size + n hashes buckets. Paper: Kitaev and others 2020, Reformer,
arXiv:2001.04451, section 2 and appendix A. The twin of the torch one, with its departures: a causal token
sees the `size` tokens of its bucket before it, so that the future moves none; the number of buckets is
fixed; a key found in several rounds counts once; padded tokens are in no bucket and, as queries, mix
nothing. There is no key map: queries and keys are shared. Lengths must be known when a graph is traced.
"""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.decoding import KeyValueCache, empty_cache
from implementations.on_keras.hashing_places import buckets_of
from implementations.on_keras.hashing_rounds import attend_in_rounds
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.layer_interface import require_equal_lengths, require_padding, require_tokens
from implementations.on_keras.projected import AttentionLayer, Memory
from implementations.on_keras.visibility import HIDDEN_SCORE, softmax_over_keys

MOST_BUCKETS = 1024


class HashingState(NamedTuple):
    """Keys and values so far, and each token's bucket in every round."""

    keys: KeyValueCache
    buckets: Int[Tensor, "batch heads hashes capacity"]


@keras.saving.register_keras_serializable(package="attnbench")
class Hashing(AttentionLayer):
    """Self-attention within the buckets of `hashes` random rounds; the `rotations` are not trained.

    `buckets` are those of one round, an even number; `size` counts the tokens of a chunk or, causal, those
    of its bucket that a token looks back on; `seed` says which rotations are drawn. Raises ValueError for
    numbers below 1 and for buckets that are odd or more than 1024.
    """

    takes_rotation = False  # the bucket of a token would depend on its position
    own_settings = ("hashes", "buckets", "size", "seed")

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        hashes: int = 4,
        buckets: int = 32,
        size: int = 64,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        if min(hashes, size) < 1 or buckets % 2 or not 2 <= buckets <= MOST_BUCKETS:
            raise ValueError(
                "hashing needs hashes and size of at least 1 and an even number of buckets up to "
                f"{MOST_BUCKETS}, got hashes {hashes}, size {size}, buckets {buckets}"
            )
        super().__init__(width, heads, **settings)
        del self.key_map, self.key_norm  # the keys are the queries
        self.hashes, self.buckets, self.size, self.seed = hashes, buckets, size, seed

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        self.query_map.build(query_shape)
        self.value_map.build(query_shape)
        self.output_map.build((*query_shape[:-1], self.heads * self.head_width))
        if self.query_norm is not None:
            self.query_norm.build((None, None, None, self.head_width))
        shape = (self.hashes, self.head_width, self.buckets // 2)
        drawn = np.random.default_rng(self.seed).standard_normal(shape)
        self.rotations = keras.Variable(drawn.astype("float32"), trainable=False, name="rotations")

    def compute_output_shape(
        self, query_shape: Shape, context_shape: Shape | None = None, padding_shape: Shape | None = None
    ) -> Shape:
        """That of the query; said here since not every backend can trace an open batch."""
        return query_shape

    def exported(self) -> dict[str, Any]:
        """The maps there are, and the rotations."""
        maps = {"query": self.query_map, "value": self.value_map, "output": self.output_map}
        norm = {} if self.query_norm is None else {"query_norm": self.query_norm}
        return maps | norm | {"rotations": self.rotations}

    def call(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """As every layer, but a token that attends to its own sequence is mapped once, to query and key."""
        if context is not None:
            return super().call(query, context, padding)
        require_tokens("query", query, self.width)
        if padding is not None:
            require_padding(padding, query)
        return self._attend(*self._shared(query, padding), causal=self.causal)

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
        """Attention within buckets; a token's bucket is that of its key.

        Raises ValueError unless there are as many keys as queries.
        """
        require_equal_lengths(query.shape[2], key.shape[2])
        scaled = query / math.sqrt(self.head_width)
        return attend_in_rounds(scaled, key, value, self.rotations, padding, causal=causal, size=self.size)

    def initial_state(self, batch: int) -> HashingState:
        """No tokens. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        return HashingState(
            empty_cache(self.compute_dtype, batch, self.heads, self.head_width, self.head_width),
            ops.zeros((batch, self.heads, self.hashes, 0), dtype="int32"),
        )

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], HashingState]:
        """``call(tokens)`` and the state after the last of them, at once."""
        query, memory = self._shared(tokens, None)
        key, value, _ = memory
        buckets = self._buckets(key)
        state = _extended(self.initial_state(int(tokens.shape[0])), key, value, buckets)
        return self._attend(query, memory, causal=True), state

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: HashingState
    ) -> tuple[Float[Tensor, "batch 1 width"], HashingState]:
        """The answer for the next token, and the state after it."""
        query, (key, value, _) = self._shared(token, None)
        state = _extended(state, key, value, self._buckets(key))
        keys, values = state.keys.filled()
        visible = self._visible(state.buckets[..., : state.keys.length])
        scores = ops.matmul(query / math.sqrt(self.head_width), ops.swapaxes(keys, -1, -2))
        hidden = ops.cast(HIDDEN_SCORE, scores.dtype)
        itself = ops.arange(state.keys.length) == state.keys.length - 1
        # Itself, if it sees no other.
        scores = ops.where(itself, hidden / 2, ops.where(visible, scores, hidden))
        return self._merge(ops.matmul(softmax_over_keys(scores), values)), state

    def _buckets(
        self, key: Float[Tensor, "batch heads time head_width"]
    ) -> Int[Tensor, "batch heads hashes time"]:
        return ops.transpose(buckets_of(key, self.rotations), (1, 2, 0, 3))

    def _visible(self, buckets: Int[Tensor, "batch heads hashes time"]) -> Bool[Tensor, "batch heads 1 time"]:
        """True for what the last of the tokens sees."""
        same = buckets == buckets[..., -1:]
        met = ops.cumsum(ops.cast(same, "int32"), axis=-1)
        return ops.any(ops.logical_and(same, met >= met[..., -1:] - self.size), axis=2, keepdims=True)

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int | Tensor = 0) -> Memory:
        return self._shared(tokens, padding)[1]

    def _shared(self, tokens: Tensor, padding: Tensor | None) -> tuple[Tensor, Memory]:
        """Queries and memory of the same tokens."""
        query = self._queries(tokens)
        return query, (_unit(query), self._split(self.value_map(tokens)), padding)


def _unit(tokens: Tensor) -> Tensor:
    """At unit length; zeros stay zeros, with a gradient of zero."""
    # Divided by its largest entry first, as squares of large numbers overflow.
    largest = ops.stop_gradient(ops.max(ops.abs(tokens), axis=-1, keepdims=True))
    tokens = tokens / ops.where(largest > 0, largest, ops.ones_like(largest))
    square = ops.sum(ops.square(tokens), axis=-1, keepdims=True)
    return tokens / ops.sqrt(ops.where(square > 0, square, ops.ones_like(square)))


def _extended(state: HashingState, key: Tensor, value: Tensor, buckets: Tensor) -> HashingState:
    """The state with these tokens after those it holds, the buckets in as much storage as the keys."""
    first, keys = state.keys.length, state.keys.extended(key, value)
    room = keys.key.shape[2] - state.buckets.shape[-1]
    kept = ops.pad(state.buckets, ((0, 0), (0, 0), (0, 0), (0, room))) if room else state.buckets
    return HashingState(keys, ops.slice_update(kept, (0, 0, 0, first), buckets))
