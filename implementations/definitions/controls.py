"""The controls, token by token: none, uniform, convolution."""

from collections.abc import Callable

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture

MixOne = Callable[[Given, Array, Array, int], Array | float]
"""``mix(given, value, visible, place)``: one query's mixture of ``value [heads, source, head_width]``."""


def _token_by_token(mix: MixOne) -> Callable[[Given, Array], Array]:
    def mixed(given: Given, value: Array) -> Array:
        visible = given.visible()
        answer = np.zeros((*value.shape[:2], given.tokens.shape[1], value.shape[-1]))
        for row, place in np.ndindex(*given.tokens.shape[:2]):
            answer[row, :, place] = mix(given, value[row], visible[row, place], place)
        return answer

    return mixed


def _own(given: Given, value: Array, visible: Array, place: int) -> Array | float:
    return value[:, place] if visible[place] else 0.0


def _mean(given: Given, value: Array, visible: Array, place: int) -> Array | float:
    return value[:, visible].mean(axis=1) if visible.any() else 0.0


def _neighbours(given: Given, value: Array, visible: Array, place: int) -> Array | float:
    taps = given.weights["taps"].astype(np.float64).reshape(-1, given.heads, value.shape[-1])
    before = len(taps) - 1 if given.causal else len(taps) // 2
    terms = [
        tap * value[:, place - before + offset]
        for offset, tap in enumerate(taps)
        if 0 <= place - before + offset < value.shape[1] and visible[place - before + offset]
    ]
    return np.asarray(terms).sum(axis=0) if terms else 0.0


def _by_channel(given: Given) -> str:
    return "its taps are learned for each channel: no one weight stands between two tokens"


none = Mixture(_token_by_token(_own))
uniform = Mixture(_token_by_token(_mean))
convolution = Mixture(_token_by_token(_neighbours), refusal=_by_channel)
