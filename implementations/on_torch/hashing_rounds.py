"""The rounds of hashed attention: one softmax over the union of their keys, computed in sorted blocks.

Each round sorts the tokens by bucket and position and cuts them into blocks of `size`; all that a token
may see lies in its own block and the one before. The mixture, its sum and its maximum so far travel from
one round's order to the next, where the products add to them in place. Blocks are taken a few at a time,
so that their scores stay in the processor's cache. The backward pass computes the scores again; sorting
is a permutation, so that no gradient has to be scattered. Exponentials are to base 2 (`base_two`).

Sequences and heads lie one behind the other on the axis `tokens`. Nothing passes from one to the next,
not even what is not a number: a sequence's first window begins with tokens of its own, which codes hide.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from implementations.on_torch.base_two import BITS
from implementations.on_torch.hashing_places import Places, buckets_of, places_of
from implementations.on_torch.visibility import hidden_score

SCORES_AT_ONCE = 2**19

# Shares of a hidden key's score: a token itself counts only where it is alone, and then wholly; and what
# no hidden key reaches.
ITSELF, NOTHING = 0.5, 0.75


def attend_in_rounds(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads time head_width"],
    value: Float[Tensor, "batch heads time head_width"],
    rotations: Float[Tensor, "hashes head_width directions"],
    padding: Bool[Tensor, "batch time"] | None,
    *,
    causal: bool,
    size: int,
) -> Float[Tensor, "batch heads time head_width"]:
    """The values mixed by softmax over the union of the rounds' keys; zeros for a padded token."""
    length = query.shape[2]
    size = min(size, length)
    if room := -length % size:
        padding = query.new_ones(len(query), length, dtype=torch.bool) if padding is None else padding
        padding = functional.pad(padding, (0, room))
        query, key, value = (functional.pad(part, (0, 0, 0, room)) for part in (query, key, value))
    buckets, last = buckets_of(key, rotations), 2 * rotations.shape[-1]
    places = places_of(buckets, padding, last=last, size=size, causal=causal)
    wide = torch.promote_types(query.dtype, torch.float32)
    rows = (part.to(wide).flatten(0, 2) for part in (query, key, value))
    mixed: Tensor = _Rounds.apply(*rows, places)  # type: ignore[no-untyped-call]  # torch has no types for it
    return mixed.to(value.dtype).view_as(value)[:, :, :length]


