"""Softmax attention, arXiv:1706.03762, equation 1: what every exact variant must answer."""

import numpy as np

from implementations.definitions.projected import Array, projected, softmax


def mix(query: Array, key: Array, value: Array, visible: Array, **options: object) -> Array:
    """softmax(Q K^T / sqrt(d)) V over the visible keys; no option of an exact variant changes that."""
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    mixed: Array = softmax(scores, visible[:, None]) @ value
    return mixed


layer = projected(mix)
