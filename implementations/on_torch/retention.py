"""Retention: sums of keys and values that decay at a fixed rate, each head at its own.

    S_n = gamma S_{n-1} + k_n v_n^T,   mixed_n = S_n^T q_n / sqrt(d sum of gamma^(n-m) over m <= n)
    head h: gamma = 1 - 2^(-5-h);   q_n and k_m turned by n theta and m theta
    out = W_o (swish(W_g x) * group norm of each head(mixed)) + b_o

Time n d^2, memory n (c + d) + n d^2 / c for chunks of c; decoding holds d^2 numbers a head. Paper: RetNet,
Sun and others 2023, arXiv:2307.08621: equation 5 (parallel), 6 (recurrent), 7 (chunkwise) and 8 (heads,
gate and norm). Of its section "Retention Score Normalization", the first two factors are here, 1 / sqrt(d)
and 1 / sqrt(sum of the decays); the third, by a row's sum of scores, guards half precision only, and sums
here are held in float32. The norm divides all of them out again.

Departures: biases in the projections; the norm learns no scale, which W_o would take in, and no offset, which
would answer where nothing was seen; an odd last channel is not turned. Padding hides a token and leaves its
place: distances count it.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from implementations.on_torch.chunk_states import (
    at_least_single,
    carried_by_decay,
    chunk_for,
    chunked,
    joined,
)
from implementations.on_torch.recurrent_layer import (
    NORM_EPSILON,
    Parts,
    Recent,
    RecurrentLayer,
    RecurrentState,
    hidden,
)
from implementations.on_torch.relative_positions import rotate

CHUNK = 64


class Retention(RecurrentLayer):
    """Multi-scale retention. Raises NotImplementedError unless it is causal."""

    def _parts(
        self, query: Tensor, source: Tensor, padding: Tensor | None, state: RecurrentState | None
    ) -> tuple[Parts, Recent]:
        first = 0 if state is None else state.length
        queries = turned(self._queries(query), first)
        keys, values, _ = self._remembered(source, None)
        scale = _score_scale(self.heads, first, query.shape[1], queries)
        working = at_least_single(query.dtype)
        keys = hidden(turned(keys, first), padding)
        return (queries.to(working) * scale, keys.to(working), values.to(working)), ()

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value = parts
        return retain(query, key, value)

    def _next(self, parts: Parts, sums: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value = parts
        decay = torch.tensor(decay_rates(self.heads), dtype=sums.dtype, device=sums.device)
        sums = decay[:, None, None] * sums + key.transpose(-2, -1) * value
        return query @ sums, sums

    def _normed(self, mixed: Tensor) -> Tensor:
        return functional.layer_norm(mixed, mixed.shape[-1:], eps=NORM_EPSILON)


def decay_rates(heads: int) -> list[float]:
    """gamma of each head: what remains of a sum after one more token."""
    return [1 - 2.0 ** (-5 - head) for head in range(heads)]


def retain(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads time head_width"],
    value: Float[Tensor, "batch heads time value_width"],
    chunk: int = CHUNK,
) -> tuple[
    Float[Tensor, "batch heads time value_width"], Float[Tensor, "batch heads head_width value_width"]
]:
    """Sums of gamma^(n-m) (q_n . k_m) v_m over m <= n, and the state after the last token.

    In a chunk gamma^(n-m) is split into gamma^n and gamma^-m, at most (32 / 31)^chunk, which is 8 for the
    usual 64. Raises ValueError for a chunk whose powers would overflow.
    """
    if not 1 <= chunk <= 1024:
        raise ValueError(f"chunk must be 1 to 1024 tokens, got {chunk}")
    length = value.shape[2]
    size = chunk_for(length, chunk)
    rates = torch.tensor(decay_rates(query.shape[1]), dtype=torch.float64, device=query.device)[:, None]
    powers = rates ** torch.arange(size, device=query.device)
    falling = powers.to(query.dtype)[:, None, :, None]
    rising = (1 / powers).to(query.dtype)[:, None, :, None]
    queries, keys, values = chunked(query, size) * falling, chunked(key, size) * rising, chunked(value, size)
    mixed = (queries @ keys.transpose(-2, -1)).tril_() @ values
    last, whole = ((rates**power).to(query.dtype)[None, :, None, :, None] for power in (size - 1, size))
    before, after = carried_by_decay(whole, last * (keys.transpose(-2, -1) @ values))
    if length > size:
        mixed = mixed + queries @ (before * rates.to(query.dtype)[:, None, :, None])
    return joined(mixed, length), after


def turned(
    tokens: Float[Tensor, "batch heads time head_width"], first: int
) -> Float[Tensor, "batch heads time head_width"]:
    """Queries or keys turned by their positions from `first` on; an odd last channel stays as it is."""
    paired = tokens.shape[-1] // 2 * 2
    if paired == tokens.shape[-1]:
        return rotate(tokens, first)
    if paired == 0:
        return tokens
    return torch.cat((rotate(tokens[..., :paired], first), tokens[..., paired:]), dim=-1)


def _score_scale(heads: int, first: int, length: int, like: Tensor) -> Tensor:
    """1 / sqrt(d times the sum of the decays up to each position), ``[heads, time, 1]``."""
    lost = 1 - torch.tensor(decay_rates(heads), dtype=torch.float64, device=like.device)[:, None]
    seen = torch.arange(first + 1, first + length + 1, dtype=torch.float64, device=like.device)
    # 1 - gamma^seen would lose the digits of a gamma near 1.
    scale = (lost / -torch.expm1(torch.log1p(-lost) * seen)).sqrt() / math.sqrt(like.shape[-1])
    return scale.to(at_least_single(like.dtype))[..., None]
