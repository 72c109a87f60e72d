"""Multi-query and grouped-query attention: several query heads read the same keys and values.

    out_h = softmax(Q_h K_g^T / sqrt(d)) V_g,   g = floor(h G / H):   H query heads, G heads of keys

Time n^2 d H as with all keys; projections, cache and what a decoding step reads shrink by H / G. Papers:
Shazeer 2019, arXiv:1911.02150, section 3 (G = 1, multi-query); Ainslie and others 2023, arXiv:2305.13245,
section 2.2. No departure; keys are never repeated in memory where a fused kernel runs (`sdpa.backend`).
"""

from typing import Unpack

from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch import sdpa
from implementations.on_torch.projected import AttentionLayer, LayerSettings


class GroupedQuery(AttentionLayer):
    """`key_heads` heads of keys and values for `heads` of queries; 0 takes two where that divides the
    heads, otherwise one.

    Raises ValueError when `key_heads` does not divide `heads`.
    """

    takes_bias = True

    def __init__(
        self, width: int, heads: int, *, key_heads: int = 0, **settings: Unpack[LayerSettings]
    ) -> None:
        key_heads = key_heads or 2 - heads % 2
        if key_heads < 1 or heads % key_heads:
            raise ValueError(
                f"key_heads must divide heads, got {key_heads} key heads for {heads} heads; "
                "0 chooses a number that does"
            )
        super().__init__(width, heads, key_heads=key_heads, **settings)

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch key_heads source head_width"],
        value: Float[Tensor, "batch key_heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """Softmax attention, each query head with the keys of its group."""
        if query.shape[2] == 1 and not causal and bias is None:
            # A lone query of each head: those of a group stand in for a sequence, and keys are read once.
            grouped = query.reshape(query.shape[0], self.key_heads, -1, self.head_width)
            return sdpa.attend(grouped, key, value, padding=padding).reshape(query.shape)
        return sdpa.attend(query, key, value, causal=causal, padding=padding, bias=bias)


class MultiQuery(GroupedQuery):
    """One head of keys and values for all heads of queries."""

    def __init__(self, width: int, heads: int, **settings: Unpack[LayerSettings]) -> None:
        super().__init__(width, heads, key_heads=1, **settings)
