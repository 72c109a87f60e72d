"""Sigmoid attention, arXiv:2409.04431, equation 3, with n the number of keys that a query sees."""

from implementations.definitions.projected import projected, scaled_products
from implementations.definitions.scores import sigmoid, weighed_by

layer = projected(weighed_by(sigmoid), scaled_products)
