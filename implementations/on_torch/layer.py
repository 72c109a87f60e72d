"""One attention layer from a variant: its class as it is, or its kernel in the standard projections."""

import inspect
from typing import Any, NotRequired, TypeAlias, TypedDict

from torch import nn

from bench.schema import RELATIVE_POSITIONS, Options
from implementations.on_torch.projected import Kernel, ProjectedAttention

Attention: TypeAlias = type[nn.Module] | Kernel
"""A variant's class (told by being a type) or its kernel."""


class AttentionSettings(TypedDict):
    """What every model passes on to its attention layers."""

    heads: int
    causal: bool
    max_length: int
    options: Options
    positions: NotRequired[str]
    qk_norm: NotRequired[bool]


def build_layer(
    attention: Attention,
    *,
    width: int,
    heads: int,
    causal: bool,
    max_length: int,
    options: Options,
    head_width: int | None = None,
    positions: str = "none",
    qk_norm: bool = False,
) -> nn.Module:
    """The layer ``model(query[, context, padding]) -> [batch, time, width]``.

    What differs from "as usual" (a `head_width`, relative `positions`, `qk_norm`) is passed on only then,
    so that a class need not know it. Raises TypeError for a class that is given one and takes none.
    """
    unusual: dict[str, Any] = {}
    if head_width is not None:
        unusual["head_width"] = head_width
    if positions in RELATIVE_POSITIONS:
        unusual["positions"] = positions
    if qk_norm:
        unusual["qk_norm"] = True
    if not isinstance(attention, type):
        return ProjectedAttention(
            width, heads, kernel=attention, causal=causal, max_length=max_length, options=options, **unusual
        )
    for name, value in unusual.items():
        if not _accepts(attention, name):
            raise TypeError(
                f"{attention.__name__} takes no {name}, which this model sets to {value}; "
                f"add {name} to its constructor or put it into another model"
            )
    layer: nn.Module = attention(
        width, heads, causal=causal, max_length=max_length, **unusual, **dict(options)
    )
    return layer


def _accepts(attention: type, name: str) -> bool:
    parameters = inspect.signature(attention).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())
