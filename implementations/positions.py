"""Numbers of positions that are the same on every framework: bases, ALiBi's slopes, T5's buckets, sinusoids.

Papers: Vaswani and others 2017, arXiv:1706.03762, section 3.5 (sinusoids); Su and others 2021,
arXiv:2104.09864, section 3.4.2 (rotary); Press and others 2022, arXiv:2108.12409, section 3 (ALiBi);
Raffel and others 2020, arXiv:1910.10683, section 2.1 (T5).
"""

import math

import numpy as np
from numpy.typing import NDArray

LONGEST_WAVE = 10_000.0
"""Wavelengths of sinusoids reach from 2 pi to almost this times 2 pi."""

ROTARY_BASE = 10_000.0
"""Pair c of a head of width d is turned by ROTARY_BASE^(-2c / d) a position."""

T5_BUCKETS, T5_FARTHEST = 32, 128
"""How many buckets there are, and the distance from which on all share the last."""


def sinusoids(length: int, width: int) -> NDArray[np.float64]:
    """The rows of the first `length` positions; with an odd width the last sine has no cosine."""
    angles = np.arange(length)[:, None] * LONGEST_WAVE ** (-np.arange(0, width, 2) / width)
    pairs = np.stack((np.sin(angles), np.cos(angles)), axis=-1)
    return pairs.reshape(length, -1)[:, :width]


def rotary_pairs(width: int) -> int:
    """How many pairs of channels turn; raises ValueError for an odd width, whose last has no partner."""
    if width % 2:
        raise ValueError(f"rotary positions need an even head width, got {width}")
    return width // 2


def alibi_slopes(heads: int) -> list[float]:
    """The paper's slopes: 2^(-8 h / H) for a power of two; else those of the next lower and of every
    other one of the next higher power."""
    lower = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (head + 1) / lower) for head in range(lower)]
    between = [2 ** (-4 * (head + 1) / lower) for head in range(0, 2 * (heads - lower), 2)]
    return slopes + between
