"""Sparsemax attention: the scores' nearest point on the simplex, in which most weights are exactly 0.

    p = argmin over the simplex of |p - s|^2 = max(s - t, 0),   t such that the weights sum to 1
    out_i = sum over j of p_ij v_j,   s_ij = q_i . k_j / sqrt(d)

Time n^2 d, memory n d (see `query_blocks`). Paper: Martins and Astudillo 2016, arXiv:1602.02068, equations
2 to 4 and 14.

Departure: algorithm 1 sorts the scores to find the threshold t. Here Newton's method finds it: the sum of
max(s - t, 0) is convex, falling and made of straight pieces in t, so that from the left each step comes
nearer without ever passing t, and once the support stands a step ends exactly on it. That takes some
passes over the scores instead of a sort.
"""

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.query_blocks import attend_in_blocks

# Each step of Newton's method on a convex function divides value times slope by 4 or more, so that the
# digits of a float32 are spent after some 30; ordinary scores take 4 to 8.
MOST_STEPS = 64


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values, weighted by the sparsemax of its scores; zeros if it sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. Raises ValueError if causal
    with unequal lengths.
    """
    return attend_in_blocks(query, key, value, rule=_Sparsemax(), causal=causal, padding=padding, bias=bias)


class _Sparsemax:
    scale = 1.0

    def weigh(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        largest = ops.max(scores, axis=-1, keepdims=True)
        threshold = _threshold(scores - largest)
        kept = ops.concatenate([largest, threshold], axis=-1)
        return self.weigh_again(scores, kept), kept

    def weigh_again(self, scores: Tensor, kept: Tensor) -> Tensor:
        return ops.relu(scores - kept[..., :1] - kept[..., 1:])

    def gradient(self, weights: Tensor, of_weights: Tensor) -> Tensor:
        """Over the support the gradient less its mean, elsewhere 0."""
        support = ops.sign(weights)
        kept = of_weights * support
        count = ops.maximum(ops.sum(support, axis=-1, keepdims=True), 1)
        return kept - support * (ops.sum(kept, axis=-1, keepdims=True) / count)


def _threshold(scores: Tensor) -> Tensor:
    """t of each row, whose largest score is 0; -1 is at or below it, as no weight is above 1."""

    def goes_on(threshold: Tensor, count: Tensor, before: Tensor) -> Tensor:
        return ops.any(count != before)

    def step(threshold: Tensor, count: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        above = ops.relu(scores - threshold)
        support = ops.sum(ops.sign(above), axis=-1, keepdims=True)
        excess = ops.sum(above, axis=-1, keepdims=True) - 1
        return threshold + excess / support, support, count

    start = ops.zeros_like(scores[..., :1])
    found = ops.while_loop(goes_on, step, (start - 1, start, start - 1), maximum_iterations=MOST_STEPS)
    return found[0]


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="sparsemax.attend")(attend)
