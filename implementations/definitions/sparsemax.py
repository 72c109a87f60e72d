"""Sparsemax attention, arXiv:1602.02068, algorithm 1."""

from implementations.definitions.projected import projected, scaled_products
from implementations.definitions.scores import sparsemax, weighed_by

layer = projected(weighed_by(sparsemax), scaled_products)
