"""Hashed attention (Reformer): queries see those keys that fall into the same bucket of a random hash.

    k_j = q_j / |q_j|;   bucket_r(x) = argmax([x R_r; -x R_r]),  R_r Gaussian, [d, buckets / 2], one a round
    place_r(j) = where j stands once all are sorted by bucket and position;   c_r(j) = place_r(j) // size
    P_i = all j that in some round r have the bucket of i, and c_r(j) = c_r(i) or c_r(i) - 1;
          causal: all j <= i that in some round have it, and place_r(j) >= place_r(i) - size
    out_i = softmax over j in P_i of (q_i . k_j / sqrt(d)) v_j,  with j = i only if there is no other

Time n d hashes size, memory n d + n size + n hashes. Paper: Kitaev and others 2020, Reformer,
arXiv:2001.04451, section 2 and appendix A. There is no key map: queries and keys are shared.

Departures. The paper cuts the sorted sequence into chunks in the causal form too, whose borders then
depend on how many later tokens fall into smaller buckets: the future decides who shares a chunk. Here a
causal token sees the `size` tokens of its bucket before it, which nothing later can move; for the same
reason the number of buckets is fixed and does not grow with the length. A key found in several rounds
counts in the first of them, which is what the paper's division by the number of rounds comes to; the
token itself is forbidden by a rule instead of by a score of -10^5. A padded token is in no bucket and has
no place: as a query it mixes nothing. The choice of a bucket has no gradient.
"""

import math
from typing import NamedTuple, Unpack

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from implementations.on_torch.decoding import KeyValueCache, empty_cache
from implementations.on_torch.hashing_places import buckets_of
from implementations.on_torch.hashing_rounds import attend_in_rounds
from implementations.on_torch.projected import AttentionLayer, LayerSettings, Memory
from implementations.on_torch.visibility import hidden_score, require_equal_lengths

MOST_BUCKETS = 1024


class HashingState(NamedTuple):
    """Keys and values so far, and each token's bucket in every round."""

    keys: KeyValueCache
    buckets: Int[Tensor, "batch heads hashes capacity"]


class Hashing(AttentionLayer):
    """Self-attention within the buckets of `hashes` random rounds; the `rotations` are a buffer.

    `buckets` are those of one round, an even number; `size` counts the tokens of a chunk or, causal, those
    of its bucket that a token looks back on; `seed` says which rotations are drawn. Raises ValueError for
    numbers below 1 and for buckets that are odd or more than 1024.
    """

    rotations: Tensor
    takes_rotation = False  # the bucket of a token would depend on its position

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        hashes: int = 4,
        buckets: int = 32,
        size: int = 64,
        seed: int = 0,
        **settings: Unpack[LayerSettings],
    ) -> None:
        if min(hashes, size) < 1 or buckets % 2 or not 2 <= buckets <= MOST_BUCKETS:
            raise ValueError(
                "hashing needs hashes and size of at least 1 and an even number of buckets up to "
                f"{MOST_BUCKETS}, got hashes {hashes}, size {size}, buckets {buckets}"
            )
        super().__init__(width, heads, **settings)
        del self.key  # the keys are the queries
        self.key_norm = None
        self.size = size
        drawn = np.random.default_rng(seed).standard_normal((hashes, self.head_width, buckets // 2))
        self.register_buffer("rotations", torch.tensor(drawn, dtype=torch.get_default_dtype()))

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """As every layer, but a token that attends to its own sequence is mapped once, to query and key."""
        if context is not None:
            return super().forward(query, context, padding)
        self._check(query, query, padding)
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
        require_equal_lengths(query, key, "hashed or causal attention")
        scaled = query / math.sqrt(self.head_width)
        return attend_in_rounds(scaled, key, value, self.rotations, padding, causal=causal, size=self.size)

    def initial_state(self, batch: int) -> HashingState:
        """No tokens. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        keys = empty_cache(self.value.weight, batch, self.heads, self.head_width, self.head_width)
        shape = (batch, self.heads, len(self.rotations), 0)
        return HashingState(keys, torch.empty(shape, dtype=torch.int32, device=keys.key.device))

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], HashingState]:
        """``forward(tokens)`` and the state after the last of them, at once."""
        state = self.initial_state(tokens.shape[0])
        query, memory = self._shared(tokens, None)
        key, value, _ = memory
        state = _extended(state, key, value, buckets_of(key, self.rotations))
        return self._attend(query, memory, causal=True), state

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: HashingState
    ) -> tuple[Float[Tensor, "batch 1 width"], HashingState]:
        """The answer for the next token, and the state after it; the state that came in is used up."""
        query, (key, value, _) = self._shared(token, None)
        state = _extended(state, key, value, buckets_of(key, self.rotations))
        keys, values = state.keys.filled()
        visible = self._visible(state.buckets[..., : state.keys.length])
        scores = query / math.sqrt(self.head_width) @ keys.mT
        scores.masked_fill_(~visible, 2 * hidden_score(query.dtype))
        scores[..., -1] = hidden_score(query.dtype)  # itself, if it sees no other
        return self._join(torch.softmax(scores, dim=-1) @ values), state

    def _visible(self, buckets: Int[Tensor, "batch heads hashes time"]) -> Bool[Tensor, "batch heads 1 time"]:
        """True for what the last of the tokens sees."""
        same = buckets == buckets[..., -1:]
        met = same.cumsum(dim=-1, dtype=torch.int32)
        return (same & (met >= met[..., -1:] - self.size)).any(dim=2, keepdim=True)

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int = 0) -> Memory:
        return self._shared(tokens, padding)[1]

    def _shared(self, tokens: Tensor, padding: Tensor | None) -> tuple[Tensor, Memory]:
        """Queries and memory of the same tokens."""
        query = self._queries(tokens)
        return query, (functional.normalize(query, dim=-1), self._split(self.value(tokens)), padding)


def _extended(state: HashingState, key: Tensor, value: Tensor, buckets: Tensor) -> HashingState:
    """The state with these tokens after those it holds, the buckets in as much storage as the keys."""
    first, keys = state.keys.length, state.keys.extended(key, value)
    kept = functional.pad(state.buckets, (0, keys.key.shape[2] - state.buckets.shape[-1]))
    kept[..., first : keys.length] = buckets
    return HashingState(keys, kept)
