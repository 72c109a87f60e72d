"""Weights in and out as named NumPy arrays, in the layout that both frameworks share.

Names are the models' own attributes, joined by dots, with places in lists as numbers:
``blocks.0.attention.query.kernel``. Linear maps are ``kernel [in, out]`` and ``bias [out]`` (Keras's
multi-head maps are flattened: ``[width, heads, head_width]`` to ``[width, heads * head_width]``, back
again for the output map), norms ``scale`` and ``offset``, embeddings ``table``; any other variable goes
by its attribute's name. A layer whose attributes are not what should be seen says so in a method
``exported() -> dict[str, Layer]``.
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from implementations.on_keras.keras_types import Layer, Variable

Array = NDArray[Any]
FlatShape = tuple[int, ...]
Place = tuple[str, Variable, FlatShape]

_LEAF_NAMES: dict[type, dict[str, str]] = {
    keras.layers.Dense: {"kernel": "kernel", "bias": "bias"},
    keras.layers.EinsumDense: {"kernel": "kernel", "bias": "bias"},
    keras.layers.LayerNormalization: {"gamma": "scale", "beta": "offset"},
    keras.layers.RMSNormalization: {"scale": "scale"},
    keras.layers.Embedding: {"embeddings": "table"},
}


def export_weights(model: Layer) -> dict[str, Array]:
    """Every weight of a built model by its name.

    Raises ValueError when the model holds a weight that no name leads to, as it would be lost.
    """
    return {name: _to_numpy(variable).reshape(shape) for name, variable, shape in _places(model)}


def import_weights(model: Layer, weights: Mapping[str, Array]) -> None:
    """Set every weight of a built model.

    Raises ValueError, and changes nothing, when arrays are missing, unexpected or of another shape.
    """
    places = _places(model)
    _require_fit({name: shape for name, _, shape in places}, weights)
    for name, variable, _ in places:
        variable.assign(np.asarray(weights[name]).reshape(tuple(variable.shape)))


def _require_fit(shapes: Mapping[str, FlatShape], weights: Mapping[str, Array]) -> None:
    faults = [f"missing {name} {list(shape)}" for name, shape in shapes.items() if name not in weights]
    faults += [f"unexpected {name}" for name in weights if name not in shapes]
    faults += [
        f"{name} must have shape {list(shape)}, got {list(np.shape(weights[name]))}"
        for name, shape in shapes.items()
        if name in weights and np.shape(weights[name]) != shape
    ]
    if faults:
        raise ValueError("the weights do not fit the model: " + "; ".join(faults))


def _to_numpy(variable: Variable) -> Array:
    # NumPy has no bfloat16 of its own; float32 holds every such number exactly.
    if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
        return np.array(keras.ops.convert_to_numpy(keras.ops.cast(variable, "float32")))
    return np.array(variable.numpy())


def _places(model: Layer) -> list[Place]:
    places = list(_walk(model, ""))
    named = {id(variable) for _, variable, _ in places}
    lost = [v.path for v in model.weights if id(v) not in named and not _is_seed(v)]
    if lost or not places:
        raise ValueError(
            f"{model.name} has weights without a public name ({', '.join(lost) or 'none was made yet'}): "
            "keep their layers in public attributes, or give the layer a method exported(); "
            "build the model before"
        )
    return places


def _is_seed(variable: Variable) -> bool:
    return "seed_generator" in str(variable.path)


def _walk(item: object, path: str) -> Iterator[Place]:
    """All places below an attribute: a layer, a list of layers, a variable, or something without weights."""
    if isinstance(item, keras.Variable):
        yield path, item, _flat_shape(item)
    elif isinstance(item, list | tuple):
        for number, part in enumerate(item):
            yield from _walk(part, _join(path, str(number)))
    elif isinstance(item, keras.layers.Layer):
        leaf = next((names for kind, names in _LEAF_NAMES.items() if isinstance(item, kind)), None)
        if leaf is None:
            for name, part in _public_parts(item).items():
                yield from _walk(part, _join(path, name))
        else:
            yield from _leaf_places(item, leaf, path)


def _public_parts(layer: Any) -> dict[str, object]:
    if hasattr(layer, "exported"):
        parts: dict[str, object] = layer.exported()
        return parts
    return {name: part for name, part in vars(layer).items() if not name.startswith("_")}


def _leaf_places(layer: Any, names: Mapping[str, str], path: str) -> Iterator[Place]:
    for attribute, name in names.items():
        variable = getattr(layer, attribute)
        if variable is None:
            continue
        shape = _flat_shape(variable)
        if isinstance(layer, keras.layers.EinsumDense):
            # The bias has the output's axes, which are the kernel's last: the rest is the input.
            columns = prod(layer.bias.shape)
            shape = (columns,) if name == "bias" else (prod(shape) // columns, columns)
        yield _join(path, name), variable, shape


def _flat_shape(variable: Variable) -> FlatShape:
    return tuple(int(size) for size in variable.shape)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
