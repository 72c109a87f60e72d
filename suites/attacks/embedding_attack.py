"""White-box attacks in embedding space: each token's vector may move within an L2 ball.

The ball's radius is `size` times the mean norm of the embedded tokens, so that variants whose embeddings
differ in scale are attacked alike. No word need lie where a vector ends.

- ``pgd_embedding`` ascends the cross-entropy along each token's own normalised gradient and projects back on
  the ball (projected gradient descent, Madry et al. 2018, section 2.1; in embedding space: Miyato et al.
  2017).
- ``spsa_embedding`` has no gradient but what differences of the logits tell (Spall 1992; as a test for masked
  gradients: Uesato et al. 2018): where it beats PGD, gradients are masked.
- ``random_embedding`` is one random step to the ball's surface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from suites.attacks.outcome import Attacked, Kind
from suites.attacks.victim import Victim

SIZES = (0.05, 0.1, 0.2, 0.4)
STEPS = 20
RESTARTS = 2
# 2.5 radii in all: enough to cross the ball and to walk along its surface (Madry et al. 2018).
REACH = 2.5
# Pairs of passes a step of SPSA.
DIRECTIONS = 8
PROBE = 0.5  # of the radius: far enough for the difference to stand out from rounding
UNIT = "embedding l2"
FAMILY = "embedding"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackedEmbeddings:
    """An outcome, and the embedded tokens ``[n, time, width]`` that it ended with, changed or not."""

    attacked: Attacked
    embedded: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Embedded test tokens ``[n, time, width]``, their padding and labels, and which the victim has right."""

    embedded: np.ndarray
    padding: np.ndarray
    labels: np.ndarray
    right: np.ndarray
    norm: float  # the mean L2 norm of a real token

    def only(self, chosen: np.ndarray) -> Tokens:
        """The chosen examples; the norm stays that of all."""
        return Tokens(
            embedded=self.embedded[chosen],
            padding=self.padding[chosen],
            labels=self.labels[chosen],
            right=self.right[chosen],
            norm=self.norm,
        )


def embedded_tokens(victim: Victim, tokens: np.ndarray, padding: np.ndarray, labels: np.ndarray) -> Tokens:
    """The tokens ``[n, time]`` as the victim embeds them."""
    embedded = victim.embed(tokens)
    right = victim.logits_of_embedded(embedded, padding).argmax(axis=-1) == labels
    norm = float(np.linalg.norm(embedded, axis=-1)[padding].mean())
    return Tokens(embedded=embedded, padding=padding, labels=labels, right=right, norm=norm)


# How badly off the victim is at a perturbation, which way that grows, and the forward passes it took to know.
Look: TypeAlias = tuple[np.ndarray, np.ndarray, int]
Scout: TypeAlias = Callable[[Victim, Tokens, np.ndarray, float, np.random.Generator], Look]


def pgd(victim: Victim, tokens: Tokens, size: float, *, seed: int = 0) -> AttackedEmbeddings:
    """`STEPS` steps from each of `RESTARTS` random places in the ball; the worst place met counts."""
    return _climb(victim, tokens, size, _PGD, RESTARTS, seed)


def spsa(victim: Victim, tokens: Tokens, size: float, *, seed: int = 0) -> AttackedEmbeddings:
    """The same climb from one random place, along directions estimated from forward passes alone."""
    return _climb(victim, tokens, size, _SPSA, 1, seed)


def random_step(victim: Victim, tokens: Tokens, size: float, *, seed: int = 0) -> AttackedEmbeddings:
    """Every token moved to the ball's surface, in a random direction that the seed alone decides."""
    drawn = np.random.default_rng(seed).standard_normal(tokens.embedded.shape).astype(np.float32)
    delta = _masked(_unit(drawn) * size * tokens.norm, tokens)
    once = np.ones(len(tokens.labels), dtype=int)
    return _outcome(victim, tokens, size, delta, once, once, "random_embedding", "random")


def _by_gradient(
    victim: Victim, tokens: Tokens, delta: np.ndarray, radius: float, chance: np.random.Generator
) -> Look:
    loss, gradient = victim.embedded_loss_gradient(tokens.embedded + delta, tokens.padding, tokens.labels)
    if not np.isfinite(gradient).all():
        raise ArithmeticError(f"{victim.name} answered a gradient that is not finite")
    return loss, gradient, 1


def _by_differences(
    victim: Victim, tokens: Tokens, delta: np.ndarray, radius: float, chance: np.random.Generator
) -> Look:
    rise = np.zeros_like(delta)
    for _ in range(DIRECTIONS):
        signs = chance.choice(np.array([-1, 1], dtype=np.float32), size=delta.shape)
        probe = _masked(_unit(signs) * radius * PROBE, tokens)
        gain = _margin(victim, tokens, delta + probe) - _margin(victim, tokens, delta - probe)
        rise += gain[:, None, None] * probe
    return _margin(victim, tokens, delta), rise, 2 * DIRECTIONS + 1


