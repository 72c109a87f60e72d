"""Explicit sparse attention: each query keeps its k largest scores and forgets the others.

    out_i = softmax over j of s_ij v_j for the j with s_ij >= t_i,   s_ij = q_i . k_j / sqrt(d),
    t_i the k-th largest score that query i sees; with k visible keys or fewer it keeps them all

Time n^2 d, memory n d (see `query_blocks`). Paper: Zhao and others 2019, Explicit Sparse Transformer,
arXiv:1912.11637, equations 4 to 6. No departure; the twin of the torch one, ties and all. A number of
keys that is known only at run time must be larger than k.
"""

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.query_blocks import attend_in_blocks


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
    scale = 1.0

    def __init__(self, count: int) -> None:
        self.count = count

    def weigh(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        cut = _cut(scores, self.count)
        largest = ops.max(scores, axis=-1, keepdims=True)
        exponentials = ops.where(scores < cut, ops.zeros_like(scores), ops.exp(scores - largest))
        normaliser = largest + ops.log(ops.sum(exponentials, axis=-1, keepdims=True))
        kept = ops.concatenate([cut, normaliser], axis=-1)
        return self.weigh_again(scores, kept), kept

    def weigh_again(self, scores: Tensor, kept: Tensor) -> Tensor:
        return ops.where(scores < kept[..., :1], ops.zeros_like(scores), ops.exp(scores - kept[..., 1:]))

    def gradient(self, weights: Tensor, of_weights: Tensor) -> Tensor:
        """That of softmax."""
        return weights * (of_weights - ops.sum(weights * of_weights, axis=-1, keepdims=True))


def _cut(scores: Tensor, count: int) -> Tensor:
    """What the `count` largest scores of a row and their equals reach, and no other: ``[..., 1]``."""
    keys = scores.shape[-1]
    if keys is not None and count >= keys:
        return ops.min(scores, axis=-1, keepdims=True)
    values, _ = ops.top_k(scores, count + 1)
    lowest_kept, highest_left = values[..., -2:-1], values[..., -1:]
    # Halfway, lest a last digit decide otherwise when the scores are made again.
    halfway = lowest_kept / 2 + highest_left / 2
    return ops.where(halfway > highest_left, halfway, lowest_kept)


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="top_k.attend")(attend)
