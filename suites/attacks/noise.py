"""The control of attacks on images: a random perturbation as large as theirs, which knows nothing of the
victim.

In Linf every pixel moves by the budget up or down; in L2 all move along a random direction, as far as it
takes for what is left after clipping to 0 to 1 to have the budget's norm. An attack that is no stronger
than this found nothing.
"""

from __future__ import annotations

import numpy as np

from suites.attacks.gradient_attacks import uphill
from suites.attacks.image_search import AttackedImages, Images, Norm, Search, sizes
from suites.attacks.victim import Victim

NOISE_SEED = 0x401
# Doublings of a bracket and halvings in it: to float64's digits, wherever pixels are clipped.
BRACKET, HALVINGS = 2.0**10, 60


def random_noise(
    victim: Victim, images: Images, norm: Norm, budget: float, *, seed: int = 0, draws: int = 1
) -> AttackedImages:
    """`draws` perturbations of exactly `budget`, drawn from `seed` and the number of the image alone."""
    search = Search(victim, images, norm, budget)
    chance = np.random.default_rng((NOISE_SEED, seed))
    for _ in range(draws):
        drawn = chance.standard_normal(images.inputs.shape)
        places = search.places()
        if not places.size:
            break
        originals = images.inputs[places]
        delta = budget * np.sign(drawn) if norm == "linf" else _of_size(uphill(drawn, norm), images, budget)
        search.judge(places, search.bounded(places, originals + delta[places]))
    return search.outcome(f"random_{norm}", "random")


def _of_size(direction: np.ndarray, images: Images, budget: float) -> np.ndarray:
    """Perturbations along `direction` (L2 norm 1) that after clipping have the norm `budget`, or as near as
    there is room for."""
    low, high = np.zeros(len(direction)), np.full(len(direction), BRACKET * budget)
    clipped = np.empty_like(direction)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        clipped = np.clip(images.inputs + direction * middle[:, None, None], 0, 1) - images.inputs
        short = sizes(clipped, "l2") < budget
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return clipped
