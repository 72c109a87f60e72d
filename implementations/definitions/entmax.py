"""1.5-entmax attention, arXiv:1905.05702, algorithm 2."""

from implementations.definitions.projected import projected, scaled_products
from implementations.definitions.scores import entmax, weighed_by

layer = projected(weighed_by(entmax), scaled_products)
