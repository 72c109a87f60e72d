"""Transformer-XL: scores of content and of distance, so that a memory of earlier tokens keeps its place.

    s_ij = ((q_i + u) . k_j + (q_i + v) . W_R r_(i - j)) / sqrt(d);   out_i = softmax(s_i) V

r is a sinusoid of the distance, W_R a learned map, u and v learned numbers for each head. Time n^2 d,
memory n^2: the scores of distance are built once, for each query and each distance; those of content stay
in the fused kernel, to which the first are a bias (where gradients are asked for, torch writes both out).
Paper: Dai and others 2019, arXiv:1901.02860, section 3.3 and appendix B.

Query i's score for distance i - j stands in row i, one place further left for each row: read without the
first n - 1 entries and with rows one entry shorter, the same numbers stand where key j is. Departures:
queries, keys and values have biases, as in every layer here, the map of positions has none; u and v start
at zero. Without causality distances are negative too.
"""

import math
from typing import NamedTuple, Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.decoding import KeyValueCache, State
from implementations.on_torch.dense import Dense
from implementations.on_torch.projected import AttentionLayer, LayerSettings
from implementations.on_torch.visibility import hidden_score, require_equal_lengths, sees_any_key
from implementations.positions import LONGEST_WAVE


class RelativeCache(NamedTuple):
    """Keys and values so far, and the keys of the distances 0, 1, …, ``[heads, capacity, head_width]``."""

    tokens: KeyValueCache
    distances: Tensor


class TransformerXL(AttentionLayer):
    """Attention by content and distance to the tokens themselves and, through `with_memory`, to earlier ones.

    Tokens are the last of the source that they attend to, so that a context must be as long as they are.
    """

    takes_rotation = False  # it has positions of its own

    def __init__(self, width: int, heads: int, **settings: Unpack[LayerSettings]) -> None:
        super().__init__(width, heads, **settings)
        self.position = Dense(width, heads * self.head_width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads, self.head_width))
        self.position_bias = nn.Parameter(torch.zeros(heads, self.head_width))

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to itself, or to a `context` of its length; `padding` is True for real tokens.

        Raises ValueError for shapes that do not fit.
        """
        if context is not None:
            require_equal_lengths(
                query, context, "causal attention" if self.causal else "transformer-xl attention"
            )
        return super().forward(query, context, padding)

    def with_memory(
        self, tokens: Float[Tensor, "batch time width"], memory: Float[Tensor, "batch past width"]
    ) -> Float[Tensor, "batch time width"]:
        """The answer for tokens that follow those of `memory` and see all of them.

        The caller detaches the memory if no gradient is to reach it, as in the paper.
        """
        self._check(tokens, memory, None)
        source = torch.cat((memory, tokens), dim=1)
        return self._attend(self._queries(tokens), self._remembered(source, None), causal=self.causal)

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
        """The values weighted by content and distance; query i stands at place ``source - time + i``."""
        time, source = query.shape[2], key.shape[2]
        nearest = -1 if causal else -time  # one more than is needed: rows are read one entry shorter
        distances = self._position_keys(torch.arange(source - 1, nearest - 1, -1, device=query.device))
        by_distance = self._position_query(query) @ distances.transpose(-2, -1)
        scores = by_distance.flatten(2)[:, :, time - 1 : -1]
        scores = scores.view(*query.shape[:3], by_distance.shape[-1] - 1)[..., :source]
        return self._attend_by(query, key, value, scores, padding, causal)

    def _attend_by(
        self, query: Tensor, key: Tensor, value: Tensor, scores: Tensor, padding: Tensor | None, causal: bool
    ) -> Tensor:
        """Softmax attention with the `scores` of distance, ``[batch, heads, time, source]``, added."""
        time, source = scores.shape[2:]
        hidden = hidden_score(scores.dtype)
        if causal:
            later = torch.ones(time, source, dtype=torch.bool, device=query.device).triu(source - time + 1)
            scores.masked_fill_(later, hidden)
        if padding is not None:
            scores.masked_fill_(~padding[:, None, None, :], hidden)
        query = query + self.content_bias[:, None]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=scores)
        if padding is None:
            return mixed
        return mixed.masked_fill(~sees_any_key(padding, causal=causal), 0.0)

    def _position_query(self, query: Tensor) -> Tensor:
        return (query + self.position_bias[:, None]) / math.sqrt(self.head_width)

    def _position_keys(self, distances: Tensor) -> Float[Tensor, "heads distances head_width"]:
        waves = sinusoids(distances, self.width).to(self.position.weight.dtype)
        keys: Tensor = self.position(waves)
        return keys.view(-1, self.heads, self.head_width).transpose(0, 1)

    def initial_state(self, batch: int) -> State:
        """What decoding starts from. Raises NotImplementedError for a layer that is not causal."""
        tokens: KeyValueCache = super().initial_state(batch)
        return RelativeCache(tokens, tokens.key.new_empty(self.heads, 0, self.head_width))

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``forward(tokens)`` and the state after the last of them, at once."""
        state: RelativeCache = self.initial_state(tokens.shape[0])
        key, value, _ = memory = self._remembered(tokens, None)
        return self._attend(self._queries(tokens), memory, causal=True), self._extended(state, key, value)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the state after it; the state that came in is used up."""
        key, value, _ = self._remembered(token, None)
        state = self._extended(state, key, value)
        query = self._queries(token)
        keys, values = state.tokens.filled()
        distances = state.distances[:, : state.tokens.length]
        scores = (self._position_query(query) @ distances.transpose(-2, -1)).flip(-1)
        return self._join(self._attend_by(query, keys, values, scores, None, False)), state

    def _extended(self, state: RelativeCache, key: Tensor, value: Tensor) -> RelativeCache:
        """With these tokens, and with the keys of all distances that fit into their storage."""
        tokens = state.tokens.extended(key, value)
        known, capacity = state.distances.shape[1], tokens.key.shape[2]
        if known == capacity:
            return RelativeCache(tokens, state.distances)
        added = self._position_keys(torch.arange(known, capacity, device=key.device))
        return RelativeCache(tokens, torch.cat((state.distances, added), dim=1))


def sinusoids(distances: Tensor, width: int) -> Float[Tensor, "distances width"]:
    """Sines, then cosines, of each distance at wavelengths from 2 pi to `LONGEST_WAVE` times that."""
    channels = torch.arange(0, width, 2, device=distances.device, dtype=torch.float64)
    angles = distances.double()[:, None] * LONGEST_WAVE ** (-channels / width)
    return torch.cat((angles.sin(), angles.cos()), dim=-1)[:, :width]
