"""Which keys a query may see: the one place where causality and padding become masks.

Conventions of every kernel here: `padding` is True where a real token stands, position i sees the keys
0..i when causal, and a query that may see no key at all gets zeros.
"""

from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.layer_interface import require_equal_lengths

# A score that softmax turns into exactly 0 beside any visible one: finite, so that a query without a
# visible key has a defined softmax and gradient; far from the smallest number of float32 and bfloat16,
# so that two of them and a score can be added.
HIDDEN_SCORE = -8e37


def visible_keys(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch key_heads source head_width"],
    *,
    causal: bool,
    padding: Bool[Tensor, "batch source"] | None,
) -> Bool[Tensor, "#batch 1 #time source"] | None:
    """True where a query may see a key, broadcastable over the scores; None when it may see them all.

    Raises ValueError for causal attention between sequences of different lengths.
    """
    visible = None if padding is None else padding[:, None, None, :]
    if causal:
        require_equal_lengths(query.shape[2], key.shape[2])
        positions = ops.arange(ops.shape(query)[2])
        earlier = (positions[:, None] >= positions[None, :])[None, None]
        visible = earlier if visible is None else ops.logical_and(earlier, visible)
    return visible


def sees_any_key(padding: Bool[Tensor, "batch source"], *, causal: bool) -> Bool[Tensor, "batch 1 #source 1"]:
    """True for the queries that may see at least one real key; one row for all queries unless causal."""
    if causal:
        seen = ops.cumsum(ops.cast(padding, "int32"), axis=1) > 0
    else:
        seen = ops.any(padding, axis=1, keepdims=True)
    return seen[:, None, :, None]


def hide(
    scores: Float[Tensor, "*rows source"], visible: Bool[Tensor, "*shape"]
) -> Float[Tensor, "*rows source"]:
    """The scores with those of hidden keys pushed down to `HIDDEN_SCORE`.

    By a minimum: TensorFlow fuses a sum with the product before it, into a kernel that takes a hundred
    times as long where the mask is broadcast (1 against 150 ms for 8 heads of 96 tokens, oneDNN's default
    on a CPU).
    """
    dtype = scores.dtype
    bound = ops.where(visible, ops.cast(-HIDDEN_SCORE, dtype), ops.cast(HIDDEN_SCORE, dtype))
    return ops.minimum(scores, bound)


def softmax_over_keys(scores: Float[Tensor, "*rows source"]) -> Float[Tensor, "*rows source"]:
    """Softmax along the last axis; Keras's own warns of an axis of one key, where decoding begins."""
    if scores.shape[-1] == 1:
        return scores * 0 + 1
    return ops.softmax(scores, axis=-1)
