"""The types that the Keras twins are written in, since Keras itself is not typed.

`Tensor` is whatever the backend of the day calls a tensor, so only its dtype and shape are checked.
`Layer` and `Model` are Keras's own classes at run time; a type checker sees the part that we rely on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

Tensor: TypeAlias = Any
Variable: TypeAlias = Any
Shape: TypeAlias = tuple[int | None, ...]

if TYPE_CHECKING:

    class Layer:
        """`keras.layers.Layer`, as far as we use it."""

        name: str
        built: bool
        dtype_policy: object
        compute_dtype: str
        weights: list[Variable]

        def __init__(self, **keras_settings: Any) -> None: ...
        def __call__(self, *inputs: Tensor, **named: Tensor) -> Tensor: ...
        def add_weight(self, *, shape: tuple[int, ...], initializer: object, name: str) -> Variable: ...
        def get_config(self) -> dict[str, Any]: ...

    class Model(Layer):
        """`keras.Model`, as far as we use it."""

else:
    from keras import Model
    from keras.layers import Layer

__all__ = ["Layer", "Model", "Shape", "Tensor", "Variable"]
