"""Keras's own loops, `predict_on_batch` and `train_on_batch`, for backends other than TensorFlow."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from suites.framework import Batch, Execution, Model


def require_plain(execution: Execution) -> None:
    """Raise NotImplementedError for work that only TensorFlow compiles."""
    if execution.compiled:
        raise NotImplementedError("jit_compile is measured on Keras's TensorFlow backend only")


class PositionalInputs(keras.Model):  # type: ignore[misc]  # Keras ships no types.
    """Hands one tuple of inputs on as positional arguments: Keras's own loops pass a single structure."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def call(self, inputs: Batch, training: bool = False) -> Any:
        return self.model(*inputs, training=training)


def train_on_batch(
    model: Model, measure: Callable[[Any, Any], Any], optimiser: Any
) -> Callable[[Batch, Any], Any]:
    """``step(inputs, target)``: one update, answering the loss."""
    wrapper = PositionalInputs(model)
    wrapper.compile(optimizer=optimiser, loss=measure)

    def step(inputs: Batch, target: Any) -> Any:
        return np.asarray(wrapper.train_on_batch(inputs, target))

    return step
