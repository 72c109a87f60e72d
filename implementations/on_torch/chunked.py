"""Softmax attention in blocks of queries and keys, written out: no matrix of all scores, in either direction.

    for each block of queries, over the blocks of keys:
        S = Q K^T / sqrt(d),  m' = max(m, rowmax S),  P = exp(S - m')
        l = l exp(m - m') + rowsum P,  O = O exp(m - m') + P V;    at the end out = O / l
    gradient, block by block again, L = m + log l and D = rowsum(dout * out):
        P = exp(S - L),  dV += P^T dout,  dS = P * (dout V^T - D),  dQ += dS K,  dK += dS^T Q

Time n^2 d (causal: half), memory n d and one block of scores. Papers: Milakov and Gimelshein 2018,
arXiv:1805.02867, algorithm 3, for the running softmax; Rabe and Staats 2021, arXiv:2112.05682, for blocks;
Dao and others 2022, arXiv:2205.14135, appendix B.2, for the gradient from output and log-sum-exp alone.

Departures: blocks of a fixed size instead of sqrt(n), so that one stays in a core's cache; several heads
are taken at once; exponentials and L are to base 2 (`base_two`). Half precision is computed in float32. A
`bias` has n^2 entries, as has its gradient.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from implementations.on_torch.base_two import BITS, NATS
from implementations.on_torch.visibility import hidden_score, require_equal_lengths

# Scores that exist at a time, all heads of a group together: two cores' caches, or an accelerator's memory.
SCORES_ON_CPU, SCORES_ELSEWHERE = 2**19, 2**26


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
        require_equal_lengths(query, key, "causal attention")
    if query_block < 1 or key_block < 1:
        raise ValueError(f"blocks must be at least 1 token, got {query_block} queries and {key_block} keys")
    dtype = torch.promote_types(query.dtype, torch.float32)
    batch, heads, time, _ = query.shape
    rows = [tensor.to(dtype).reshape(batch * heads, *tensor.shape[2:]) for tensor in (query, key, value)]
    push = None if padding is None else _push(padding, heads, dtype)
    bias = None if bias is None else bias[0].to(dtype) * BITS
    blocks = _Blocks(query_block, key_block, causal)
    mixed: Tensor = _Chunked.apply(*rows, push, bias, blocks)  # type: ignore[no-untyped-call]  # torch has no types for it
    return mixed.view(batch, heads, time, -1).to(query.dtype)


def _push(padding: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
    """What is added to each key's scores, ``[batch * heads, 1, source]``: 0 for a real one."""
    pushed = torch.zeros_like(padding, dtype=dtype).masked_fill(~padding, hidden_score(dtype))
    return pushed.repeat_interleave(heads, dim=0)[:, None]


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Which rows (of batch * heads), queries and keys are worked on together."""

    query_block: int
    key_block: int
    causal: bool

    def of_queries(self, query: Tensor, source: int) -> Iterator[tuple[slice, slice]]:
        """Groups of rows, each with its blocks of queries in turn, so that keys stay in the cache."""
        rows, time, _ = query.shape
        scores = min(time, self.query_block) * min(source, self._key_block(time))
        at_once = SCORES_ON_CPU if query.device.type == "cpu" else SCORES_ELSEWHERE
        group = max(1, at_once // scores)
        for row in range(0, rows, group):
            for first in range(0, time, self.query_block):
                yield slice(row, min(row + group, rows)), slice(first, min(first + self.query_block, time))

    def of_keys(self, queries: slice, time: int, source: int) -> Iterator[slice]:
        """The blocks of keys that some of these queries see."""
        end, size = (queries.stop if self.causal else source), self._key_block(time)
        for first in range(0, end, size):
            yield slice(first, min(first + size, end))

    def _key_block(self, time: int) -> int:
        # Fewer queries than a block's, as in decoding, leave room for more keys.
        return self.key_block * max(1, self.query_block // time)


class _Chunked(torch.autograd.Function):
    """Keeps its inputs, its output and one number for each query; scores are computed again for gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        push: Tensor | None,
        bias: Tensor | None,
        blocks: _Blocks,
    ) -> Tensor:
        (rows, time, _), source = query.shape, key.shape[1]
        scores = _Scores(query, key, push, bias, blocks.causal)
        mixed = query.new_empty(rows, time, value.shape[-1])
        log_sums = query.new_empty(rows, time, 1)
        for these, queries in blocks.of_queries(query, source):
            keys = blocks.of_keys(queries, time, source)
            _mix_block(scores, value, these, queries, keys, mixed[these, queries], log_sums[these, queries])
        ctx.save_for_backward(query, key, value, push, bias, mixed, log_sums)
        ctx.blocks = blocks
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, push, bias, mixed, log_sums = ctx.saved_tensors
        (gradient,), blocks = gradients, ctx.blocks
        found = _Gradients(query, key, value, bias if ctx.needs_input_grad[4] else None)
        scores = _Scores(query, key, push, bias, blocks.causal)
        means = (gradient * mixed).sum(dim=-1, keepdim=True)
        for these, queries in blocks.of_queries(query, key.shape[1]):
            of_query = torch.zeros_like(query[these, queries], memory_format=torch.contiguous_format)
            outer, shift = gradient[these, queries], log_sums[these, queries].transpose(1, 2)
            for keys in blocks.of_keys(queries, query.shape[1], key.shape[1]):
                weights = scores.turned(these, queries, keys, shift).exp2_()
                found.add(these, queries, keys, weights, outer, means[these, queries], of_query)
            found.query[these, queries] = of_query
        return found.query, found.key, found.value, None, found.bias, None


