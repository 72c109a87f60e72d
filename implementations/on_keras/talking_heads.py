"""Talking-heads attention: heads mix their scores before the softmax and their weights after it.

    S_h = Q_h K_h^T / sqrt(d);   W_g = softmax(sum over h of before_hg S_h);
    out_h = (sum over g of after_gh W_g) V_h

Time n^2 (d + h) for each of h heads, memory n^2: the scores of all heads must be there together. Paper:
Shazeer and others 2020, arXiv:2003.02436, section 4, with as many heads before, in and after the softmax.

Both matrices start as the identity, from which the layer is softmax attention; the paper does not say how
its own start. What a query may not see is hidden, and positions are added, after the scores' mixing.
"""

import math
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.projected import AttentionLayer
from implementations.on_keras.visibility import HIDDEN_SCORE, sees_any_key, softmax_over_keys, visible_keys


@keras.saving.register_keras_serializable(package="attnbench")
class TalkingHeads(AttentionLayer):
    """Softmax attention whose heads are mixed by learned matrices `before` and `after` the softmax."""

    takes_bias = True

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        super().build(query_shape)
        self.before, self.after = (
            self.add_weight(
                shape=(self.heads, self.heads), initializer=keras.initializers.Identity(), name=name
            )
            for name in ("before", "after")
        )

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
        scores = ops.matmul(query / math.sqrt(query.shape[-1]), ops.swapaxes(key, -1, -2))
        scores = _mixed(self.before, scores)
        if bias is not None:
            scores = scores + bias
        if visible is not None:
            scores = ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype))
        mixed = ops.matmul(_mixed(self.after, softmax_over_keys(scores)), value)
        if padding is None:
            return mixed
        return ops.where(sees_any_key(padding, causal=causal), mixed, ops.zeros_like(mixed))

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        return super().exported() | {"before": self.before, "after": self.after}


def _mixed(matrix: Tensor, scores: Tensor) -> Tensor:
    """Sums over the first axis of `matrix` and the heads of ``[batch, heads, time, source]``."""
    batch, heads, time, source = ops.shape(scores)
    flat = ops.reshape(scores, (batch, heads, time * source))
    mixed = ops.matmul(ops.transpose(ops.cast(matrix, scores.dtype)), flat)
    return ops.reshape(mixed, (batch, heads, time, source))
