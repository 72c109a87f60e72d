"""The rounds of hashed attention: who is in which bucket, and the mixture computed in sorted blocks.

Tokens are sorted by bucket and position and cut into blocks of `size`, with no room left between the
buckets: all that a token may see then lies in its own block and the two before it, or the one after it
too if not causal. The rounds are merged by a running maximum and sum. The backward pass computes the
scores again; sorting is a permutation, so that no gradient has to be scattered.

A code names bucket and chunk in one number: two tokens of a round may see one another if the query's
code is the key's or one more.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

# Farther apart than any two chunks of one bucket.
BUCKET_STEP = 2**20
NOWHERE = -BUCKET_STEP
BLOCKS_BEFORE = 2


def buckets_of(
    key: Float[Tensor, "batch heads time head_width"],
    rotations: Float[Tensor, "hashes head_width directions"],
) -> Int[Tensor, "batch heads hashes time"]:
    """The signed direction, among ``2 * directions``, that each key lies nearest to, in every round."""
    turned = key.detach()[:, :, None] @ rotations.to(key.dtype)
    return torch.cat((turned, -turned), dim=-1).argmax(dim=-1).int()


def codes_of(
    key: Float[Tensor, "batch heads time head_width"],
    rotations: Float[Tensor, "hashes head_width directions"],
    size: int,
    padding: Bool[Tensor, "batch time"] | None,
) -> tuple[Int[Tensor, "batch heads hashes time"], Int[Tensor, "batch heads hashes time"]]:
    """Each token's code, NOWHERE if it is padded; and all positions in the order of bucket and position."""
    buckets = buckets_of(key, rotations)
    if padding is not None:
        buckets = buckets.masked_fill(~padding[:, None, None], 2 * rotations.shape[-1])  # sorted last
    ordered, order = buckets.sort(dim=-1, stable=True)
    places = torch.arange(key.shape[2], device=key.device, dtype=torch.int32)
    begins = functional.pad(ordered[..., 1:] != ordered[..., :-1], (1, 0), value=True)
    begin = torch.where(begins, places, 0).cummax(dim=-1).values
    sorted_codes = ordered * BUCKET_STEP + (places - begin) // size
    codes = torch.empty_like(buckets).scatter_(-1, order, sorted_codes.int())
    if padding is not None:
        codes.masked_fill_(~padding[:, None, None], NOWHERE)
    return codes, order


def shares(query_codes: Tensor, key_codes: Tensor) -> Tensor:
    """True where the key is in the query's bucket, in its chunk or the one before."""
    ahead = query_codes - key_codes
    return (ahead == 0) | (ahead == 1)


def attend_in_rounds(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads time head_width"],
    value: Float[Tensor, "batch heads time head_width"],
    codes: Int[Tensor, "batch heads hashes time"],
    order: Int[Tensor, "batch heads hashes time"],
    *,
    causal: bool,
    size: int,
) -> Float[Tensor, "batch heads time head_width"]:
    """The values mixed by softmax over the union of the rounds' keys; zeros for a token without a bucket."""
    size = min(size, query.shape[2])
    mixed: Tensor = _Rounds.apply(query, key, value, codes, order, causal, size)  # type: ignore[no-untyped-call]  # torch has no types for it
    return mixed