def _mix_block(
    scores: "_Scores",
    value: Tensor,
    rows: slice,
    queries: slice,
    keys: Iterator[slice],
    mixed: Tensor,
    log_sums: Tensor,
) -> None:
    """One block of queries over its blocks of keys, into `mixed` and `log_sums`."""
    largest = torch.full_like(log_sums, -math.inf)
    total = torch.zeros_like(log_sums)
    collected = torch.zeros_like(mixed, memory_format=torch.contiguous_format)
    for these in keys:
        block = scores.block(rows, queries, these)
        higher = torch.maximum(largest, block.amax(dim=-1, keepdim=True))
        shrink = largest.sub_(higher).exp2_()
        largest = higher
        block.sub_(largest).exp2_()
        total.mul_(shrink).add_(block.sum(dim=-1, keepdim=True))
        collected.mul_(shrink)
        torch.baddbmm(collected, block, value[rows, these], out=collected)
    torch.div(collected, total, out=mixed)
    torch.add(largest, total.log2_(), out=log_sums)
    blind = largest < hidden_score(largest.dtype) / 2
    mixed.masked_fill_(blind, 0.0)
    log_sums.masked_fill_(blind, math.inf)  # so that a blind query's weights are 0 in the gradient


class _Scores:
    """Fills one storage with the scores of a block in bits, again and again; a bias comes in bits."""

    def __init__(
        self, query: Tensor, key: Tensor, push: Tensor | None, bias: Tensor | None, causal: bool
    ) -> None:
        self.query, self.key, self.push, self.bias, self.causal = query, key, push, bias, causal
        self.scale = BITS / math.sqrt(query.shape[-1])
        self.storage = query.new_empty(0)

    def block(self, rows: slice, queries: slice, keys: slice) -> Tensor:
        """Scores ``[rows, queries, keys]``, overwritten by the next call."""
        scores = self._products(
            self.query[rows, queries], self.key[rows, keys], self._added(rows, queries, keys)
        )
        if self.causal and keys.stop > queries.start + 1:
            future = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device)
            scores.masked_fill_(future.triu_(1 + queries.start - keys.start), hidden_score(scores.dtype))
        return scores

    def turned(self, rows: slice, queries: slice, keys: slice, shift: Tensor) -> Tensor:
        """Scores minus `shift` ``[rows, 1, queries]`` the other way round, ``[rows, keys, queries]``: so the
        gradients of keys and values are products of matrices as they lie, which are faster."""
        added = self._added(rows, queries, keys)
        begin = -shift if added is None else added.transpose(1, 2) - shift
        scores = self._products(self.key[rows, keys], self.query[rows, queries], begin)
        if self.causal and keys.stop > queries.start + 1:
            future = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device)
            scores.masked_fill_(future.tril_(keys.start - queries.start - 1), hidden_score(scores.dtype))
        return scores

    def _products(self, left: Tensor, right: Tensor, begin: Tensor | None) -> Tensor:
        scores, self.storage = _room(self.storage, (len(left), left.shape[1], right.shape[1]))
        return torch.baddbmm(
            scores if begin is None else begin,
            left,
            right.transpose(1, 2),
            beta=0 if begin is None else 1,
            alpha=self.scale,
            out=scores,
        )

    def _added(self, rows: slice, queries: slice, keys: slice) -> Tensor | None:
        """What stands in a block beside the products, if anything."""
        push = None if self.push is None else self.push[rows, :, keys]
        if self.bias is None:
            return push
        bias = self.bias[_heads_of(rows, self.bias), queries, keys]
        return bias if push is None else bias + push


class _Gradients:
    """Sums up the gradients of all blocks; that of the bias only if one is given."""

    def __init__(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> None:
        self.inputs = query, key, value
        self.query, self.key, self.value = (
            torch.zeros_like(one, memory_format=torch.contiguous_format) for one in self.inputs
        )
        self.bias = None if bias is None else torch.zeros_like(bias)
        self.scale = 1 / math.sqrt(query.shape[-1])
        self.storage = query.new_empty(0)

    def add(
        self,
        rows: slice,
        queries: slice,
        keys: slice,
        weights: Tensor,
        outer: Tensor,
        means: Tensor,
        of_query: Tensor,
    ) -> None:
        """A block's share, that of its queries into `of_query`: `weights` ``[rows, keys, queries]``, `outer`
        the output's gradient, `means` its D."""
        query, key, value = (
            part[rows, place] for part, place in zip(self.inputs, (queries, keys, keys), strict=True)
        )
        # Products into a part of a larger tensor are taken one row at a time: better added afterwards.
        self.value[rows, keys] += torch.bmm(weights, outer)
        scores, self.storage = _room(self.storage, tuple(weights.shape))
        torch.baddbmm(-means.transpose(1, 2), value, outer.transpose(1, 2), out=scores)
        scores.mul_(weights)
        if self.bias is not None:
            of_bias = scores.transpose(1, 2)
            self.bias[:, queries, keys].index_add_(0, _heads_of(rows, self.bias), of_bias, alpha=NATS)
        torch.baddbmm(of_query, scores.transpose(1, 2), key, alpha=self.scale, out=of_query)
        self.key[rows, keys].add_(torch.bmm(scores, query), alpha=self.scale)


def _heads_of(rows: slice, bias: Tensor) -> Tensor:
    """The head of each row, since all sequences of a batch share the bias."""
    return torch.arange(rows.start, rows.stop, device=bias.device) % len(bias)


def _room(storage: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A tensor of this shape in `storage`, and the storage, a larger one if need be."""
    size = math.prod(shape)
    if storage.numel() < size:
        storage = storage.new_empty(size)
    return storage[:size].view(shape), storage
