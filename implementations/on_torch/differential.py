"""Differential attention: the difference of two softmax maps, which cancels what both see as noise.

    A = softmax(Q1 K1^T / sqrt(g)) - lambda softmax(Q2 K2^T / sqrt(g)),   g half the head's width
    lambda = exp(a1 . b1) - exp(a2 . b2) + lambda_init,   lambda_init = 0.8 - 0.6 exp(-0.3 (depth - 1))
    head = (1 - lambda_init) RMSNorm(A V)

a1, b1, a2, b2 are the paper's lambda_q1, lambda_k1, lambda_q2, lambda_k2, one set for all heads of a layer;
the norm works on each head by itself and its scale is shared by them. Time n^2 d, memory n d: two calls
of the fused kernel. Paper: Ye and others 2024, arXiv:2410.05258, equations 1 to 3.

Each head has two groups of queries and keys of half its width and values of its full width, so that
parameters and products are those of softmax attention with as many heads. The paper compares with half as
many heads of twice the width: halve `heads` for that. An odd width is halved upwards.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch import sdpa
from implementations.on_torch.decoding import KeyValueCache, empty_cache
from implementations.on_torch.dense import Dense
from implementations.on_torch.projected import AttentionLayer, LayerSettings, Memory
from implementations.on_torch.relative_positions import rotate

EPSILON = 1e-5


class Differential(AttentionLayer):
    """Differential attention in a layer that stands at place `depth` of its model, from 1.

    Raises ValueError for a `depth` below 1.
    """

    takes_bias = True

    def __init__(self, width: int, heads: int, *, depth: int = 1, **settings: Unpack[LayerSettings]) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, the first layer, got {depth}")
        super().__init__(width, heads, **settings)
        self.query = Dense(width, 2 * heads * self.group_width)
        self.key = Dense(width, 2 * heads * self.group_width)
        self.first_query, self.first_key, self.second_query, self.second_key = (
            nn.Parameter(torch.randn(self.group_width) * 0.1) for _ in range(4)
        )
        self.head_norm = nn.RMSNorm(self.head_width, eps=EPSILON)
        self.lambda_init = 0.8 - 0.6 * math.exp(-0.3 * (depth - 1))

    @property
    def group_width(self) -> int:
        """The width of a group of queries or keys."""
        return -(-self.head_width // 2)

    def _norms(self, wanted: bool) -> tuple[nn.RMSNorm | None, nn.RMSNorm | None]:
        if not wanted:
            return None, None
        return nn.RMSNorm(self.group_width, eps=1e-6), nn.RMSNorm(self.group_width, eps=1e-6)

    def mix(
        self,
        query: Float[Tensor, "batch heads time two_groups"],
        key: Float[Tensor, "batch heads source two_groups"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """The normed difference of the maps of the first and of the second half of the channels."""
        # The fused kernel needs keys as wide as values, and divides by the root of that width.
        query = query * math.sqrt(self.head_width / self.group_width)
        first, second = (
            sdpa.attend(
                self._widened(one), self._widened(other), value, causal=causal, padding=padding, bias=bias
            )
            for one, other in (
                (query[..., : self.group_width], key[..., : self.group_width]),
                (query[..., self.group_width :], key[..., self.group_width :]),
            )
        )
        normed: Tensor = self.head_norm(first - self.subtracted() * second)
        return (1 - self.lambda_init) * normed

    def subtracted(self) -> Float[Tensor, ""]:
        """The weight lambda of the second map."""
        gain, loss = self.first_query @ self.first_key, self.second_query @ self.second_key
        return gain.exp() - loss.exp() + self.lambda_init

    def initial_state(self, batch: int) -> KeyValueCache:
        """What decoding starts from. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        return empty_cache(self.key.weight, batch, self.heads, 2 * self.group_width, self.head_width)

    def _queries(self, tokens: Tensor, first: int = 0) -> Tensor:
        return self._groups(self.query(tokens), self.query_norm, first)

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int = 0) -> Memory:
        key = self._groups(self.key(tokens), self.key_norm, first)
        return key, self._split(self.value(tokens)), padding

    def _widened(self, group: Tensor) -> Tensor:
        return functional.pad(group, (0, self.head_width - self.group_width))

    def _groups(self, projected: Tensor, norm: nn.RMSNorm | None, first: int) -> Tensor:
        """``[batch, heads, time, 2 * group_width]``, each group normed and turned by itself."""
        batch, time, _ = projected.shape
        groups = projected.view(batch, time, self.heads, 2, self.group_width).permute(0, 2, 3, 1, 4)
        if norm is not None:
            groups = norm(groups)
        if self.rotary:
            groups = rotate(groups, first)
        return groups.transpose(2, 3).flatten(3)
