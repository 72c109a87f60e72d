"""What attacks on image classifiers share: the images, the size of a perturbation, and the record of a
search.

A perturbed image stays in 0 to 1 and within the budget of the original, both at once. Images that the victim
has wrong already are not attacked. Budgets are searched one by one, nothing is carried from a smaller one to
a larger: that a larger one does no less is left for the gates to see. The verdict is a last forward pass over
what the search ended with, so that a success that only one batch's rounding made is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from suites.attacks.outcome import Attacked, Kind
from suites.attacks.victim import Victim

Norm: TypeAlias = Literal["linf", "l2"]

# MNIST's customary size is 0.3 (Madry et al. 2018), for models trained against attacks. Plainly trained ones
# have fallen at 0.05: the smaller sizes tell variants apart, at 0.3 nothing may stand.
LINF_BUDGETS = (0.01, 0.02, 0.05, 0.1, 0.3)
# A 28×28 digit has a norm of about 9; 1.5 to 2 is customary, and a Linf of 0.01 everywhere is 0.28.
L2_BUDGETS = (0.1, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Tokens of test images ``[n, time, patch_width]`` (float32, 0 to 1), labels, and which are right."""

    inputs: np.ndarray
    labels: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackedImages:
    """An outcome, and the tokens ``[n, time, patch_width]`` that it ended with, changed or not: of an image
    that held, the one that came nearest to another answer."""

    attacked: Attacked
    inputs: np.ndarray


def images_of(victim: Victim, inputs: Sequence[np.ndarray], labels: np.ndarray) -> Images:
    """The images as the victim answers them; raises ValueError for pixels outside 0 to 1."""
    tokens = np.asarray(inputs[0], dtype=np.float32)
    if not ((tokens >= 0) & (tokens <= 1)).all():
        raise ValueError("attacks on images need pixels in 0 to 1")
    answers = finite_logits(victim, tokens).argmax(axis=-1)
    return Images(inputs=tokens, labels=labels, right=answers == labels)


def finite_logits(victim: Victim, tokens: np.ndarray) -> np.ndarray:
    """The victim's logits ``[n, classes]`` in float64; raises ArithmeticError where one is not finite."""
    logits = victim.logits((tokens,)).astype(np.float64)
    if not np.isfinite(logits).all():
        raise ArithmeticError(f"{victim.name} answered logits that are not finite")
    return logits


def sizes(delta: np.ndarray, norm: Norm) -> np.ndarray:
    """The norm of each perturbation ``[n, …]``, in float64."""
    inside = tuple(range(1, delta.ndim))
    size = np.abs(delta.astype(np.float64))
    found: np.ndarray = size.max(axis=inside) if norm == "linf" else np.sqrt((size**2).sum(axis=inside))
    return found


def bounded(points: np.ndarray, originals: np.ndarray, norm: Norm, budget: float) -> np.ndarray:
    """`points` pulled back into the ball around `originals`, then into 0 to 1, which leads no further out."""
    delta = points.astype(np.float64) - originals
    if norm == "linf":
        delta = np.clip(delta, -budget, budget)
    else:
        length = sizes(delta, norm)
        delta *= np.minimum(1, budget / np.where(length > 0, length, 1))[:, None, None]
    inside: np.ndarray = np.clip(originals + delta, 0, 1).astype(np.float32)
    return inside


class Search:
    """One attack's way through perturbed images: each is judged as it is met, what broke is left alone."""

    def __init__(self, victim: Victim, images: Images, norm: Norm, budget: float) -> None:
        if not budget > 0:
            raise ValueError(f"the budget of an attack must be above 0, got {budget}")
        self.victim, self.images, self.norm, self.budget = victim, images, norm, budget
        self.standing = images.right.copy()
        self.queries = np.zeros(len(images.labels), dtype=np.int64)
        self.candidates = np.zeros(len(images.labels), dtype=np.int64)
        # The best wrong class of each image at the last point that was judged.
        self.rival = images.labels.copy()
        self._worst = images.inputs.copy()
        self._height = np.full(len(images.labels), -np.inf)
        self._last = images.inputs.copy()

    def places(self) -> np.ndarray:
        """The numbers of the images that still stand."""
        return np.flatnonzero(self.standing)

    def bounded(self, places: np.ndarray, points: np.ndarray) -> np.ndarray:
        """`points` within the budget of the images at `places`."""
        return bounded(points, self.images.inputs[places], self.norm, self.budget)

    def judge(self, places: np.ndarray, points: np.ndarray) -> np.ndarray:
        """How far the best wrong class lies above the right one ``[places]``, for one forward pass each."""
        logits, rows = finite_logits(self.victim, points), np.arange(len(places))
        broken = logits.argmax(axis=-1) != self.images.labels[places]
        right = logits[rows, self.images.labels[places]]
        logits[rows, self.images.labels[places]] = -np.inf
        self.rival[places] = logits.argmax(axis=-1)
        margins: np.ndarray = logits.max(axis=-1) - right
        self._remember(places, points, margins, broken)
        return margins

    def _remember(
        self, places: np.ndarray, points: np.ndarray, margins: np.ndarray, broken: np.ndarray
    ) -> None:
        self.queries[places] += 1
        moved = _differ(points, self._last[places]) & _differ(points, self.images.inputs[places])
        self.candidates[places] += moved
        self._last[places] = points
        higher = broken | (margins > self._height[places])
        self._worst[places[higher]] = points[higher]
        self._height[places[higher]] = margins[higher]
        self.standing[places[broken]] = False

    def gradient(self, places: np.ndarray, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The gradient (float64) by `points` of the cross-entropy with `labels`, for one pass each.

        Raises ArithmeticError where it is not finite.
        """
        self.queries[places] += 1
        _, gradient = self.victim.loss_gradient((points,), labels)
        if not np.isfinite(gradient).all():
            raise ArithmeticError(f"{self.victim.name} answered a gradient that is not finite")
        # The squares of a confident model's gradients vanish in float32.
        return gradient.astype(np.float64)

    def outcome(self, attack: str, kind: Kind) -> AttackedImages:
        """What the attack did; `changed` is the perturbation's norm where the image was attacked."""
        return outcome(
            self.victim,
            self.images,
            self._worst,
            Attacked(
                attack=attack,
                kind=kind,
                family=self.norm,
                budget=self.budget,
                unit=self.norm,
                right_before=self.images.right,
                right_after=self.images.right,
                queries=self.queries,
                changed=sizes(self._worst - self.images.inputs, self.norm),
                candidates=self.candidates,
            ),
        )


def outcome(victim: Victim, images: Images, points: np.ndarray, tried: Attacked) -> AttackedImages:
    """`tried` with the verdict of one more forward pass over `points`; nothing where it was wrong before."""
    places = np.flatnonzero(images.right)
    after = np.zeros_like(images.right)
    if places.size:
        answers = finite_logits(victim, points[places]).argmax(axis=-1)
        after[places] = answers == images.labels[places]
    kept = images.right
    attacked = replace(
        tried,
        right_after=after,
        queries=np.where(kept, tried.queries + 1, 0),
        changed=np.where(kept, tried.changed, 0.0),
        candidates=np.where(kept, tried.candidates, 0),
    )
    ends = np.where(kept[:, None, None], points, images.inputs)
    return AttackedImages(attacked=attacked, inputs=ends)


def _differ(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    different: np.ndarray = (one != other).any(axis=(1, 2))
    return different
