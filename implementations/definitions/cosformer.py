"""cosFormer, arXiv:2202.08791, equation 10: relu(q_i) . relu(k_j) cos(pi / 2 * (i - j) / M), normalised.

M is the weight `longest`, the largest length the layer was built for.
"""

import numpy as np

from implementations.definitions.linear import weighted_mean
from implementations.definitions.projected import Array, Given, Mixture


def mix(given: Given, value: Array) -> Array:
    """All weights of all pairs, and the mean by them."""
    query, key = given.of_tokens("query"), given.of_source("key")
    offsets = np.arange(query.shape[2])[:, None] - np.arange(key.shape[2])
    waves = np.cos(np.pi / 2 * offsets / int(given.weights["longest"]))
    products = np.maximum(query, 0) @ np.maximum(key, 0).swapaxes(-1, -2)
    return weighted_mean(products * waves, value, given.visible())


layer = Mixture(mix)