class _Rounds(torch.autograd.Function):
    """Softmax over the union of all rounds, one round at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        codes: Tensor,
        order: Tensor,
        causal: bool,
        size: int,
    ) -> Tensor:
        wide = torch.promote_types(query.dtype, torch.float32)
        lowest = torch.finfo(wide).min
        mixed = torch.zeros(query.shape, dtype=wide, device=query.device)
        largest, total = mixed.new_full((*query.shape[:3], 1), lowest), mixed.new_zeros(*query.shape[:3], 1)
        for number in range(order.shape[2]):
            a_round = _Round(codes, order, number, causal, size)
            scores = a_round.scores(query, key)
            peak = scores.amax(dim=-1, keepdim=True).clamp_(min=lowest)
            weights = scores.sub_(peak).exp_()
            found = weights.to(value.dtype) @ a_round.windows(value)
            peak, sums, found = map(a_round.unsorted, (peak, weights.sum(dim=-1, keepdim=True), found))
            higher = torch.maximum(largest, peak)
            old, new = (largest - higher).exp_(), (peak - higher).exp_()
            total, mixed = total * old + sums * new, mixed.mul_(old).add_(found * new)
            largest = higher
        seen = total > 0
        mixed = mixed.div_(torch.where(seen, total, 1.0)).to(value.dtype)
        normaliser = torch.where(seen, largest + total.log(), torch.inf)
        ctx.save_for_backward(query, key, value, codes, order, mixed, normaliser)
        ctx.causal, ctx.size = causal, size
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (upstream,) = gradients
        query, key, value, codes, order, mixed, normaliser = ctx.saved_tensors
        of_query, of_key, of_value = map(torch.zeros_like, (query, key, value))
        share = (upstream * mixed).sum(dim=-1, keepdim=True)
        for number in range(order.shape[2]):
            a_round = _Round(codes, order, number, ctx.causal, ctx.size)
            weights = a_round.scores(query, key).sub_(a_round.blocks(normaliser)).exp_().to(value.dtype)
            coming = a_round.blocks(upstream)
            of_value += a_round.unsorted_sum(weights.mT @ coming)
            of_scores = (coming @ a_round.windows(value).mT).sub_(a_round.blocks(share)).mul_(weights)
            of_query += a_round.unsorted(of_scores @ a_round.windows(key))
            of_key += a_round.unsorted_sum(of_scores.mT @ a_round.blocks(query))
        return of_query, of_key, of_value, None, None, None, None


class _Round:
    """One round's sorted order, cut into blocks of queries and the window of keys of each."""

    def __init__(self, codes: Tensor, order: Tensor, number: int, causal: bool, size: int) -> None:
        self.order = order[:, :, number]
        self.inverse = torch.empty_like(self.order).scatter_(
            -1, self.order, torch.arange(order.shape[-1], device=order.device).expand_as(self.order)
        )
        self.size, self.length, self.causal = size, order.shape[-1], causal
        self.back = -self.length % size
        self.margins = (BLOCKS_BEFORE * size, self.back + (0 if causal else size))
        self.reach = BLOCKS_BEFORE + (1 if causal else 2)
        self.codes = codes[:, :, : number + 1]

    def blocks(self, tokens: Tensor) -> Tensor:
        """``[batch, heads, time, width]`` to ``[batch, heads, blocks, size, width]`` in sorted order."""
        ordered = functional.pad(self._sorted(tokens), (0, 0, 0, self.back))
        return ordered.view(*ordered.shape[:2], -1, self.size, ordered.shape[-1])

    def windows(self, tokens: Tensor) -> Tensor:
        """The same for keys: overlapping views ``[batch, heads, blocks, reach * size, width]``."""
        ordered = functional.pad(self._sorted(tokens), (0, 0, *self.margins))
        return ordered.unfold(2, self.reach * self.size, self.size).mT

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """``[batch, heads, blocks, size, reach * size]``, minus infinity for what this round does not add."""
        scores = self.blocks(query) @ self.windows(key).mT
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        asking = self._cut(self.order)
        asked = functional.pad(self.order, self.margins, value=-1)
        asked = asked.unfold(-1, self.reach * self.size, self.size)[..., None, :]
        visible = self._visible()
        if self.causal:
            visible &= asked <= asking
        # Its own score is so low that it counts only where it is alone, and then wholly.
        scores.masked_fill_(asked == asking, torch.finfo(scores.dtype).min / 2)
        return scores.masked_fill_(~visible, -torch.inf)

    def unsorted(self, blocks: Tensor) -> Tensor:
        """Undo `blocks`."""
        ordered = blocks.flatten(2, 3)
        return ordered.gather(2, self.inverse[..., None].expand(-1, -1, -1, ordered.shape[-1]))

    def unsorted_sum(self, windows: Tensor) -> Tensor:
        """Undo `windows`, adding up what several blocks say of one key."""
        batch, heads, blocks, _, width = windows.shape
        total = windows.new_zeros(batch, heads, blocks + self.reach - 1, self.size, width)
        for shift in range(self.reach):
            total[:, :, shift : shift + blocks] += windows[
                :, :, :, shift * self.size : (shift + 1) * self.size
            ]
        return self.unsorted(total[:, :, BLOCKS_BEFORE : BLOCKS_BEFORE + blocks])

    def _cut(self, ordered: Tensor) -> Tensor:
        """``[..., time]`` to ``[..., blocks, size, 1]``."""
        return functional.pad(ordered, (0, self.back)).view(*ordered.shape[:-1], -1, self.size, 1)

    def _sorted(self, tokens: Tensor) -> Tensor:
        return tokens.gather(2, self.order[..., None].expand(-1, -1, -1, tokens.shape[-1]))

    def _visible(self) -> Tensor:
        """True where this round finds a pair and none before it did."""
        ordered = self.codes.gather(-1, self.order[:, :, None].expand_as(self.codes))
        asking = torch.where(ordered == NOWHERE, 2 * NOWHERE, ordered)
        asking = self._cut(asking)
        asked = functional.pad(ordered, self.margins, value=NOWHERE)
        asked = asked.unfold(-1, self.reach * self.size, self.size)[..., None, :]
        visible = shares(asking[:, :, -1], asked[:, :, -1])
        for earlier in range(self.codes.shape[2] - 1):
            visible &= ~shares(asking[:, :, earlier], asked[:, :, earlier])
        return visible
