"""Attention rollout: how much of each input token is in each position after all layers.

    A_l = W_l / 2 + I / 2;   R = A_L … A_2 A_1

W_l is a layer's weights averaged over heads, the identity stands for the residual connection. Paper: Abnar
and Zuidema 2020, arXiv:2005.00928, section 3.

Departures, for rows that are not those of a softmax: weights count by their absolute value, and each row is
brought to sum 1 before the identity is added, as the paper does after it. A query that sees nothing (a
padded one, or one without any weight) keeps itself. For softmax rows none of this changes anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def rollout(rows: np.ndarray) -> np.ndarray:
    """``[n, time, time]`` from weights ``[layers, n, heads, time, time]``; each row sums to 1.

    Raises ValueError for another number of axes or matrices that are not square.
    """
    if rows.ndim != 5 or rows.shape[-1] != rows.shape[-2]:
        raise ValueError(f"rows must have shape [layers, n, heads, time, time], got {list(rows.shape)}")
    one = np.eye(rows.shape[-1])
    rolled = np.broadcast_to(one, (rows.shape[1], *one.shape))
    for layer in rows:
        weights = np.abs(layer).mean(axis=1)
        totals = weights.sum(axis=-1, keepdims=True)
        mixed = np.where(totals > 0, weights / np.where(totals > 0, totals, 1.0), one)
        rolled = (mixed + one) / 2 @ rolled
    return rolled


def importance(layers: Sequence[np.ndarray], padding: np.ndarray) -> np.ndarray:
    """``[n, time]``: the share of each token in the mean over real positions, which the head reads.

    `layers` are rows ``[n, heads, time, time]``, from the first layer on; padded tokens get 0. The shares of
    an example sum to 1.
    """
    rolled = rollout(np.stack([np.asarray(rows, np.float64) for rows in layers]))
    read = rolled * padding[:, :, None]
    shares: np.ndarray = read.sum(axis=1) / np.maximum(padding.sum(axis=1), 1)[:, None]
    return np.where(padding, shares, 0.0)
