"""Softmax attention in blocks of queries and keys, written out: no matrix of all scores, in either direction.

    for each block of queries, over the blocks of keys:
        S = Q K^T / sqrt(d),  m' = max(m, rowmax S),  P = exp(S - m')
        l = l exp(m - m') + rowsum P,  O = O exp(m - m') + P V;    at the end out = O / l
    gradient, block by block again, L = m + log l and D = rowsum(dout * out):
        P = exp(S - L),  dV += P^T dout,  dS = P * (dout V^T - D),  dQ += dS K,  dK += dS^T Q

Time n^2 d (causal: half), memory n d and one block of scores for each head. Papers: Milakov and Gimelshein
2018, arXiv:1805.02867, algorithm 3; Rabe and Staats 2021, arXiv:2112.05682; Dao and others 2022,
arXiv:2205.14135, appendix B.2, for the gradient from output and log-sum-exp alone.

Departures: blocks of a fixed size instead of sqrt(n). Half precision is computed in float32. Blocks are a
loop in Python: run eagerly, one block lives at a time; a traced graph holds all of them, grows with their
number, and a backend may run several at once. A length unknown when a graph is traced is one block, whose
scores are then all there. A `bias` has n^2 entries, as has its gradient.
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.layer_interface import require_equal_lengths
from implementations.on_keras.precision import at_least_float32
from implementations.on_keras.visibility import HIDDEN_SCORE

# Softmax's own scores are never so low: a row whose largest one is has seen nothing.
BLIND = HIDDEN_SCORE / 2


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
    query_block: int = 256,
    key_block: int = 512,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values, weighted by the softmax of its scores; zeros if it sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. `query_block` and `key_block`
    count tokens and change no answer. Raises ValueError if causal with unequal lengths and for a block
    below 1 token.
    """
    if causal:
        require_equal_lengths(query.shape[2], key.shape[2])
    if query_block < 1 or key_block < 1:
        raise ValueError(f"blocks must be at least 1 token, got {query_block} queries and {key_block} keys")
    dtype = at_least_float32(query.dtype)
    # Fewer queries than a block's, as in decoding, leave room for more keys.
    time, source = query.shape[2], key.shape[2]
    key_block *= max(1, query_block // time) if isinstance(time, int) else 1
    grid = _Grid(
        _slices(time, query_block), _slices(source, key_block), causal, bias is not None, padding is not None
    )
    added = [] if bias is None else [bias]
    if padding is not None:
        added.append(ops.where(padding, 0.0, HIDDEN_SCORE)[:, None, None, :])
    inputs = (ops.cast(one, dtype) for one in (query, key, value, *added))
    return ops.cast(_differentiable(grid)(*inputs), query.dtype)


def _slices(length: Any, size: int) -> tuple[slice, ...]:
    """Blocks of at most `size`; one of everything where the length is not known yet."""
    if not isinstance(length, int):
        return (slice(0, None),)
    return tuple(slice(first, min(first + size, length)) for first in range(0, length, size))


@dataclass(frozen=True, slots=True)
class _Grid:
    """The blocks, and what the inputs after query, key and value are: a bias, a push for each key."""

    queries: tuple[slice, ...]
    keys: tuple[slice, ...]
    causal: bool
    has_bias: bool
    has_push: bool

    def seen(self, queries: slice) -> list[tuple[int, slice]]:
        """The numbered blocks of keys that some of these queries see."""
        stop = queries.stop if self.causal else None
        return [(place, keys) for place, keys in enumerate(self.keys) if stop is None or keys.start < stop]

    def scores(self, inputs: tuple[Tensor, ...], queries: slice, keys: slice) -> Tensor:
        """``[batch, heads, queries, keys]``, hidden keys pushed down."""
        query, key, *added = inputs[0][:, :, queries], inputs[1][:, :, keys], *inputs[3:]
        scores = ops.matmul(query / math.sqrt(query.shape[-1]), ops.swapaxes(key, -1, -2))
        if self.has_bias:
            scores = scores + added[0][:, :, queries, keys]
        if self.has_push:
            scores = scores + added[-1][..., keys]
        if self.causal and (keys.stop is None or keys.stop > queries.start + 1):
            rows, columns = (
                first + ops.arange(ops.shape(one)[2])
                for first, one in ((queries.start, query), (keys.start, key))
            )
            earlier = rows[:, None] >= columns[None, :]
            scores = ops.where(earlier, scores, ops.cast(HIDDEN_SCORE, scores.dtype))
        return scores


def _differentiable(grid: _Grid) -> Any:
    """The mixture of these blocks as a function of its inputs, which computes blocks again for gradients."""

    @ops.custom_gradient  # type: ignore[untyped-decorator]  # Keras has no types
    def mixture(*inputs: Tensor) -> tuple[Tensor, Any]:
        parts = [_mixed(grid, inputs, queries) for queries in grid.queries]
        mixed, log_sums = (ops.concatenate(blocks, axis=2) for blocks in zip(*parts, strict=True))

        def gradient(*arguments: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
            # TensorFlow and JAX hand over the output's gradient alone, torch the inputs before it.
            outer = arguments[0] if upstream is None else upstream
            return _gradients(grid, inputs if upstream is None else arguments, mixed, log_sums, outer)

        return mixed, gradient

    return mixture


def _mixed(grid: _Grid, inputs: tuple[Tensor, ...], queries: slice) -> tuple[Tensor, Tensor]:
    """A block of queries over its blocks of keys: what is mixed, and the log-sum-exp of its scores."""
    largest: Tensor = None
    total: Tensor = None
    collected: Tensor = None
    for _, keys in grid.seen(queries):
        scores = grid.scores(inputs, queries, keys)
        higher = ops.max(scores, axis=-1, keepdims=True)
        if largest is not None:
            higher = ops.maximum(largest, higher)
        weights = ops.exp(scores - higher)
        added, mixed = ops.sum(weights, axis=-1, keepdims=True), ops.matmul(weights, inputs[2][:, :, keys])
        if largest is None:
            total, collected = added, mixed
        else:
            shrink = ops.exp(largest - higher)
            total, collected = total * shrink + added, collected * shrink + mixed
        largest = higher
    blind = largest < BLIND
    # A blind query's weights are then 0 in the gradient.
    log_sums = ops.where(blind, ops.cast(-HIDDEN_SCORE, total.dtype), largest + ops.log(total))
    return ops.where(blind, ops.zeros_like(collected), collected / total), log_sums


def _gradients(
    grid: _Grid, inputs: tuple[Tensor, ...], mixed: Tensor, log_sums: Tensor, outer: Tensor
) -> tuple[Tensor, ...]:
    """Gradients of all inputs; zeros for the push, which is no one's weight."""
    query, key, value = inputs[:3]
    scale = 1 / math.sqrt(query.shape[-1])
    means = ops.sum(outer * mixed, axis=-1, keepdims=True)
    of_query, of_bias = [], []
    of_key, of_value = ([ops.zeros_like(one[:, :, keys]) for keys in grid.keys] for one in (key, value))
    for queries in grid.queries:
        rows, upstream, share, row = query[:, :, queries], outer[:, :, queries], 0.0, []
        for place, keys in grid.seen(queries):
            weights = ops.exp(grid.scores(inputs, queries, keys) - log_sums[:, :, queries])
            of_value[place] = of_value[place] + ops.matmul(ops.swapaxes(weights, -1, -2), upstream)
            products = ops.matmul(upstream, ops.swapaxes(value[:, :, keys], -1, -2))
            of_scores = weights * (products - means[:, :, queries])
            share = share + ops.matmul(of_scores, key[:, :, keys])
            of_key[place] = of_key[place] + ops.matmul(ops.swapaxes(of_scores, -1, -2), rows)
            row.append(ops.sum(of_scores, axis=0, keepdims=True) if grid.has_bias else None)
        of_query.append(share * scale)
        of_bias.append(row)
    found = [ops.concatenate(of_query, axis=2), ops.concatenate(of_key, axis=2) * scale]
    found.append(ops.concatenate(of_value, axis=2))
    if grid.has_bias:
        found.append(_bias_gradient(of_bias, inputs[3]))
    return (*found, ops.zeros_like(inputs[-1])) if grid.has_push else tuple(found)


def _bias_gradient(rows: list[list[Tensor]], bias: Tensor) -> Tensor:
    """The blocks put together; blocks in the future, which were skipped, are zeros."""
    whole = []
    for row in rows:
        seen = ops.concatenate(row, axis=-1)
        batch, heads, time, length = ops.shape(seen)
        rest = ops.zeros((batch, heads, time, ops.shape(bias)[-1] - length), dtype=seen.dtype)
        whole.append(ops.concatenate([seen, rest], axis=-1))
    return ops.concatenate(whole, axis=2)


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="chunked.attend")(attend)
