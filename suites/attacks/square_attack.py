"""Square Attack (Andriushchenko et al. 2020, arXiv:1912.00049, algorithms 1 and 2, Linf): no gradient, only
answers.

The search starts at vertical stripes of the budget's size and proposes, query by query, one square at a
random place whose pixels are all moved to one corner of the ball, a sign for each channel; it keeps what
brings the best wrong class nearer to the right one (margin loss). The square's share of the image starts at
0.8, as the authors take for MNIST, and is halved on their schedule, rescaled from 10,000 queries to the
number allowed. What it breaks and a white-box attack does not, gradients hide.

Departures: `QUERIES` are 300 where the authors allow up to 20,000, which two cores do not; so it is weaker
than published. A proposal that changes nothing is turned round instead of drawn again.
"""

from __future__ import annotations

import numpy as np

from suites.attacks.image_search import AttackedImages, Images, Search
from suites.attacks.victim import Victim
from suites.tasks.patches import PatchLayout

QUERIES = 300
START_SHARE = 0.8
HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
SCHEDULE_LENGTH = 10_000
SQUARE_SEED = 0x50A


def square(
    victim: Victim,
    images: Images,
    layout: PatchLayout,
    budget: float,
    *,
    seed: int = 0,
    queries: int = QUERIES,
) -> AttackedImages:
    """At most `queries` forward passes an image; `layout` says how its pixels lie in tokens.

    Proposals depend on `seed` and the number of the image alone, so that all variants are asked the same
    until they answer differently.
    """
    search = Search(victim, images, "linf", budget)
    chance = np.random.default_rng((SQUARE_SEED, seed))
    originals = layout.to_image(images.inputs)
    count, side, channels = len(originals), layout.side, layout.channels
    current = _moved(originals, budget * _signs(chance, (count, 1, side, channels)))
    heights = np.full(count, -np.inf)
    for query in range(queries):
        places = search.places()
        if not places.size:
            break
        tried = current
        if query:
            tried = current.copy()
            tried[places] = _proposal(chance, originals, current, budget, side_at(query, queries, side))[
                places
            ]
        heights_now = search.judge(places, layout.from_image(tried[places]))
        better = places[heights_now > heights[places]]
        current[better] = tried[better]
        heights[places] = np.maximum(heights[places], heights_now)
    return search.outcome("square", "black_box")


def side_at(query: int, queries: int, side: int) -> int:
    """The square's side in pixels at a query from 1 on, of `queries`: at least 1, less than the image's."""
    progress = int(query / queries * SCHEDULE_LENGTH)
    share = START_SHARE / 2 ** sum(progress > place for place in HALVED_AFTER)
    return min(max(int(np.round(np.sqrt(share) * side)), 1), side - 1)


def _proposal(
    chance: np.random.Generator, originals: np.ndarray, current: np.ndarray, budget: float, width: int
) -> np.ndarray:
    """`current` with one square of `width` moved, in every image; all are drawn for, whoever still stands."""
    count, side, _, channels = originals.shape
    top, left = chance.integers(0, side - width + 1, (2, count, 1))
    signs = _signs(chance, (count, 1, 1, channels))
    pixels = np.arange(side)
    rows, columns = ((pixels >= start) & (pixels < start + width) for start in (top, left))
    inside = (rows[:, :, None] & columns[:, None, :])[..., None]
    proposed = np.where(inside, _moved(originals, budget * signs), current)
    idle = (proposed == current).all(axis=(1, 2, 3))
    turned = np.where(inside, _moved(originals, -budget * signs), current)
    return np.where(idle[:, None, None, None], turned, proposed)


def _moved(originals: np.ndarray, delta: np.ndarray) -> np.ndarray:
    moved: np.ndarray = np.clip(originals + delta, 0, 1).astype(np.float32)
    return moved


def _signs(chance: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return chance.choice(np.array([-1.0, 1.0]), shape)
