"""Gradient checkpointing: a block's activations are computed again in the backward pass, not kept.

Memory of training then grows by one tensor a block instead of by all that the block holds, for about one
more forward pass of time. Paper: Chen and others 2016, arXiv:1604.06174. Outputs and gradients stay what
they are. `keras.remat` does the work; on TensorFlow it takes positional floats only, so that masks and
absent arguments are bound before.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras

from implementations.on_keras.keras_types import Layer, Tensor


def set_checkpointing(model: Layer, on: bool) -> None:
    """Turn checkpointing of every block on or off: of the layers in the model's lists of layers.

    What a compiled function has traced before keeps its way: set it before the first step of training.
    Raises ValueError for a model without such a list, which has nothing to checkpoint.
    """
    blocks = list(_blocks(model))
    if not blocks:
        raise ValueError(f"{type(model).__name__} has no blocks to checkpoint: put them into a list")
    for block in blocks:
        if on:
            block.call = partial(_checkpointed, block)
        elif "call" in vars(block):
            del block.call


def _blocks(layer: Any) -> Iterator[Any]:
    """The outermost ones: a block inside a block would be computed a third time."""
    for name, part in vars(layer).items():
        if name.startswith("_"):
            continue
        if isinstance(part, list):
            yield from (block for block in part if isinstance(block, keras.layers.Layer))
        elif isinstance(part, keras.layers.Layer):
            yield from _blocks(part)


def _checkpointed(block: Any, *inputs: Any, **named: Any) -> Tensor:
    forward = type(block).call
    if any(isinstance(value, keras.KerasTensor) for value in (*inputs, *named.values())):
        return forward(block, *inputs, **named)
    values = [*inputs, *named.values()]
    floats = [place for place, value in enumerate(values) if _is_float(value)]

    def from_floats(*given: Tensor) -> Tensor:
        every = values.copy()
        for place, value in zip(floats, given, strict=True):
            every[place] = value
        return forward(block, *every[: len(inputs)], **dict(zip(named, every[len(inputs) :], strict=True)))

    return keras.remat(from_floats)(*(values[place] for place in floats))


def _is_float(value: Any) -> bool:
    return hasattr(value, "dtype") and keras.backend.is_float_dtype(value.dtype)
