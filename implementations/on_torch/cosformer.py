"""cosFormer: linear attention by relu features, with nearby tokens weighted up by a cosine.

    out_i = sum over j of w_ij v_j / sum over j of w_ij,
    w_ij = relu(q_i) . relu(k_j) cos(pi / 2 * (i - j) / M); causal: sums over j <= i

The cosine of a difference is cos cos + sin sin, so that w_ij is a product of 2 d features. Time n d^2,
memory n d; decoding keeps 2 (d^2 + d) numbers a head whatever the length. Paper: Qin and others 2022,
arXiv:2202.08791, equations 9 to 14.

Departures: M is `max_length`, where the paper takes the length of the sequence: an answer may depend
neither on the tokens to come nor on the padding. Positions are counted from 0 in queries and in a context
alike. A query none of whose visible keys shares a positive channel with it has weights of sum zero and
gets zeros; no constant is added to the divisor.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.feature_attention import FeatureAttention
from implementations.on_torch.projected import LayerSettings


class Cosformer(FeatureAttention):
    """cosFormer attention with the standard projections, for at most `max_length` tokens.

    The whole number `longest`, kept beside the weights, says for which M they were learned. Raises
    ValueError without a `max_length`, and in use for more tokens than that.
    """

    longest: Tensor

    def __init__(self, width: int, heads: int, **settings: Unpack[LayerSettings]) -> None:
        max_length = settings.get("max_length")
        if max_length is None or max_length < 1:
            raise ValueError(f"cosformer needs a max_length of at least 1, got {max_length}")
        super().__init__(width, heads, **settings)
        self.max_length = max_length
        self.register_buffer("longest", torch.tensor(max_length))

    def feature_count(self) -> int:
        """A cosine and a sine for each channel."""
        return 2 * self.head_width

    def query_features(
        self, query: Float[Tensor, "batch heads time head_width"], first: int
    ) -> Float[Tensor, "batch heads time features"]:
        """relu(query) times the cosine, and times the sine, of its position."""
        cosine, sine = self._waves(query, first)
        positive = query.relu()
        return torch.cat((positive * cosine, positive * sine), dim=-1)

    def key_features(
        self,
        key: Float[Tensor, "batch heads source head_width"],
        first: int,
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
    ) -> Float[Tensor, "batch heads source features"]:
        """The same of keys; zero for a padded one."""
        if padding is not None:
            key = key.masked_fill(~padding[:, None, :, None], 0.0)
        return self.query_features(key, first)

    def _waves(self, tokens: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine of the tokens' positions, each ``[time, 1]``."""
        end = first + tokens.shape[2]
        if end > self.max_length:
            raise ValueError(
                f"cosformer takes at most max_length = {self.max_length} tokens, got {end}; "
                "build the layer with a larger max_length"
            )
        places = torch.arange(first, end, device=tokens.device, dtype=torch.float64)[:, None]
        angles = places * (math.pi / 2 / self.max_length)
        return angles.cos().to(tokens.dtype), angles.sin().to(tokens.dtype)
