"""Does a classifier show that it is asked about something else than it was trained on?

A score of the logits should be high on the test set and low elsewhere: the largest softmax probability
(Hendrycks and Gimpel 2017, arXiv:1610.02136), or the negative energy log sum exp(logits) at temperature 1
(Liu et al. 2020, arXiv:2010.03759). How well it tells the two apart is said by the area under the ROC curve
(0.5 is a coin, ties count half) and by the share of foreign inputs taken for one's own at the threshold
that takes 95% of one's own.

Elsewhere is, for grey images: `inverted` (white for black), `rotated` (by a quarter turn), `uniform_noise`,
and `photographs`, grey pieces of the test scenes of `suites.tasks.photographs` at the images' size. A
rotated digit may be another digit, or itself: nothing tells 0 apart, so less than a perfect area is right
there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import special, stats

from suites.tasks.patches import PatchLayout
from suites.tasks.photographs import TEST_SCENES, choose, cut_scenes, grey

Score: TypeAlias = Callable[[np.ndarray], np.ndarray]

KEPT = 0.95
NOISE_SEED = 0x00D


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """How one score tells the test set from one other set; the scores themselves, higher on one's own
    side."""

    score: str
    elsewhere: str
    inside: np.ndarray
    outside: np.ndarray
    auroc: float
    fpr_at_95: float


def max_probability(logits: np.ndarray) -> np.ndarray:
    """The largest softmax probability's logarithm ``[n]``: the same order, without ties where it rounds to
    1."""
    gaps = np.sort(logits.astype(np.float64), axis=-1)
    gaps -= gaps[:, -1:]
    logarithm: np.ndarray = -np.log1p(np.exp(gaps[:, :-1]).sum(axis=-1))
    return logarithm


def negative_energy(logits: np.ndarray) -> np.ndarray:
    """log sum exp of the logits ``[n]``."""
    summed: np.ndarray = special.logsumexp(logits.astype(np.float64), axis=-1)
    return summed


SCORES: Mapping[str, Score] = {"max_probability": max_probability, "energy": negative_energy}


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """The chance that an inside score is above an outside one, ties counting half (Mann and Whitney)."""
    ranks = stats.rankdata(np.concatenate([inside, outside]))
    wins = ranks[: len(inside)].sum() - len(inside) * (len(inside) + 1) / 2
    return float(wins / (len(inside) * len(outside)))


def fpr_at(inside: np.ndarray, outside: np.ndarray, kept: float = KEPT) -> float:
    """The share of outside scores at or above the highest threshold that keeps at least `kept` of the
    inside."""
    # The rounding is for 0.05 * 20, which is not quite 1.
    threshold = np.sort(inside)[int(np.floor(np.round((1 - kept) * len(inside), 9)))]
    return float(np.mean(outside >= threshold))


def detection(name: str, elsewhere: str, inside: np.ndarray, outside: np.ndarray) -> Detection:
    """How the score `name` of logits ``[n, classes]`` and ``[m, classes]`` tells the two sets apart.

    Raises ArithmeticError where a logit is not finite, ValueError where a set is empty.
    """
    for logits in (inside, outside):
        if not np.isfinite(logits).all():
            raise ArithmeticError("detection needs logits that are finite")
        if not len(logits):
            raise ValueError(f"there is nothing to tell the test set and {elsewhere} apart on")
    own, foreign = SCORES[name](inside), SCORES[name](outside)
    return Detection(
        score=name,
        elsewhere=elsewhere,
        inside=own,
        outside=foreign,
        auroc=auroc(own, foreign),
        fpr_at_95=fpr_at(own, foreign),
    )


def inverted(tokens: np.ndarray) -> np.ndarray:
    """White for black, in float32."""
    return np.float32(1) - tokens


def rotated(tokens: np.ndarray, layout: PatchLayout) -> np.ndarray:
    """The images a quarter turn to the left."""
    return layout.from_image(np.rot90(layout.to_image(tokens), axes=(1, 2)))


def uniform_noise(tokens: np.ndarray, seed: int = 0) -> np.ndarray:
    """As many images of independent pixels between 0 and 1, in float32."""
    return np.random.default_rng((NOISE_SEED, seed)).random(tokens.shape, np.float32)


def photographs(layout: PatchLayout, count: int) -> np.ndarray:
    """At most `count` grey pieces of photographs, from the scenes in turn, as tokens.

    Raises DataMissing where the packages that carry them are not installed, ValueError for images in colour.
    """
    if layout.channels != 1:
        raise ValueError(f"photographs in grey have one channel, the images {layout.channels}")
    return layout.from_image(grey(choose(cut_scenes(TEST_SCENES, layout.side), count)))
