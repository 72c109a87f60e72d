"""Softmax attention in blocks, arXiv:2112.05682: the blocks change no answer, so this is `softmax`."""

from implementations.definitions import softmax
from implementations.definitions.projected import Array, projected


def mix(query: Array, key: Array, value: Array, visible: Array, *, query_block: int, key_block: int) -> Array:
    """softmax(Q K^T / sqrt(d)) V over the visible keys, whatever the blocks are."""
    return softmax.mix(query, key, value, visible)


layer = projected(mix)
