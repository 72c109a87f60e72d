"""What is known of a victim before any attack: does it repeat itself, is it any good, has it gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suites.attacks.victim import Victim


@dataclass(frozen=True, slots=True, kw_only=True)
class VictimFacts:
    """What gates ask about a victim on its test examples, before any attack.

    `repeat_difference` is the largest difference of logits between two passes, `repeat_changes` how many
    answers changed; `majority_share` the share of the most frequent label; `known_share` that of the tokens
    known (None without a vocabulary); `zero_gradients` the share of examples whose gradient is 0 everywhere
    (None where no gradient was asked for).
    """

    name: str
    repeat_difference: float
    repeat_changes: int
    classes_answered: int
    right: np.ndarray  # bool [n]
    majority_share: float
    known_share: float | None = None
    zero_gradients: float | None = None


def victim_facts(
    victim: Victim,
    inputs: Sequence[np.ndarray],
    labels: np.ndarray,
    *,
    known_share: float | None = None,
    gradients: bool = True,
) -> VictimFacts:
    """The facts, from two forward passes (the second in reverse order) and a backward one."""
    first = victim.logits(inputs)
    second = victim.logits([array[::-1] for array in inputs])[::-1]
    answers = first.argmax(axis=-1)
    return VictimFacts(
        name=victim.name,
        repeat_difference=float(np.abs(first - second).max()),
        repeat_changes=int((answers != second.argmax(axis=-1)).sum()),
        classes_answered=len(np.unique(answers)),
        right=answers == labels,
        majority_share=float(np.bincount(labels).max() / len(labels)),
        known_share=known_share,
        zero_gradients=_zero_gradients(victim, inputs, labels) if gradients else None,
    )


def _zero_gradients(victim: Victim, inputs: Sequence[np.ndarray], labels: np.ndarray) -> float:
    if np.issubdtype(inputs[0].dtype, np.floating):
        gradient = victim.loss_gradient(inputs, labels)[1]
    else:
        gradient = victim.embedded_loss_gradient(victim.embed(inputs[0]), inputs[1], labels)[1]
    # A gradient that is not a number leads nowhere either.
    largest = np.abs(gradient).reshape(len(labels), -1).max(axis=-1)
    return float(np.mean(~(largest > 0) | ~np.isfinite(largest)))
