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

import keras
import numpy as np
from jaxtyping import Float
from keras import ops

from implementations.on_keras.chunk_states import carried_by_decay, chunk_for, chunked, joined
from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.precision import at_least_float32
from implementations.on_keras.recurrent_layer import (
    NORM_EPSILON,
    Parts,
    Recent,
    RecurrentLayer,
    RecurrentState,
    hidden,
)
from implementations.on_keras.relative_positions import rotate

CHUNK = 128


@keras.saving.register_keras_serializable(package="attnbench")
class Retention(RecurrentLayer):
    """Multi-scale retention. Raises NotImplementedError unless it is causal."""

    def _parts(
        self, query: Tensor, source: Tensor, padding: Tensor | None, state: RecurrentState | None
    ) -> tuple[Parts, Recent]:
        first = 0 if state is None else state.length
        queries = turned(self._queries(query), first)
        keys, values, _ = self._remembered(source, None)
        keys = hidden(turned(keys, first), padding)
        working = at_least_float32(self.compute_dtype)
        queries, keys, values = (ops.cast(part, working) for part in (queries, keys, values))
        return (queries * _score_scale(self.heads, first, queries), keys, values), ()

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value = parts
        return retain(query, key, value)

    def _next(self, parts: Parts, sums: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value = parts
        decay = ops.convert_to_tensor(decay_rates(self.heads), dtype=sums.dtype)[:, None, None]
        sums = decay * sums + ops.swapaxes(key, -2, -1) * value
        return ops.matmul(query, sums), sums

    def _normed(self, mixed: Tensor) -> Tensor:
        centred = mixed - ops.mean(mixed, axis=-1, keepdims=True)
        return centred * ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + NORM_EPSILON)


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

    In a chunk gamma^(n-m) is split into gamma^n and gamma^-m, at most (32 / 31)^chunk, which is 58 for the
    usual 128. Raises ValueError for a chunk whose powers would overflow.
    """
    if not 1 <= chunk <= 1024:
        raise ValueError(f"chunk must be 1 to 1024 tokens, got {chunk}")
    length = ops.shape(value)[2]
    size = chunk_for(length, chunk)
    rates = np.array(decay_rates(int(query.shape[1])))[:, None, None, None]
    powers = rates ** np.arange(size)[:, None]
    falling, rising, last, whole = (
        ops.convert_to_tensor(part, dtype=query.dtype)
        for part in (powers, 1 / powers, rates ** (size - 1), rates**size)
    )
    queries, keys, values = chunked(query, size) * falling, chunked(key, size) * rising, chunked(value, size)
    mixed = ops.matmul(ops.tril(ops.matmul(queries, ops.swapaxes(keys, -2, -1))), values)
    added = last * ops.matmul(ops.swapaxes(keys, -2, -1), values)
    before, after = carried_by_decay(ops.ones_like(added[..., :1]) * whole, added)
    if not isinstance(length, int) or length > size:
        mixed = mixed + ops.matmul(queries, before * ops.convert_to_tensor(rates, dtype=query.dtype))
    return joined(mixed, length), after


def turned(
    tokens: Float[Tensor, "batch heads time head_width"], first: int
) -> Float[Tensor, "batch heads time head_width"]:
    """Queries or keys turned by their positions from `first` on; an odd last channel stays as it is."""
    width = int(tokens.shape[-1])
    paired = width // 2 * 2
    if paired == width:
        return rotate(tokens, first)
    if paired == 0:
        return tokens
    return ops.concatenate([rotate(tokens[..., :paired], first), tokens[..., paired:]], axis=-1)


def _score_scale(heads: int, first: int, like: Tensor) -> Tensor:
    """1 / sqrt(d times the sum of the decays up to each position), ``[heads, time, 1]``."""
    lost = np.array([2.0 ** (-5 - head) for head in range(heads)])[:, None]
    logs, lost = (ops.convert_to_tensor(part, dtype=like.dtype) for part in (np.log1p(-lost), lost))
    seen = ops.cast(ops.arange(ops.shape(like)[2]) + (first + 1), like.dtype)
    # 1 - gamma^seen would lose the digits of a gamma near 1.
    scale = ops.sqrt(lost / -ops.expm1(logs * seen)) / math.sqrt(int(like.shape[-1]))
    return scale[..., None]
