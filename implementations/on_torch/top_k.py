"""Explicit sparse attention: each query keeps its k largest scores and forgets the others.

    out_i = softmax over j of s_ij v_j for the j with s_ij >= t_i,   s_ij = q_i . k_j / sqrt(d),
    t_i the k-th largest score that query i sees; with k visible keys or fewer it keeps them all

Time n^2 d, memory n d (see `query_blocks`). Paper: Zhao and others 2019, Explicit Sparse Transformer,
arXiv:1912.11637, equations 4 to 6. No departure: scores equal to the k-th largest are all kept, so more
than k where they tie, and the choice does not depend on the order of the keys. It has no gradient.

All scores must be looked at to choose from, but only those of one block of queries exist at a time.
Choosing costs more than the products do, so the backward pass, which makes the scores again, does not
choose again: each query keeps its cut, halfway between the k-th score and the next.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.base_two import BITS
from implementations.on_torch.query_blocks import attend_in_blocks


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
    kept: int = 32,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values of its `kept` largest scores, by their softmax.

    Zeros if it sees no key. `padding` is True where a real key stands; `bias` is added to the
    scores before the choice. Raises ValueError for `kept` below 1 and if causal with unequal lengths.
    """
    if kept < 1:
        raise ValueError(f"kept must be at least 1 key, got {kept}")
    rule = _LargestScores(kept)
    return attend_in_blocks(query, key, value, rule=rule, causal=causal, padding=padding, bias=bias)


class _LargestScores:
    scale = BITS  # exponentials are to base 2, see `base_two`

    def __init__(self, count: int) -> None:
        self.count = count

    def weigh(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        cut = _cut(scores, self.count)
        largest = scores.amax(dim=-1, keepdim=True)
        weights = scores.masked_fill_(scores < cut, -torch.inf).sub_(largest).exp2_()
        total = weights.sum(dim=-1, keepdim=True)
        return weights.div_(total), torch.cat((cut, largest + total.log2()), dim=-1)

    def weigh_again(self, scores: Tensor, kept: Tensor) -> Tensor:
        scores = scores.masked_fill_(scores < kept[..., :1], -torch.inf)
        return scores.sub_(kept[..., 1:]).exp2_()

    def gradient(self, weights: Tensor, of_weights: Tensor) -> Tensor:
        """That of softmax."""
        mean = (weights * of_weights).sum(dim=-1, keepdim=True)
        return of_weights.sub_(mean).mul_(weights)


def _cut(scores: Tensor, count: int) -> Tensor:
    """What the `count` largest scores of a row and their equals reach, and no other: ``[..., 1]``."""
    if count >= scores.shape[-1]:
        return torch.full_like(scores[..., :1], -torch.inf)
    lowest_kept, highest_left = scores.topk(count + 1, dim=-1).values[..., -2:].chunk(2, dim=-1)
    # Halfway, lest a last digit decide otherwise when the scores are made again.
    halfway = lowest_kept / 2 + highest_left / 2
    return torch.where(halfway > highest_left, halfway, lowest_kept)
