"""Softmax attention to the keys that a fixed pattern lets a query see."""

from collections.abc import Callable, Mapping
from typing import Any

from implementations.definitions.projected import Array, Definition, projected
from implementations.definitions.softmax import mix as softmax_mix


def seen_through(pattern: Callable[..., Array]) -> Definition:
    """The layer of ``pattern(length, causal, **options)``, which answers ``[length, length]``: True where
    query i may see key j, the future left to causality."""

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
        seen = pattern(tokens.shape[1], causal, **options)

        def mix(query: Array, key: Array, value: Array, visible: Array) -> Array:
            return softmax_mix(query, key, value, visible & seen)

        return projected(mix)(
            tokens,
            context=context,
            padding=padding,
            causal=causal,
            weights=weights,
            heads=heads,
            options={},
        )

    return layer
