"""Talking-heads attention: heads mix their scores before the softmax and their weights after it.

    S_h = Q_h K_h^T / sqrt(d);   W_g = softmax(sum over h of before_hg S_h);
    out_h = (sum over g of after_gh W_g) V_h

Time n^2 (d + h) for each of h heads, memory n^2: the scores of all heads must be there together. Paper:
Shazeer and others 2020, arXiv:2003.02436, section 4, with as many heads before, in and after the softmax.

Both matrices start as the identity, from which the layer is softmax attention; the paper does not say how
its own start. What a query may not see is hidden, and positions are added, after the scores' mixing.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from implementations.on_torch.projected import AttentionLayer, LayerSettings
from implementations.on_torch.visibility import hidden_score, sees_any_key, visible_keys


class TalkingHeads(AttentionLayer):
    """Softmax attention whose heads are mixed by learned matrices `before` and `after` the softmax."""

    takes_bias = True

    def __init__(self, width: int, heads: int, **settings: Unpack[LayerSettings]) -> None:
        super().__init__(width, heads, **settings)
        self.before = nn.Parameter(torch.eye(heads))
        self.after = nn.Parameter(torch.eye(heads))

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """The values weighted by what the heads agreed on; zeros for a query that sees no key."""
        visible = visible_keys(query, key, causal=causal, padding=padding)
        scores = _mixed(self.before, (query / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1))
        if bias is not None:
            scores = scores + bias
        if visible is not None:
            # In place: nothing else holds these scores, and their product does not need them back.
            scores.masked_fill_(~visible, hidden_score(scores.dtype))
        mixed = _mixed(self.after, torch.softmax(scores, dim=-1)) @ value
        if padding is None:
            return mixed
        return mixed.masked_fill(~sees_any_key(padding, causal=causal), 0.0)


def _mixed(matrix: Tensor, scores: Tensor) -> Tensor:
    """Sums over the first axis of `matrix` and the heads of ``[batch, heads, time, source]``."""
    return (matrix.t() @ scores.flatten(2)).view_as(scores)
