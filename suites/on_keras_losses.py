"""What Keras models are trained to lessen; on keras.ops, because Keras's loss objects cast float64 down."""

from collections.abc import Callable
from typing import Any

import keras

from suites.framework import NOT_SCORED


def loss_of(name: str) -> Callable[[Any, Any], Any]:
    """``loss(target, output)`` by name; raises ValueError for another."""
    if name == "mean_squared_error":
        # Under a mixed policy the output is narrower than the target.
        return lambda target, output: keras.ops.mean(
            keras.ops.square(keras.ops.cast(output, target.dtype) - target)
        )
    if name == "cross_entropy":
        return cross_entropy
    raise ValueError(f"loss must be 'mean_squared_error' or 'cross_entropy', got {name!r}")


def cross_entropy(target: Any, output: Any) -> Any:
    """The mean over scored targets, 0 without any: `[batch, classes]` or `[batch, time, vocabulary]`."""
    scored = keras.ops.not_equal(target, NOT_SCORED)
    # A class below 0 is an error to some backends and NaN to others, so that one stands in for it.
    losses = keras.ops.sparse_categorical_crossentropy(
        keras.ops.where(scored, target, 0), output, from_logits=True
    )
    count = keras.ops.maximum(keras.ops.sum(keras.ops.cast(scored, "int32")), 1)
    # Keras takes means, not sums, of bfloat16 in float32: the mean over all, times how much smaller the
    # number of scored ones is.
    wide = keras.backend.result_type(losses.dtype, "float32")
    factor = keras.ops.cast(keras.ops.size(target), wide) / keras.ops.cast(count, wide)
    return keras.ops.mean(keras.ops.where(scored, losses, 0)) * keras.ops.cast(factor, losses.dtype)
