"""Gated linear attention: sums of keys and values whose channels each token lets fade at its own rate.

    S_t = Diag(alpha_t) S_{t-1} + k_t v_t^T,   mixed_t = S_t^T q_t
    alpha_t = sigmoid(x_t W_1 W_2 + b)^(1/16),   W_1 [width, rank]
    out = W_o (swish(W_g x) * layer norm of each head(mixed)) + b_o

Time n d (c + d), memory n d log c + n d^2 / c for chunks of c; decoding holds d^2 numbers a head. Paper: GLA,
Yang and others 2024, arXiv:2312.06635, equations 3 to 6 and section 4.4; the chunks are those of
`decayed_product`.

Departures: keys are as wide as values, where the paper halves them; biases in the projections; the norm
learns a scale and no offset, which would answer where nothing was seen.
"""

from typing import Unpack

from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.chunk_states import at_least_single
from implementations.on_torch.decayed_product import decayed_product
from implementations.on_torch.dense import Dense
from implementations.on_torch.projected import LayerSettings
from implementations.on_torch.recurrent_layer import (
    NORM_EPSILON,
    Parts,
    Recent,
    RecurrentLayer,
    RecurrentState,
    hidden,
)

TEMPERATURE = 16


class GatedLinear(RecurrentLayer):
    """Gated linear attention; the gates of all channels come from `rank` numbers a token.

    Raises NotImplementedError unless it is causal, ValueError for a rank below 1.
    """

    def __init__(self, width: int, heads: int, *, rank: int = 16, **settings: Unpack[LayerSettings]) -> None:
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        super().__init__(width, heads, **settings)
        self.decay_down = Dense(width, rank, bias=False)
        self.decay_up = Dense(rank, heads * self.head_width)
        self.norm = nn.LayerNorm(self.head_width, eps=NORM_EPSILON, bias=False)

    def _parts(
        self, query: Tensor, source: Tensor, padding: Tensor | None, state: RecurrentState | None
    ) -> tuple[Parts, Recent]:
        keys, values, _ = self._remembered(source, None)
        working = at_least_single(query.dtype)
        gates = self._split(self.decay_up(self.decay_down(source))).to(working)
        log_decay = functional.logsigmoid(gates) / TEMPERATURE
        decay = hidden(log_decay, padding).exp()  # 1 where nothing stands
        parts = self._queries(query), hidden(keys, padding), values, decay
        return tuple(part.to(working) for part in parts), ()

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value, decay = parts
        return decayed_product(query, key, value, decay)

    def _next(self, parts: Parts, sums: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value, decay = (part.transpose(-2, -1) for part in parts)
        sums = decay * sums + key @ value.transpose(-2, -1)
        return query.transpose(-2, -1) @ sums, sums

    def _normed(self, mixed: Tensor) -> Tensor:
        normed: Tensor = self.norm(mixed.to(self.norm.weight.dtype))
        return normed
