"""Linformer: attention to k learned mixtures of the tokens instead of to the tokens.

    out = softmax(Q (E^T K)^T / sqrt(d)) (F^T V),   E and F learned, [n, k]

Time n k d, memory n d + n k. Paper: Wang and others 2020, arXiv:2006.04768, section 4; E and F are shared
by the heads of a layer, one for keys and one for values ("headwise sharing" there).

Departures: the maps are applied to the tokens and the projections to what comes out, which is the same
function since one acts on positions and the other on channels, at k instead of n projections; a sequence
shorter than `max_length` uses the first rows of the maps; padded tokens are zeroed before the maps, which
is all that can be hidden once tokens are mixed.
"""

from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.projected import AttentionLayer, LayerSettings, Memory


class Linformer(AttentionLayer):
    """Attention to `landmarks` mixtures of at most `max_length` source tokens.

    Raises NotImplementedError when asked to be causal, ValueError without a `max_length` and, in use, for a
    source longer than that.
    """

    takes_rotation = False  # the landmarks stand nowhere

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        landmarks: int = 256,
        **settings: Unpack[LayerSettings],
    ) -> None:
        max_length = settings.get("max_length")
        if settings.get("causal", False):
            raise NotImplementedError(
                "linformer cannot be causal: each landmark mixes tokens of all positions, the future included"
            )
        if max_length is None or max_length < 1 or landmarks < 1:
            raise ValueError(
                "linformer needs max_length and landmarks of at least 1, "
                f"got max_length {max_length} and landmarks {landmarks}"
            )
        super().__init__(width, heads, **settings)
        self.key_map = nn.Parameter(nn.init.xavier_uniform_(torch.empty(max_length, landmarks)))
        self.value_map = nn.Parameter(nn.init.xavier_uniform_(torch.empty(max_length, landmarks)))

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int = 0) -> Memory:
        """The landmarks of keys and of values, each ``[batch, heads, landmarks, head_width]``."""
        self._check_length(tokens.shape[1])
        if padding is not None:
            tokens = tokens.masked_fill(~padding[..., None], 0.0)
        key = self._landmarks(tokens, padding, self.key_map, self.key)
        if self.key_norm is not None:
            key = self.key_norm(key)
        return key, self._landmarks(tokens, padding, self.value_map, self.value), padding

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads landmarks head_width"],
        value: Float[Tensor, "batch heads landmarks head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time landmarks"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """Softmax attention to the landmarks; zeros where no token of the source is real."""
        mixed = functional.scaled_dot_product_attention(query, key, value)
        if padding is None:
            return mixed
        return mixed.masked_fill(~padding.any(dim=-1)[:, None, None, None], 0.0)

    def _landmarks(
        self, source: Tensor, padding: Tensor | None, rows: Tensor, projection: nn.Linear
    ) -> Tensor:
        """The mixtures of the projected tokens, ``[batch, heads, landmarks, head_width]``."""
        weights = rows[: source.shape[1]].t()
        # A landmark carries the bias of as many tokens as it mixes, each with its weight.
        bias = weights.sum(dim=-1) if padding is None else padding.to(weights.dtype) @ weights.t()
        return self._split(
            functional.linear(weights @ source, projection.weight) + bias[..., None] * projection.bias
        )

    def _check_length(self, length: int) -> None:
        longest = self.key_map.shape[0]
        if length > longest:
            raise ValueError(
                f"linformer's source must have at most max_length = {longest} tokens, got {length}; "
                "build the layer with a larger max_length"
            )
