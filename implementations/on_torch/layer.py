"""One attention layer from a variant: its class as it is, or its kernel in the standard projections."""

import inspect
from typing import TypeAlias, TypedDict

from torch import nn

from bench.schema import Options
from implementations.on_torch.projected import Kernel, ProjectedAttention

Attention: TypeAlias = type[nn.Module] | Kernel
"""A variant's class (told by being a type) or its kernel."""


class AttentionSettings(TypedDict):
    """What every model passes on to its attention layers."""

    heads: int
    causal: bool
    max_length: int
    options: Options


def build_layer(
    attention: Attention,
    *,
    width: int,
    heads: int,
    causal: bool,
    max_length: int,
    options: Options,
    head_width: int | None = None,
) -> nn.Module:
    """The layer ``model(query[, context, padding]) -> [batch, time, width]``.

    `head_width` is passed on only when it is not None, so that a class need not know it.
    Raises TypeError for a class that is given one and takes none.
    """
    if not isinstance(attention, type):
        return ProjectedAttention(
            width, heads, kernel=attention, causal=causal, head_width=head_width, options=options
        )
    settings = dict(options) if head_width is None else {**options, "head_width": head_width}
    if head_width is not None and not _accepts(attention, "head_width"):
        raise TypeError(
            f"{attention.__name__} takes no head_width, which this model sets to {head_width}; "
            "add head_width to its constructor or put it into another model"
        )
    layer: nn.Module = attention(width, heads, causal=causal, max_length=max_length, **settings)
    return layer


def _accepts(attention: type, name: str) -> bool:
    parameters = inspect.signature(attention).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())
