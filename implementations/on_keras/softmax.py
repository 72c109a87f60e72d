"""Softmax attention written out: the reference that every other Keras variant is held against.

    out = softmax(Q K^T / sqrt(d)) V

Time n^2 d, memory n^2: the scores are really built. Paper: Vaswani and others 2017, arXiv:1706.03762,
section 3.2.1; no departure. The same function as Keras's own `MultiHeadAttention`, which stands beside
it in the catalogue as a peer.
"""

import math

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.visibility import hide, sees_any_key, softmax_over_keys, visible_keys


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values, weighted by the softmax of its scores; zeros if it sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. Raises ValueError if causal
    with unequal lengths.
    """
    # The query is scaled, not the scores: as Keras's own layer does, at n d instead of n^2 products.
    scores = ops.matmul(query / math.sqrt(query.shape[-1]), ops.swapaxes(key, -1, -2))
    if bias is not None:
        scores = scores - (-bias)  # a sum would be fused, see `hide`
    visible = visible_keys(query, key, causal=causal, padding=padding)
    if visible is not None:
        scores = hide(scores, visible)
    mixed = ops.matmul(softmax_over_keys(scores), value)
    if padding is None:
        return mixed
    return mixed * ops.cast(sees_any_key(padding, causal=causal), mixed.dtype)


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="softmax.attend")(attend)
