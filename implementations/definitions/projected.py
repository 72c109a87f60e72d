"""What all definitions share: the projections around a mixture, and who sees whom. Float64 NumPy, no tricks.

A definition is ``layer(tokens, *, context, padding, causal, weights, heads, options)``: `tokens
[batch, time, width]`, `context [batch, source, width]` or None for the tokens themselves, `padding
[batch, source]` True where a real token stands or None, `weights` by the names of the shared layout,
`options` those of the variant. It answers `[batch, time, width]`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Mix: TypeAlias = Callable[..., Array]
"""``mix(query, key, value, visible, **options)``: `[batch, heads, time, head_width]`, `visible
[batch, time, source]` True where a query may see a key; answers `[batch, heads, time, head_width]`."""


class Definition(Protocol):
    """A whole layer, written out."""

    def __call__(
        self,
        tokens: Array,
        *,
        context: Array | None,
        padding: Array | None,
        causal: bool,
        weights: Mapping[str, Array],
        heads: int,
        options: Mapping[str, Any],
    ) -> Array: ...


def projected(mix: Mix) -> Definition:
    """The layer of a mixture with the standard projections; a query that sees no key is mixed to zeros."""

    def layer(
        tokens: Array,
        *,
        context: Array | None,
        padding: Array | None,
        causal: bool,
        weights: Mapping[str, Array],
        heads: int,
        options: Mapping[str, Any],
    ) -> Array:
        source = tokens if context is None else context
        query, key, value = (
            split(linear(x, weights, name), heads)
            for x, name in ((tokens, "query"), (source, "key"), (source, "value"))
        )
        visible = who_sees_whom(tokens, source, padding, causal=causal)
        mixed = mix(query, key, value, visible, **options)
        blind = ~np.logical_or.reduce(visible, axis=-1)
        mixed = np.where(blind[:, None, :, None], 0.0, mixed)
        return linear(join(mixed), weights, "output")

    return layer


def linear(tokens: Array, weights: Mapping[str, Array], name: str) -> Array:
    """``tokens W + b`` in float64."""
    kernel = weights[f"{name}.kernel"].astype(np.float64)
    return tokens.astype(np.float64) @ kernel + weights[f"{name}.bias"].astype(np.float64)


def split(tokens: Array, heads: int) -> Array:
    """``[batch, time, heads * head_width]`` to ``[batch, heads, time, head_width]``."""
    batch, time, inner = tokens.shape
    return tokens.reshape(batch, time, heads, inner // heads).transpose(0, 2, 1, 3)


def join(heads: Array) -> Array:
    """``[batch, heads, time, head_width]`` to ``[batch, time, heads * head_width]``."""
    batch, count, time, width = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(batch, time, count * width)


def who_sees_whom(tokens: Array, source: Array, padding: Array | None, *, causal: bool) -> Array:
    """``[batch, time, source]``: True where a query may see a key."""
    batch, time, length = len(tokens), tokens.shape[1], source.shape[1]
    visible: Array = np.ones((batch, time, length), dtype=bool)
    if causal:
        visible &= np.tri(time, length, dtype=bool)
    if padding is not None:
        visible &= padding[:, None, :]
    return visible


def softmax(scores: Array, visible: Array) -> Array:
    """Along the last axis over what is visible; a row that sees nothing is all zeros."""
    hidden = np.where(visible, scores, -np.inf)
    largest = hidden.max(axis=-1, keepdims=True)
    weights = np.exp(hidden - np.where(np.isfinite(largest), largest, 0.0))
    total = weights.sum(axis=-1, keepdims=True)
    answer: Array = weights / np.where(total > 0, total, 1.0)
    return answer
