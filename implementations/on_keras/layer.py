"""A bare attention layer: the smallest architecture, and the part that all the others are made of."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from bench.schema import RELATIVE_POSITIONS
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
    positions: str = "none",
    qk_norm: bool = False,
) -> Layer:
    """An attention layer, ``layer(query[, context, padding]) -> [batch, time, width]``, its weights made.

    As with every model here, its dtype is Keras's global policy at the time it is built.
    A variant's class is called; its kernel is put into the standard projections. What differs from "as
    usual" (a `head_width`, relative `positions`, `qk_norm`) is passed on only then, so that a class need
    not know it. A `head_width` among the `options` is the layer's own; as an argument it comes first.
    """
    own = dict(options or {})
    unusual: dict[str, Any] = {}
    if head_width is not None or "head_width" in own:
        unusual["head_width"] = own.pop("head_width", None) if head_width is None else head_width
        own.pop("head_width", None)
    if positions in RELATIVE_POSITIONS:
        unusual["positions"] = positions
    if qk_norm:
        unusual["qk_norm"] = True
    if isinstance(attention, type):
        layer: Layer = attention(width, heads, causal=causal, max_length=max_length, **unusual, **own)
    else:
        layer = ProjectedAttention(
            width, heads, kernel=attention, causal=causal, max_length=max_length, options=own, **unusual
        )
    layer(symbolic_tokens(max_length, width))
    return layer


def symbolic_tokens(length: int | None, width: int) -> Any:
    """Tokens without values ``[batch, length, width]``: calling a model on them makes its weights."""
    return keras.KerasTensor((None, length or 2, width))
