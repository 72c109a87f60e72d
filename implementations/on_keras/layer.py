"""A bare attention layer: the smallest architecture, and the part that all the others are made of."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from implementations.on_keras.keras_types import Layer
from implementations.on_keras.projected import ProjectedAttention


def build_layer(
    attention: type | Callable[..., Any],
    *,
    width: int,
    heads: int,
    causal: bool = False,
    max_length: int | None = None,
    options: Mapping[str, Any] | None = None,
    head_width: int | None = None,
) -> Layer:
    """An attention layer, ``layer(query[, context, padding]) -> [batch, time, width]``, its weights made.

    As with every model here, its dtype is Keras's global policy at the time it is built.
    A variant's class is called; its kernel is put into the standard projections. A `head_width` among
    the `options` is the layer's own; as an argument it comes first, and a class need not know it.
    """
    settings = dict(options or {})
    if head_width is not None:
        settings["head_width"] = head_width
    if isinstance(attention, type):
        layer: Layer = attention(width, heads, causal=causal, max_length=max_length, **settings)
    else:
        own_width = settings.pop("head_width", None)
        layer = ProjectedAttention(
            width, heads, kernel=attention, causal=causal, head_width=own_width, options=settings
        )
    layer(symbolic_tokens(max_length, width))
    return layer


def symbolic_tokens(length: int | None, width: int) -> Any:
    """Tokens without values ``[batch, length, width]``: calling a model on them makes its weights."""
    return keras.KerasTensor((None, length or 1, width))
