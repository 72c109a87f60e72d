"""Attention whose weights a rule makes from a query's scores, for a block of queries at a time.

    out_i = sum over j of rule(q_i . k_j / sqrt(d))_j v_j

What sigmoid, sparsemax and entmax share. The scores that exist are those of one block of queries: memory
n, not n^2. The backward pass makes them again, from a number or two that each query keeps, as a fused
softmax does; time is n^2 d. A causal block is multiplied with the keys up to its last query only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from implementations.on_torch.visibility import hidden_score, require_equal_lengths, sees_any_key

# Scores of a block, of all sequences and heads together: they stay in a core's cache while worked on.
SCORES = 2**18
FEWEST_QUERIES, MOST_QUERIES = 16, 256


@runtime_checkable
class Rule(Protocol):
    """How the scores of queries, ``[batch, heads, queries, keys]``, become weights of the same shape.

    `scale` multiplies the scores first. The scores that a rule is given are used up.
    """

    scale: float

    def weigh(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """The weights, and what a query must keep to have them again; `seen` counts the keys it sees."""
        ...

    def weigh_again(self, scores: Tensor, kept: Tensor) -> Tensor:
        """The same weights from the same scores."""
        ...

    def gradient(self, weights: Tensor, of_weights: Tensor) -> Tensor:
        """The gradient of the scores, before `scale`."""
        ...


def attend_in_blocks(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source value_width"],
    *,
    rule: Rule,
    causal: bool,
    padding: Bool[Tensor, "batch source"] | None,
    bias: Float[Tensor, "1 heads time source"] | None,
) -> Float[Tensor, "batch heads time value_width"]:
    """The values weighted by `rule`; zeros for a query that sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. Raises ValueError if causal
    with unequal lengths.
    """
    if causal:
        require_equal_lengths(query, key, "causal attention")
    mixed: Tensor = _InBlocks.apply(query, key, value, bias, padding, causal, rule)  # type: ignore[no-untyped-call]  # torch has no types for it
    if padding is None:
        return mixed
    return mixed.masked_fill(~sees_any_key(padding, causal=causal), 0.0)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Scores block by block. Sequences and heads are one axis, so that a block's keys are a view."""

    query: Tensor
    key: Tensor
    bias: Tensor | None
    padding: Tensor | None
    causal: bool
    scale: float

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """The queries of each block and the keys that some of them may see."""
        time, source = self.query.shape[2], self.key.shape[2]
        wanted = SCORES // (self.query.shape[0] * self.query.shape[1] * source)
        size = max(FEWEST_QUERIES, min(MOST_QUERIES, wanted))
        for first in range(0, time, size):
            last = min(first + size, time)
            yield slice(first, last), slice(0, last if self.causal else source)

    def scores(self, queries: slice, keys: slice) -> Tensor:
        """``[batch, heads, queries, keys]`` in float32 or better; what is hidden is very negative."""
        batch, heads, _, width = self.query.shape
        scaled = self.query[:, :, queries].flatten(0, 1) * (self.scale / width**0.5)
        scores = torch.bmm(scaled, self.key.flatten(0, 1)[:, keys].transpose(1, 2))
        scores = scores.to(working_dtype(scores.dtype)).view(batch, heads, *scores.shape[1:])
        if self.bias is not None:
            scores += self.scale * self.bias[:, :, queries, keys]
        hidden = hidden_score(scores.dtype)
        if self.causal:
            later = torch.ones(scores.shape[2], scores.shape[2], dtype=torch.bool, device=scores.device)
            scores[..., queries.start :].masked_fill_(later.triu(diagonal=1), hidden)
        if self.padding is not None:
            scores.masked_fill_(~self.padding[:, None, None, keys], hidden)
        return scores

    def seen(self, queries: slice) -> Tensor:
        """How many keys each query sees, ``[batch or 1, 1, queries or 1, 1]``."""
        source = self.key.shape[2]
        if self.padding is None:
            count = torch.arange(1, source + 1, device=self.key.device)[None]
        else:
            count = self.padding.cumsum(dim=-1)
        return (count[:, queries] if self.causal else count[:, -1:])[:, None, :, None]


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """What scores are worked on in: thresholds and their sums need more digits than half precision has."""
    return torch.promote_types(dtype, torch.float32)


class _InBlocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        padding: Tensor | None,
        causal: bool,
        rule: Rule,
    ) -> Tensor:
        key, value = key.contiguous(), value.contiguous()
        blocks = _Blocks(query, key, bias, padding, causal, rule.scale)
        mixed = value.new_empty(*query.shape[:3], value.shape[-1])
        values, kept = value.flatten(0, 1), []
        for queries, keys in blocks:
            scores = blocks.scores(queries, keys)
            weights, to_keep = rule.weigh(scores, blocks.seen(queries))
            rounded = weights.flatten(0, 1).to(value.dtype)
            mixed[:, :, queries] = torch.bmm(rounded, values[:, keys]).view_as(mixed[:, :, queries])
            kept.append(to_keep)
        ctx.save_for_backward(query, key, value, bias, padding, *kept)
        ctx.causal, ctx.rule = causal, rule
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_mixed: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, bias, padding, *kept = ctx.saved_tensors
        rule, scale = ctx.rule, query.shape[-1] ** -0.5
        blocks = _Blocks(query, key, bias, padding, ctx.causal, rule.scale)
        of_query = query.new_empty(query.shape)
        of_key, of_value = torch.zeros_like(key), torch.zeros_like(value)
        of_bias = None if bias is None else torch.zeros_like(bias)
        of_keys, of_values = of_key.flatten(0, 1), of_value.flatten(0, 1)
        for (queries, keys), of_block in zip(blocks, kept, strict=True):
            upstream = of_mixed[:, :, queries].flatten(0, 1)
            weights = rule.weigh_again(blocks.scores(queries, keys), of_block)
            of_values[:, keys].baddbmm_(weights.flatten(0, 1).to(value.dtype).transpose(1, 2), upstream)
            of_weights = torch.bmm(upstream, value.flatten(0, 1)[:, keys].transpose(1, 2))
            of_scores = rule.gradient(weights, of_weights.to(weights.dtype).view_as(weights))
            if of_bias is not None:
                of_bias[:, :, queries, keys] += of_scores.sum(dim=0, keepdim=True)
            of_scores = of_scores.flatten(0, 1).to(query.dtype)
            rows = torch.bmm(of_scores, key.flatten(0, 1)[:, keys]).mul_(scale)
            of_query[:, :, queries] = rows.view_as(query[:, :, queries])
            asked = query[:, :, queries].flatten(0, 1)
            of_keys[:, keys].baddbmm_(of_scores.transpose(1, 2), asked, alpha=scale)
        return of_query, of_key, of_value, of_bias, None, None, None
