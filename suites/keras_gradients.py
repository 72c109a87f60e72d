"""Gradients of a Keras model on TensorFlow, by the names under which its weights travel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from suites.framework import Model

Export = Callable[[Model], dict[str, np.ndarray]]


def gradients_of(
    tensorflow: Any, model: Model, inputs: Sequence[Any], cotangent: np.ndarray, export: Export
) -> tuple[Any, dict[str, Any]]:
    """The output, and the gradients of sum(output * cotangent) by weight and by ``"input 0"``, …"""
    floats = {
        f"input {place}": tensor
        for place, tensor in enumerate(inputs)
        if hasattr(tensor, "dtype") and tensor.dtype.is_floating
    }
    variables = model.trainable_variables
    with tensorflow.GradientTape() as tape:
        tape.watch(list(floats.values()))
        output = model(*inputs)
        loss = keras.ops.sum(output * keras.ops.cast(cotangent, output.dtype))
    of_variables, of_inputs = tape.gradient(
        loss,
        ([variable.value for variable in variables], list(floats.values())),
        unconnected_gradients=tensorflow.UnconnectedGradients.ZERO,
    )
    return output, _named(model, variables, of_variables, export) | dict(zip(floats, of_inputs, strict=True))


def _named(
    model: Model, variables: Sequence[Any], gradients: Sequence[Any], export: Export
) -> dict[str, Any]:
    """The gradients under their weights' names: exported in the weights' place, which they then leave."""
    names = names_of(model, export)
    kept = [np.array(variable.numpy()) for variable in variables]
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign(keras.ops.convert_to_tensor(gradient))
    found = export(model)
    for variable, values in zip(variables, kept, strict=True):
        variable.assign(values)
    return {name: found[name] for name in names}


def names_of(model: Model, export: Export) -> list[str]:
    """The names under which the trainable variables are exported: marked for a moment, to be found again."""
    variables = model.trainable_variables
    kept = [np.array(variable.numpy()) for variable in variables]
    for variable in variables:
        variable.assign(keras.ops.full_like(variable.value, np.nan))
    names = [name for name, array in export(model).items() if np.isnan(array).all()]
    for variable, values in zip(variables, kept, strict=True):
        variable.assign(values)
    return names
