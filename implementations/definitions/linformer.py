"""Linformer, arXiv:2006.04768, equation 7: softmax attention to E^T K and F^T V, E and F shared by the heads.

The first rows of the maps serve a shorter source; padded tokens add nothing to a landmark.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import Array, WithoutRows, join, linear, softmax, split


def _layer(
    tokens: Array,
    *,
    context: Array | None,
    padding: Array | None,
    causal: bool,
    weights: Mapping[str, Array],
    heads: int,
    options: Mapping[str, Any],
) -> Array:
    """All tokens projected first, then mixed, as the paper has it. Raises ValueError if causal."""
    if causal:
        raise ValueError("linformer has no causal form")
    source = tokens if context is None else context
    real = np.ones(source.shape[:2]) if padding is None else padding.astype(np.float64)
    query, key, value = (
        split(linear(x, weights, name), heads)
        for x, name in ((tokens, "query"), (source, "key"), (source, "value"))
    )
    key_landmarks, value_landmarks = (
        _mixtures(part, weights[name].astype(np.float64), real)
        for part, name in ((key, "key_map"), (value, "value_map"))
    )
    scores = query @ key_landmarks.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    mixed = softmax(scores, np.ones_like(scores, dtype=bool)) @ value_landmarks
    mixed = mixed * (real.max(axis=1) > 0)[:, None, None, None]
    return linear(join(mixed), weights, "output")


layer = WithoutRows(
    _layer, "its weights stand over landmarks, learned mixtures of all tokens, and not over tokens"
)


def _mixtures(part: Array, rows: Array, real: Array) -> Array:
    """Landmark after landmark the sum of the real tokens, each by its weight."""
    mixed = np.zeros((*part.shape[:2], rows.shape[1], part.shape[-1]))
    for landmark in range(rows.shape[1]):
        for place in range(part.shape[2]):
            weight = rows[place, landmark] * real[:, place]
            mixed[:, :, landmark] += weight[:, None, None] * part[:, :, place]
    return mixed
