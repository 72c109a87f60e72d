"""Softmax attention to the keys that a fixed pattern lets a query see."""

from collections.abc import Callable

from implementations.definitions.projected import Array, Given, Mixture, scaled_products
from implementations.definitions.softmax import mix as softmax_mix


def seen_through(pattern: Callable[..., Array]) -> Mixture:
    """The layer of ``pattern(length, causal, **options)``, which answers ``[length, length]``: True where
    query i may see key j, the future left to causality."""

    def mix(given: Given, value: Array) -> Array:
        seen = pattern(given.tokens.shape[1], given.causal, **given.options)
        visible = given.visible() & seen
        return softmax_mix(given.of_tokens("query"), given.of_source("key"), value, visible)

    return Mixture(mix, scores=scaled_products)