def _margin(victim: Victim, tokens: Tokens, delta: np.ndarray) -> np.ndarray:
    """The best wrong logit less the right one ``[n]``: above 0 where fooled, and never saturated."""
    logits = victim.logits_of_embedded(tokens.embedded + delta, tokens.padding).astype(np.float64)
    if not np.isfinite(logits).all():
        raise ArithmeticError(f"{victim.name} answered logits that are not finite")
    rows = np.arange(len(logits))
    right = logits[rows, tokens.labels]
    logits[rows, tokens.labels] = -np.inf
    margin: np.ndarray = logits.max(axis=-1) - right
    return margin


@dataclass(frozen=True, slots=True)
class _Way:
    attack: str
    kind: Kind
    scout: Scout


_PGD = _Way("pgd_embedding", "white_box", _by_gradient)
_SPSA = _Way("spsa_embedding", "black_box", _by_differences)


def _climb(
    victim: Victim, tokens: Tokens, size: float, way: _Way, restarts: int, seed: int
) -> AttackedEmbeddings:
    chance = np.random.default_rng(seed)
    delta = np.zeros_like(tokens.embedded)
    queries, candidates = (np.zeros(len(tokens.labels), dtype=int) for _ in range(2))
    standing = tokens.right.copy()
    for _ in range(restarts):
        start = _within(
            chance.standard_normal(delta.shape), chance.random(delta.shape[:2]), size * tokens.norm
        )
        places = np.flatnonzero(standing)
        if not places.size:
            break
        here = tokens.only(places)
        worst, passes, moves = _ascend(
            victim, here, _masked(start[places], here), size * tokens.norm, way, chance
        )
        delta[places] = worst
        queries[places] += passes + 1  # and one for the verdict
        candidates[places] += moves
        standing[places] = _margin(victim, here, worst) <= 0
    return _outcome(victim, tokens, size, delta, queries, candidates, way.attack, way.kind)


def _ascend(
    victim: Victim, tokens: Tokens, delta: np.ndarray, radius: float, way: _Way, chance: np.random.Generator
) -> tuple[np.ndarray, int, np.ndarray]:
    """The worst place met, the forward passes and the different places tried, from one start."""
    worst, height = delta.copy(), np.full(len(delta), -np.inf)
    passes, moves = 0, np.ones(len(delta), dtype=int)
    for step in range(STEPS + 1):
        badness, rise, spent = way.scout(victim, tokens, delta, radius, chance)
        passes += spent
        higher = badness > height
        worst[higher], height[higher] = delta[higher], badness[higher]
        if step < STEPS:
            moved = _project(delta + _masked(_unit(rise), tokens) * radius * REACH / STEPS, radius)
            moves += (moved != delta).any(axis=(1, 2))
            delta = moved
    return worst, passes, moves


def _outcome(
    victim: Victim,
    tokens: Tokens,
    size: float,
    delta: np.ndarray,
    queries: np.ndarray,
    candidates: np.ndarray,
    attack: str,
    kind: Kind,
) -> AttackedEmbeddings:
    kept = tokens.right
    delta = np.where(kept[:, None, None], delta, 0).astype(tokens.embedded.dtype)
    embedded = tokens.embedded + delta
    answers = victim.logits_of_embedded(embedded, tokens.padding).argmax(axis=-1)
    attacked = Attacked(
        attack=attack,
        kind=kind,
        family=FAMILY,
        budget=size,
        unit=UNIT,
        right_before=kept,
        right_after=kept & (answers == tokens.labels),
        queries=np.where(kept, queries, 0),
        changed=np.linalg.norm(delta, axis=-1).max(axis=-1) / tokens.norm,
        candidates=np.where(kept, candidates, 0),
    )
    return AttackedEmbeddings(attacked=attacked, embedded=embedded)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Each token's vector at length 1, or 0 where it is 0."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: np.ndarray = vectors / np.where(norms > 0, norms, 1)
    return scaled


def _project(delta: np.ndarray, radius: float) -> np.ndarray:
    norms = np.linalg.norm(delta, axis=-1, keepdims=True)
    scaled: np.ndarray = delta * np.minimum(1, radius / np.where(norms > 0, norms, 1))
    return scaled


def _within(drawn: np.ndarray, shares: np.ndarray, radius: float) -> np.ndarray:
    inside: np.ndarray = _unit(drawn) * shares[:, :, None] * radius
    return inside


def _masked(delta: np.ndarray, tokens: Tokens) -> np.ndarray:
    """Nothing moves at padding, where a model must not look anyway."""
    return np.where(tokens.padding[:, :, None], delta, 0).astype(np.float32)
