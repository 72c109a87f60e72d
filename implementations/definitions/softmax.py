"""Softmax attention, arXiv:1706.03762, equation 1: what every exact variant must answer."""

from implementations.definitions.projected import Array, products, projected, scaled_products, softmax


def mix(query: Array, key: Array, value: Array, visible: Array, **options: object) -> Array:
    """softmax(Q K^T / sqrt(d)) V over the visible keys; no option of an exact variant changes that."""
    mixed: Array = softmax(products(query, key), visible[:, None]) @ value
    return mixed


layer = projected(mix, scaled_products)
