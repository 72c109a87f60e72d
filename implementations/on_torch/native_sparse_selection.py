"""Attention in which every query has chosen its own blocks of keys.

Gathering the keys of each query would move `choices * size` of them for every token. It is turned round:
the (query, block) pairs are sorted by block and cut into tiles of queries that share their block, so that
a pair moves one query, and each tile is a plain product. A query's answers from its blocks are then
merged by their maxima and sums. The backward pass computes the scores again. Exponentials are to base 2
(`base_two`), of scores in bits.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from implementations.on_torch.base_two import BITS, NATS

TILE = 64
PAIRS_AT_ONCE = 2**17


def attend_to_selected(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads time head_width"],
    value: Float[Tensor, "batch heads time head_width"],
    choice: Int[Tensor, "batch heads time choices"],
    padding: Bool[Tensor, "batch time"] | None,
    *,
    size: int,
    causal: bool,
) -> Float[Tensor, "batch heads time head_width"]:
    """Softmax over the tokens of each query's blocks of `size`; `query` is scaled, and -1 is no block.

    Zeros for a query that sees no token.
    """
    batch, heads, length, _ = query.shape
    real = query.new_ones(batch, length, dtype=torch.bool) if padding is None else padding
    real = functional.pad(real, (0, -length % size)).repeat_interleave(heads, dim=0)
    key, value = (functional.pad(part, (0, 0, 0, -length % size)).contiguous() for part in (key, value))
    rows = (part.flatten(0, 1) for part in (query * BITS, key, value, choice))
    mixed: Tensor = _Selected.apply(*rows, real, size, causal)  # type: ignore[no-untyped-call]  # torch has no types for it
    return mixed.view_as(query)


class _Selected(torch.autograd.Function):
    """Sequences of all batches and heads as rows; some rows at a time, to bound what exists at once."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        choice: Tensor,
        real: Tensor,
        size: int,
        causal: bool,
    ) -> Tensor:
        wide = torch.promote_types(query.dtype, torch.float32)
        mixed = torch.empty_like(query)
        normaliser = torch.empty(*query.shape[:2], 1, dtype=wide, device=query.device)
        for rows in _parts(choice):
            tiles = _tiles(choice[rows], key.shape[1] // size)
            scores = _scores(query[rows], key[rows], real[rows], tiles, size, causal)
            peak = scores.amax(dim=-1, keepdim=True).clamp_(min=torch.finfo(wide).min)
            weights = scores.sub_(peak).exp2_()
            sums = weights.sum(dim=-1, keepdim=True)
            found = weights.to(value.dtype) @ _blocks(value[rows], size)[tiles.block]
            peak = tiles.of_pairs(peak).masked_fill(~tiles.exists, -torch.inf)
            largest = peak.amax(dim=2, keepdim=True).clamp_(min=torch.finfo(wide).min)
            share = (peak - largest).exp2_()
            total = (share * tiles.of_pairs(sums)).sum(dim=2)
            seen = total > 0
            mean = (share * tiles.of_pairs(found)).sum(dim=2) / torch.where(seen, total, 1.0)
            mixed[rows] = mean.to(mixed.dtype)
            normaliser[rows] = torch.where(seen, largest[:, :, 0] + total.log2(), torch.inf)
        ctx.save_for_backward(query, key, value, choice, real, mixed, normaliser)
        ctx.size, ctx.causal = size, causal
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (upstream,) = gradients
        query, key, value, choice, real, mixed, normaliser = ctx.saved_tensors
        of_query, of_key, of_value = map(torch.zeros_like, (query, key, value))
        share = (upstream * mixed).sum(dim=-1, keepdim=True)
        for rows in _parts(choice):
            tiles = _tiles(choice[rows], key.shape[1] // ctx.size)
            scores = _scores(query[rows], key[rows], real[rows], tiles, ctx.size, ctx.causal)
            weights = scores.sub_(tiles.of_queries(normaliser[rows])).exp2_().to(value.dtype)
            coming = tiles.of_queries(upstream[rows])
            _blocks(of_value[rows], ctx.size).index_add_(0, tiles.block, weights.mT @ coming)
            of_scores = coming @ _blocks(value[rows], ctx.size)[tiles.block].mT
            of_scores = of_scores.sub_(tiles.of_queries(share[rows])).mul_(weights).mul_(NATS)
            found = tiles.of_pairs(of_scores @ _blocks(key[rows], ctx.size)[tiles.block])
            of_query[rows] = found.masked_fill(~tiles.exists, 0.0).sum(dim=2)
            of_scores = of_scores.mT @ tiles.of_queries(query[rows])
            _blocks(of_key[rows], ctx.size).index_add_(0, tiles.block, of_scores)
        return of_query, of_key, of_value, None, None, None, None


class _Tiles(NamedTuple):
    """Pairs of a query and a block, sorted by block, `TILE` to a tile.

    `block [tiles]` and `query [tiles, TILE]` count through all rows; `filled [tiles, TILE]` is False for
    room that a tile has left. `slot` and `exists [rows, time, choices, 1]` say where each pair went.
    """

    block: Tensor
    query: Tensor
    filled: Tensor
    slot: Tensor
    exists: Tensor

    def of_queries(self, tokens: Tensor) -> Tensor:
        """``[rows, time, width]`` to ``[tiles, TILE, width]``."""
        return tokens.flatten(0, 1)[self.query]

    def of_pairs(self, tiles: Tensor) -> Tensor:
        """``[tiles, TILE, width]`` to ``[rows, time, choices, width]``."""
        return tiles.flatten(0, 1)[self.slot]


def _parts(choice: Tensor) -> Iterator[slice]:
    rows = max(1, PAIRS_AT_ONCE // choice[0].numel())
    return (slice(first, first + rows) for first in range(0, len(choice), rows))


def _tiles(choice: Tensor, count: int) -> _Tiles:
    """Sort the pairs of these rows; each row has `count` blocks."""
    rows, _, choices = choice.shape
    last = rows * count  # where the pairs without a block go
    row = torch.arange(rows, device=choice.device)[:, None, None] * count
    wanted = torch.where(choice < 0, last, choice + row).flatten()
    ordered, order = wanted.sort(stable=True)
    begin = torch.searchsorted(ordered, torch.arange(last + 1, device=choice.device))
    pairs = begin.diff()
    tiles = (pairs + TILE - 1) // TILE
    tiles[0].clamp_(min=1)  # never no tile at all
    first_tile = functional.pad(tiles.cumsum(0), (1, 0))
    block = torch.repeat_interleave(torch.arange(last, device=choice.device), tiles)
    number = torch.arange(len(block), device=choice.device)[:, None] - first_tile[block][:, None]
    rank = number * TILE + torch.arange(TILE, device=choice.device)
    filled = rank < pairs[block][:, None]
    query = order[(begin[block][:, None] + rank).clamp(max=len(order) - 1)] // choices
    slot = torch.zeros_like(order)
    exists = ordered < last
    sorted_slot = first_tile[ordered] * TILE + torch.arange(len(order), device=choice.device) - begin[ordered]
    slot[order] = torch.where(exists, sorted_slot, 0)
    return _Tiles(block, query, filled, slot.view_as(choice), (choice >= 0)[..., None])


def _scores(query: Tensor, key: Tensor, real: Tensor, tiles: _Tiles, size: int, causal: bool) -> Tensor:
    """``[tiles, TILE, size]``, minus infinity where a token is hidden, in at least float32."""
    scores = tiles.of_queries(query) @ _blocks(key, size)[tiles.block].mT
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    visible = tiles.filled[..., None] & real.reshape(-1, size)[tiles.block][:, None]
    if causal:
        within = torch.arange(size, device=query.device)
        places = (tiles.block % (key.shape[1] // size) * size)[:, None] + within
        visible = visible & (places[:, None] <= (tiles.query % query.shape[1])[..., None])
    return scores.masked_fill_(~visible, -torch.inf)


def _blocks(tokens: Tensor, size: int) -> Tensor:
    """``[rows, time, width]`` to ``[rows * blocks, size, width]``, as a view."""
    return tokens.view(-1, size, tokens.shape[-1])
