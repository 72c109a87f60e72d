"""Performer's random features, drawn in NumPy, so that one seed means the same numbers on every framework."""

import math

import numpy as np
from numpy.typing import NDArray


def draw_orthogonal_features(head_width: int, features: int, seed: int) -> NDArray[np.float64]:
    """Gaussian columns ``[head_width, features]``, orthogonal within each group of `head_width`.

    Their lengths are those of Gaussian vectors: arXiv:2009.14794, section 2.4. No global generator is
    touched. Raises ValueError for fewer than one feature.
    """
    if features < 1:
        raise ValueError(f"features must be at least 1, got {features}")
    generator = np.random.default_rng(seed)
    shape = (math.ceil(features / head_width), head_width, head_width)
    directions, triangle = np.linalg.qr(generator.standard_normal(shape))
    # QR fixes the signs; multiplying by those of the diagonal makes the directions uniform again.
    directions = directions * np.sign(np.diagonal(triangle, axis1=-2, axis2=-1))[:, None, :]
    lengths = np.linalg.norm(generator.standard_normal(shape), axis=1)
    columns = (directions * lengths[:, None, :]).transpose(1, 0, 2).reshape(head_width, -1)
    return np.ascontiguousarray(columns[:, :features])
