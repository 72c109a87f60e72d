"""White-box attacks on image classifiers along the loss's gradient.

`fgsm` is one step of the budget's size along the sign of the cross-entropy's gradient (Goodfellow, Shlens
and Szegedy 2015, arXiv:1412.6572). `pgd` is projected gradient descent (Madry et al. 2018,
arXiv:1706.06083): from a random place in the ball `STEPS` steps along the gradient's sign (Linf) or the
normalised gradient (L2), each followed by the projection back, from each of `RESTARTS` places. A step is
2.5 times the budget over the number of steps, Madry et al.'s rule: far enough to cross the ball from any
start and then to walk along its surface. Every place met is judged, and an image is broken by the first
that the victim tells wrong.

Restarts climb two losses in turn, both of which Madry et al. try: the cross-entropy, and the margin by
which the best wrong class lies above the right one (Carlini and Wagner 2017, arXiv:1608.04644). With
several classes they lead to different corners, and the margin's gradient does not vanish where a sure
model's softmax saturates. It is the difference of two cross-entropies' gradients, that of the right class
less that of the wrong one, in which the normalising term drops out.

For a linear model of two classes FGSM, and PGD with it, is the exact worst case. Where gradients vanish
otherwise (a quantised input) both stay where they are, which their candidates and the gates then show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from suites.attacks.image_search import AttackedImages, Images, Norm, Search, sizes
from suites.attacks.victim import Victim

Loss: TypeAlias = Callable[[Search, np.ndarray, np.ndarray], np.ndarray]
"""The gradient of a loss at points of the images at places."""

STEPS = 20
RESTARTS = 2
REACH = 2.5
PGD_SEED = 0x96D


def fgsm(victim: Victim, images: Images, budget: float) -> AttackedImages:
    """One step of `budget` along the sign of each pixel's gradient."""
    search = Search(victim, images, "linf", budget)
    places = search.places()
    if places.size:
        originals = images.inputs[places]
        step = budget * np.sign(search.gradient(places, originals, images.labels[places]))
        search.judge(places, search.bounded(places, originals + step))
    return search.outcome("fgsm", "white_box")


def pgd(
    victim: Victim,
    images: Images,
    norm: Norm,
    budget: float,
    *,
    seed: int = 0,
    steps: int = STEPS,
    restarts: int = RESTARTS,
) -> AttackedImages:
    """`steps` steps from each of `restarts` random places, for the images that still stand.

    The places depend on `seed` and the number of the image alone, so that all variants start from the same.
    """
    search = Search(victim, images, norm, budget)
    chance = np.random.default_rng((PGD_SEED, seed))
    for restart in range(restarts):
        starts = images.inputs + within_ball(chance, images.inputs.shape, norm, budget)
        _climb(search, starts, REACH * budget / steps, steps, LOSSES[restart % len(LOSSES)])
    return search.outcome(f"pgd_{norm}", "white_box")


def _cross_entropy(search: Search, places: np.ndarray, points: np.ndarray) -> np.ndarray:
    return search.gradient(places, points, search.images.labels[places])


def _margin(search: Search, places: np.ndarray, points: np.ndarray) -> np.ndarray:
    right, wrong = search.images.labels[places], search.rival[places]
    up, down = (search.gradient(places, points, labels) for labels in (right, wrong))
    difference: np.ndarray = up - down
    return difference


LOSSES = (_cross_entropy, _margin)


def _climb(search: Search, starts: np.ndarray, step: float, steps: int, loss: Loss) -> None:
    places = search.places()
    points = search.bounded(places, starts[places])
    for taken in range(steps + 1):
        if not places.size:
            return
        if taken:
            moved = points + step * uphill(loss(search, places, points), search.norm)
            points = search.bounded(places, moved)
        search.judge(places, points)
        standing = search.standing[places]
        places, points = places[standing], points[standing]


def uphill(gradient: np.ndarray, norm: Norm) -> np.ndarray:
    """The direction ``[n, time, patch_width]`` of size 1 in `norm` that raises the loss fastest, 0 where the
    gradient is."""
    if norm == "linf":
        signs: np.ndarray = np.sign(gradient)
        return signs
    length = sizes(gradient, norm)
    scaled: np.ndarray = gradient / np.where(length > 0, length, 1)[:, None, None]
    return scaled


def within_ball(chance: np.random.Generator, shape: tuple[int, ...], norm: Norm, budget: float) -> np.ndarray:
    """Perturbations drawn uniformly from the ball of `budget`."""
    if norm == "linf":
        return chance.uniform(-budget, budget, shape)
    direction = uphill(chance.standard_normal(shape), norm)
    radius = budget * chance.random(shape[0]) ** (1 / np.prod(shape[1:]))
    placed: np.ndarray = direction * radius[:, None, None]
    return placed
