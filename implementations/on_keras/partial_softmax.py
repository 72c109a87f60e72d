"""Softmax attention over a part of the keys, and how the parts become one answer; twin of the torch one.

    part p:  m_p = max over j in p of s_j;  a_p = sum of exp(s_j - m_p) v_j;  z_p = sum of exp(s_j - m_p)
    whole:   out = sum over p of exp(m_p - M) a_p / sum over p of exp(m_p - M) z_p,  M = max over p of m_p

Exact if no key is in two parts. The maxima cancel in the quotient and carry no gradient. The merging step
is that of Milakov and Gimelshein 2018, arXiv:1805.02867, section 3.1, and of FlashAttention.
"""

import math
from typing import NamedTuple

from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.visibility import HIDDEN_SCORE


class Partial(NamedTuple):
    """What is left of a part of the keys: weighted `sums` of the values ``[…, time, head_width]``, the
    weights' own `total` and their exponents' `largest` score, both ``[…, time, 1]``."""

    sums: Tensor
    total: Tensor
    largest: Tensor


def attend_to_part(
    query: Float[Tensor, "*rows time head_width"],
    key: Float[Tensor, "*rows source head_width"],
    value: Float[Tensor, "*rows source head_width"],
    visible: Bool[Tensor, "..."],
) -> Partial:
    """Weighted sums over these keys; `visible` is broadcastable over the scores."""
    scores = ops.matmul(query / math.sqrt(query.shape[-1]), ops.swapaxes(key, -1, -2))
    scores = ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype))
    largest = ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True))
    weights = ops.exp(scores - largest)
    return Partial(ops.matmul(weights, value), ops.sum(weights, axis=-1, keepdims=True), largest)


def merged(first: Partial, second: Partial) -> Float[Tensor, "*rows time head_width"]:
    """The answer over the keys of both parts; one that sees none counts for nothing beside one that does."""
    largest = ops.maximum(first.largest, second.largest)
    one, other = (ops.exp(part.largest - largest) for part in (first, second))
    return (first.sums * one + second.sums * other) / (first.total * one + second.total * other)
