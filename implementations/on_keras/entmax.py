"""1.5-entmax attention: between softmax and sparsemax, smooth and with weights that are exactly 0.

    p = max(s / 2 - t, 0)^2,   t such that the weights sum to 1
    out_i = sum over j of p_ij v_j,   s_ij = q_i . k_j / sqrt(d)

Time n^2 d, memory n d (see `query_blocks`). Paper: Peters and others 2019, arXiv:1905.05702, equation 10
with alpha = 1.5 and proposition 2 for the gradient; as weights of attention: Correia and others 2019,
arXiv:1909.00015.

Departures: alpha is 1.5 and nothing else. Algorithm 2 sorts the scores to find the threshold t. Here
Newton's method finds it, on the length of the vector max(s / 2 - t, 0): that is convex and falling in t,
so that from the left each step comes nearer without passing t, and nearly straight, so that half a dozen
are enough.
"""

import keras
import numpy as np
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.query_blocks import attend_in_blocks

# Each step of Newton's method on a convex function divides value times slope by 4 or more, so that the
# digits of a float32 are spent after some 30; ordinary scores take 5 to 7.
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
    """Each query's mean of the values, weighted by 1.5-entmax of its scores; zeros if it sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. Raises ValueError if causal
    with unequal lengths.
    """
    return attend_in_blocks(query, key, value, rule=_Entmax(), causal=causal, padding=padding, bias=bias)


class _Entmax:
    scale = 0.5

    def weigh(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        largest = ops.max(scores, axis=-1, keepdims=True)
        threshold = _threshold(scores - largest)
        kept = ops.concatenate([largest, threshold], axis=-1)
        return self.weigh_again(scores, kept), kept

    def weigh_again(self, scores: Tensor, kept: Tensor) -> Tensor:
        return ops.square(ops.relu(scores - kept[..., :1] - kept[..., 1:]))

    def gradient(self, weights: Tensor, of_weights: Tensor) -> Tensor:
        """Roots of the weights times the gradient less its mean, weighted by the same roots."""
        roots = ops.sqrt(weights)
        weighted = of_weights * roots
        total = ops.sum(roots, axis=-1, keepdims=True)
        return weighted - roots * (ops.sum(weighted, axis=-1, keepdims=True) / total)


def _threshold(scores: Tensor) -> Tensor:
    """t of each row of halved scores, the largest of which is 0; -1 is at or below it."""
    digits = 4 * float(np.finfo(keras.backend.standardize_dtype(scores.dtype)).eps)

    def goes_on(threshold: Tensor, excess: Tensor) -> Tensor:
        return ops.any(excess > digits)

    def step(threshold: Tensor, excess: Tensor) -> tuple[Tensor, Tensor]:
        above = ops.relu(scores - threshold)
        length = ops.sqrt(ops.sum(ops.square(above), axis=-1, keepdims=True))
        excess = length - 1
        return threshold + excess * length / ops.sum(above, axis=-1, keepdims=True), excess

    start = ops.zeros_like(scores[..., :1])
    found = ops.while_loop(goes_on, step, (start - 1, start + 1), maximum_iterations=MOST_STEPS)
    return found[0]


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="entmax.attend")(attend)