class _Rounds(torch.autograd.Function):
    """Softmax over the union of all rounds, one round at a time; all tensors are ``[tokens, width]``."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, places: Places) -> Tensor:
        mixed, total = torch.zeros_like(query), query.new_zeros(len(query), 1)
        largest = total + NOTHING * hidden_score(query.dtype)
        for a_round in _rounds(places):
            mixed, total, largest = map(a_round.moved, (mixed, total, largest))
            queries, keys, values = a_round.blocks(query), a_round.windows(key), a_round.windows(value)
            for part in a_round.parts():
                scores = a_round.scores(queries[part], keys[part], part)
                higher = torch.maximum(largest[part], scores.amax(dim=-1, keepdim=True))
                weights = scores.sub_(higher).exp2_()
                kept = (largest[part] - higher).exp2_()
                largest[part] = higher
                total[part].mul_(kept).add_(weights.sum(dim=-1, keepdim=True))
                mixed[part].mul_(kept).baddbmm_(weights, values[part])
        mixed, normaliser = map(a_round.unsorted, (mixed.div_(total), largest.add_(total.log2())))
        if places.real is not None:
            mixed.mul_(places.real.to(mixed.dtype))
            normaliser.masked_fill_(~places.real, torch.inf)
        ctx.save_for_backward(query, key, value, mixed, normaliser)
        ctx.places = places
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mixed, normaliser = ctx.saved_tensors
        share = (upstream * mixed).sum(dim=-1, keepdim=True)
        of_query, of_key, of_value = map(torch.zeros_like, (query, key, value))
        for a_round in _rounds(ctx.places):
            of_query = a_round.moved(of_query)
            of_key, of_value = map(a_round.moved_with_front, (of_key, of_value))
            queries, coming, normalisers, shares = map(a_round.blocks, (query, upstream, normaliser, share))
            keys, values = a_round.windows(key), a_round.windows(value)
            for part in a_round.parts():
                weights = a_round.scores(queries[part], keys[part], part).sub_(normalisers[part]).exp2_()
                a_round.add_to_windows(of_value, part, weights, coming[part])
                of_scores = torch.bmm(coming[part], values[part].mT).sub_(shares[part]).mul_(weights)
                of_query[part].baddbmm_(of_scores, keys[part])
                a_round.add_to_windows(of_key, part, of_scores, queries[part])
            of_key, of_value = of_key[1:], of_value[1:]
        return *map(a_round.unsorted, (of_query, of_key, of_value)), None


def _rounds(places: Places) -> Iterator["_Round"]:
    return (_Round(places, number) for number in range(len(places.order)))


class _Round:
    """One round's sorted order, cut into blocks of queries and the window of keys of each."""

    def __init__(self, places: Places, number: int) -> None:
        self.size, self.number = places.size, number
        self.order, self.undone = places.order[number], places.undone[number]
        self.from_before = places.undone[number - 1][self.order] if number else self.order
        self.in_windows = self._windows_of(self.order.view(-1, places.length)).flatten()
        self.blocks_in_a_row = places.length // places.size
        self.asking, self.asked, self.limit = places.compared(number)

    def blocks(self, tokens: Tensor) -> Tensor:
        """``[tokens, width]`` to ``[blocks, size, width]`` in sorted order."""
        return self._cut(tokens.index_select(0, self.order))

    def windows(self, tokens: Tensor) -> Tensor:
        """The same for keys: ``[blocks, 2 * size, width]``, the block before in front of each."""
        return tokens.index_select(0, self.in_windows).view(-1, 2 * self.size, tokens.shape[-1])

    def moved(self, earlier: Tensor) -> Tensor:
        """`blocks` of what the round before left in its own order."""
        return self._cut(earlier.flatten(0, -2).index_select(0, self.from_before))

    def moved_with_front(self, earlier: Tensor) -> Tensor:
        """The same with another block in front, where the first window begins: it comes to nothing."""
        order = torch.cat((self.from_before[: self.size], self.from_before))
        return self._cut(earlier.flatten(0, -2).index_select(0, order))

    def unsorted(self, blocks: Tensor) -> Tensor:
        """Undo `blocks`."""
        return blocks.flatten(0, 1).index_select(0, self.undone)

    def parts(self) -> Iterator[slice]:
        """All blocks, a few at a time."""
        count = max(1, SCORES_AT_ONCE // (2 * self.size**2))
        return (slice(first, first + count) for first in range(0, len(self.order) // self.size, count))

    def scores(self, queries: Tensor, keys: Tensor, part: slice) -> Tensor:
        """``[blocks, size, 2 * size]``, far below zero for what this round does not add."""
        hidden = self._hidden(part).to(queries.dtype)
        if self.number == 0:
            hidden.diagonal(self.size, 1, 2).fill_(ITSELF)
        return hidden.baddbmm_(queries, keys.mT, beta=hidden_score(queries.dtype), alpha=BITS)

    def add_to_windows(self, windows: Tensor, part: slice, weights: Tensor, blocks: Tensor) -> None:
        """Add what `blocks` give to both halves of their windows; there is a block in front of the first."""
        before, own = weights.chunk(2, dim=-1)
        earlier = torch.bmm(before.mT, blocks)
        earlier[-part.start % self.blocks_in_a_row :: self.blocks_in_a_row] = 0.0
        windows[part.start : part.start + len(blocks)] += earlier
        windows[part.start + 1 : part.start + 1 + len(blocks)].baddbmm_(own.mT, blocks)

    def _hidden(self, part: slice) -> Tensor:
        """1 where this round does not find a pair, or one before it did."""
        # Comparisons in place stay integers, which is ten times as fast as going through booleans.
        hidden = (self.asking[-1, part] - self.asked[-1, part]).gt_(self.limit)
        for earlier in range(self.number):
            ahead = self.asking[earlier, part] - self.asked[earlier, part]
            hidden.bitwise_or_(ahead.le_(self.limit))
        return hidden

    def _cut(self, ordered: Tensor) -> Tensor:
        return ordered.view(-1, self.size, ordered.shape[-1])

    def _windows_of(self, order: Tensor) -> Tensor:
        """``[rows, length]`` to ``[rows, blocks, 2 * size]``."""
        return torch.cat((order[:, : self.size], order), dim=1).unfold(1, 2 * self.size, self.size)
