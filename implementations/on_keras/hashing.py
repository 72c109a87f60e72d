"""Hashed attention (Reformer): queries see those keys that fall into the same bucket of a random hash.

    k_j = q_j / |q_j|;   bucket_r(x) = argmax([x R_r; -x R_r]),  R_r Gaussian, [d, buckets / 2], one a round
    place_r(j) = how many earlier tokens have the bucket of j in round r;   chunk_r(j) = place_r(j) // size
    P_i = all j that in some round r have the bucket of i, and its chunk or the one before; causal: j <= i
    out_i = softmax over j in P_i of (q_i . k_j / sqrt(d)) v_j,  with j = i only if there is no other

Time n d hashes size, memory n d + n size + n hashes buckets. Paper: Kitaev and others 2020, Reformer,
arXiv:2001.04451, section 2 and appendix A. The twin of the torch one, with its departures: chunks are
counted off inside a bucket among earlier tokens, so that the future moves none; the number of buckets is
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
from implementations.on_keras.hashing_rounds import (
    BUCKET_STEP,
    attend_in_rounds,
    buckets_of,
    codes_of,
    shares,
)
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.layer_interface import require_equal_lengths
from implementations.on_keras.projected import AttentionLayer, Memory
from implementations.on_keras.visibility import HIDDEN_SCORE, softmax_over_keys

MOST_BUCKETS = 1024


class HashingState(NamedTuple):
    """Keys and values so far, and the code of each token's bucket and chunk in every round."""

    keys: KeyValueCache
    codes: Int[Tensor, "batch heads hashes capacity"]


@keras.saving.register_keras_serializable(package="attnbench")
class Hashing(AttentionLayer):
    """Self-attention within the buckets of `hashes` random rounds; the `rotations` are not trained.

    `buckets` are those of one round, an even number; `size` counts the tokens of a chunk; `seed` says
    which rotations are drawn. Raises ValueError for numbers below 1 and for buckets that are odd or more
    than 1024.
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
        key, value, _ = memory = self._remembered(tokens, None)
        codes, _, _ = codes_of(key, self.rotations, self.size, None)
        codes = ops.transpose(codes, (1, 2, 0, 3))
        state = _extended(self.initial_state(int(tokens.shape[0])), key, value, codes)
        return self._attend(self._queries(tokens), memory, causal=True), state

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: HashingState
    ) -> tuple[Float[Tensor, "batch 1 width"], HashingState]:
        """The answer for the next token, and the state after it."""
        key, value, _ = self._remembered(token, None)
        buckets = ops.transpose(buckets_of(key, self.rotations), (1, 2, 0, 3))
        earlier = ops.cast(state.codes[..., : state.keys.length] // BUCKET_STEP == buckets, "int32")
        code = buckets * BUCKET_STEP + ops.sum(earlier, axis=-1, keepdims=True) // self.size
        state = _extended(state, key, value, code)
        keys, values = state.keys.filled()
        found = shares(code, state.codes[..., : state.keys.length])
        visible = ops.any(found, axis=2, keepdims=True)
        query = self._queries(token) / math.sqrt(self.head_width)
        scores = ops.matmul(query, ops.swapaxes(keys, -1, -2))
        hidden = ops.cast(HIDDEN_SCORE, scores.dtype)
        itself = ops.arange(state.keys.length) == state.keys.length - 1
        # Itself, if it sees no other.
        scores = ops.where(itself, hidden / 2, ops.where(visible, scores, hidden))
        return self._merge(ops.matmul(softmax_over_keys(scores), values)), state

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int | Tensor = 0) -> Memory:
        return _unit(self._queries(tokens)), self._split(self.value_map(tokens)), padding


def _unit(tokens: Tensor) -> Tensor:
    """At unit length; zeros stay zeros, with a gradient of zero."""
    # Divided by its largest entry first, as squares of large numbers overflow.
    largest = ops.stop_gradient(ops.max(ops.abs(tokens), axis=-1, keepdims=True))
    tokens = tokens / ops.where(largest > 0, largest, ops.ones_like(largest))
    square = ops.sum(ops.square(tokens), axis=-1, keepdims=True)
    return tokens / ops.sqrt(ops.where(square > 0, square, ops.ones_like(square)))


def _extended(state: HashingState, key: Tensor, value: Tensor, codes: Tensor) -> HashingState:
    """The state with these tokens after those it holds, the codes in as much storage as the keys."""
    first, keys = state.keys.length, state.keys.extended(key, value)
    room = keys.key.shape[2] - state.codes.shape[-1]
    kept = ops.pad(state.codes, ((0, 0), (0, 0), (0, 0), (0, room))) if room else state.codes
    return HashingState(keys, ops.slice_update(kept, (0, 0, 0, first), codes))
