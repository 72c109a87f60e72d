"""Softmax attention through Keras's own `ops.dot_product_attention`, which each backend fuses or does not.

    out = softmax(Q K^T / sqrt(d)) V

Time n^2 d; memory n d where `backend` answers a fused kernel, n^2 where it answers "math": always on
TensorFlow, on JAX without a GPU that cuDNN serves or a TPU. Papers: Dao and others 2022, arXiv:2205.14135;
Rabe and Staats 2021, arXiv:2112.05682. No departure. Keras wants ``[batch, time, heads, head_width]``, so
axes are swapped on the way in and out. As in the torch twin, padding and causality together are one more
channel that pushes hidden keys down, and no mask of n x n entries.
"""

import math
import sys
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.layer_interface import require_equal_lengths
from implementations.on_keras.visibility import HIDDEN_SCORE, sees_any_key, visible_keys


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
    prepared, settings = _arguments(query, key, value, causal=causal, padding=padding, bias=bias)
    mixed = ops.dot_product_attention(*prepared, flash_attention=None, **settings)
    mixed = ops.swapaxes(mixed, 1, 2)[..., : value.shape[-1]]
    if padding is None:
        return mixed
    return ops.where(sees_any_key(padding, causal=causal), mixed, ops.zeros_like(mixed))


def backend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
) -> str:
    """Which kernel `attend` runs for these arguments: "flash", "efficient", "cudnn" or "math", the last
    of which builds the scores.

    On torch its dispatcher is asked. Elsewhere Keras either runs a fused kernel or refuses one, which is
    tried: it costs one call.
    """
    prepared, settings = _arguments(query, key, value, causal=causal, padding=padding, bias=bias)
    if keras.backend.backend() == "torch":
        return _chosen_by_torch(prepared, settings)
    try:
        ops.dot_product_attention(*prepared, flash_attention=True, **settings)
    except (ImportError, RuntimeError, ValueError):
        return "math"
    return "flash"


def _chosen_by_torch(prepared: tuple[Tensor, ...], settings: dict[str, Any]) -> str:
    """What torch's dispatcher answers for the call that Keras makes of these arguments."""
    torch = sys.modules["torch"]  # Keras runs on it, so it is there; importing it is the torch side's part
    choice = torch._fused_sdp_choice(
        *(ops.swapaxes(one, 1, 2) for one in prepared),
        attn_mask=settings["bias"],
        is_causal=settings["is_causal"],
        scale=settings["scale"],
    )
    kind = torch.nn.attention.SDPBackend(choice)
    return str(kind.name).removesuffix("_ATTENTION").lower()


def _arguments(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool, padding: Tensor | None, bias: Tensor | None
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """What Keras's function is called with, so that keys that are hidden stay hidden."""
    # Keras takes a scale in float32, whatever the queries are: 1 is the same in every dtype.
    query = query / math.sqrt(query.shape[-1])
    if causal:
        require_equal_lengths(query.shape[2], key.shape[2])
    if bias is None and causal and padding is not None:
        query, key, value = _pushed(query, key, value, padding)
    elif bias is not None or padding is not None:
        bias, causal = _biased(query, key, bias, causal=causal, padding=padding), False
    turned = tuple(ops.swapaxes(one, 1, 2) for one in (query, key, value))
    return turned, {"bias": bias, "is_causal": causal, "scale": 1.0}


def _pushed(query: Tensor, key: Tensor, value: Tensor, padding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One more channel that hides padded keys; values get it too, as fused kernels need them so wide."""
    hidden = _push(padding, key.dtype)[:, None, :, None]
    push = ops.broadcast_to(hidden, (*ops.shape(key)[:3], 1))
    query, value = (
        ops.concatenate([one, fill(one[..., :1])], axis=-1)
        for one, fill in ((query, ops.ones_like), (value, ops.zeros_like))
    )
    return query, ops.concatenate([key, push], axis=-1), value


def _biased(
    query: Tensor, key: Tensor, bias: Tensor | None, *, causal: bool, padding: Tensor | None
) -> Tensor:
    """What is added to the scores, hidden keys pushed down in it."""
    if bias is None:
        return _push(padding, query.dtype)[:, None, None, :]
    visible = visible_keys(query, key, causal=causal, padding=padding)
    return bias if visible is None else ops.where(visible, bias, ops.cast(HIDDEN_SCORE, bias.dtype))


def _push(padding: Tensor, dtype: Any) -> Tensor:
    """0 for a real key, and a score that hides it for any other, ``[batch, source]``."""
    return ops.where(padding, ops.cast(0.0, dtype), ops.cast(HIDDEN_SCORE, dtype))


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="sdpa.attend")(attend)
