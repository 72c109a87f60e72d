"""Positions that live inside the attention: RoPE, ALiBi and T5's buckets.

    rotary: q_i and k_j are turned by angles that grow with i and j, so that q_i . k_j depends on i - j
    alibi:  score_ij - slope_h |i - j|
    t5:     score_ij + table[bucket(j - i), h], learned

Papers: Su and others 2021, arXiv:2104.09864, section 3.4.2; Press and others 2022, arXiv:2108.12409,
section 3; Raffel and others 2020, arXiv:1910.10683, section 2.1. RoPE turns channel c together with
channel c + d / 2, as most code does, where the paper pairs neighbours: the same function up to an order
of channels. ALiBi without causality takes the distance |i - j| in both directions.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from implementations.positions import ROTARY_BASE, T5_BUCKETS, T5_FARTHEST, alibi_slopes, rotary_pairs


def rotate(
    tokens: Float[Tensor, "*batch time head_width"], first: int = 0
) -> Float[Tensor, "*batch time head_width"]:
    """Queries or keys turned by their positions, the first of which is `first`.

    Raises ValueError for an odd head width, whose last channel has no partner.
    """
    time, width = tokens.shape[-2:]
    pairs = rotary_pairs(width)
    channels = torch.arange(pairs, device=tokens.device, dtype=torch.float64)
    positions = torch.arange(first, first + time, device=tokens.device, dtype=torch.float64)
    angles = positions[:, None] * ROTARY_BASE ** (-2 * channels / width)
    cosine, sine = angles.cos().to(tokens.dtype), angles.sin().to(tokens.dtype)
    left, right = tokens[..., :pairs], tokens[..., pairs:]
    return torch.cat((left * cosine - right * sine, right * cosine + left * sine), dim=-1)


class Alibi(nn.Module):
    """A penalty that grows with the distance, with a slope for each head; nothing is learned."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.slopes = alibi_slopes(heads)

    def forward(self, queries: Tensor, keys: Tensor) -> Float[Tensor, "1 heads time source"]:
        """What is added to the scores of queries and keys at these positions, each ``[length]``."""
        distance = (queries[:, None] - keys[None, :]).abs()
        slopes = torch.tensor(self.slopes, device=queries.device)
        return -(slopes[:, None, None] * distance)[None]


class T5Buckets(nn.Module):
    """A learned number for each head and bucket of distances; far ones share a bucket."""

    def __init__(self, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.table = nn.Parameter(torch.zeros(T5_BUCKETS, heads))

    def forward(self, queries: Tensor, keys: Tensor) -> Float[Tensor, "1 heads time source"]:
        """What is added to the scores of queries and keys at these positions, each ``[length]``."""
        buckets = t5_bucket(keys[None, :] - queries[:, None], causal=self.causal)
        return self.table[buckets].permute(2, 0, 1)[None]


def t5_bucket(offset: Tensor, *, causal: bool) -> Tensor:
    """The bucket of key position minus query position: one each for the near, logarithmic beyond."""
    buckets, first = T5_BUCKETS, torch.zeros_like(offset)
    if not causal:
        buckets //= 2
        first = (offset > 0) * buckets
    distance = (-offset).clamp(min=0) if causal else offset.abs()
    near = buckets // 2
    growth = torch.log(distance.clamp(min=1).double() / near) / math.log(T5_FARTHEST / near)
    far = (near + (growth * (buckets - near)).long()).clamp(max=buckets - 1)
    return first + torch.where(distance < near, distance, far)
