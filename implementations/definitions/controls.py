"""The controls, token by token: none, uniform, convolution."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from implementations.definitions.projected import Array, Definition, linear, who_sees_whom

MixValues: TypeAlias = Callable[..., Array | float]
"""``mix(value, visible, place, causal, weights)``: one query's mixture of ``value [source, inner]``."""


def _layer(mix: MixValues) -> Definition:
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
        value = linear(source, weights, "value")
        visible = who_sees_whom(tokens, source, padding, causal=causal)
        mixed = np.zeros((*tokens.shape[:2], value.shape[-1]))
        for row, place in np.ndindex(*tokens.shape[:2]):
            mixed[row, place] = mix(value[row], visible[row, place], place, causal, weights)
        return linear(mixed, weights, "output")

    return layer


def _own(
    value: Array, visible: Array, place: int, causal: bool, weights: Mapping[str, Array]
) -> Array | float:
    return value[place] if visible[place] else 0.0


def _mean(
    value: Array, visible: Array, place: int, causal: bool, weights: Mapping[str, Array]
) -> Array | float:
    return value[visible].mean(axis=0) if visible.any() else 0.0


def _neighbours(
    value: Array, visible: Array, place: int, causal: bool, weights: Mapping[str, Array]
) -> Array | float:
    taps = weights["taps"].astype(np.float64)
    before = len(taps) - 1 if causal else len(taps) // 2
    terms = [
        tap * value[place - before + offset]
        for offset, tap in enumerate(taps)
        if 0 <= place - before + offset < len(value) and visible[place - before + offset]
    ]
    return np.asarray(terms).sum(axis=0) if terms else 0.0


none = _layer(_own)
uniform = _layer(_mean)
convolution = _layer(_neighbours)
