"""Attacks on variants that draw at random: found with one draw, judged by the mean over others.

Random features and hashes make a model that answers differently each time it is drawn. An attack on one draw
may fit that draw alone, and a model that redraws would look robust to it; so what was found with the
randomness fixed is put to `DRAWS` fresh draws (Athalye et al. 2018, on stochastic gradients).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from suites.attacks.victim import Victim

DRAWS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Shares of draws ``[n]`` in which an example is right: untouched, and untouched as well as attacked."""

    clean: np.ndarray
    attacked: np.ndarray
    draws: int


def expectation(
    victim: Victim,
    labels: np.ndarray,
    clean: Callable[[], np.ndarray],
    attacked: Callable[[], np.ndarray],
    seeds: Sequence[int] = tuple(range(1, DRAWS + 1)),
) -> Expectation:
    """`clean` and `attacked` answer the victim's logits ``[n, classes]`` as it is drawn when they are called.

    The victim is left with the last draw.

    Raises:
        ValueError: the victim draws nothing, or there is no seed.
    """
    if not victim.draws:
        raise ValueError(f"{victim.name} has no randomness to draw anew")
    if not seeds:
        raise ValueError("an expectation takes at least one draw")
    before, after = [], []
    for seed in seeds:
        victim.redraw(seed)
        before.append(clean().argmax(axis=-1) == labels)
        after.append(before[-1] & (attacked().argmax(axis=-1) == labels))
    return Expectation(clean=np.mean(before, axis=0), attacked=np.mean(after, axis=0), draws=len(seeds))
