"""The texts that an attack found, beside what they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suites.attacks.outcome import Attacked
from suites.attacks.text_subject import TextSubject
from suites.attacks.victim import Victim


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackedTexts:
    """An outcome and its texts ``[n]``: the one that fooled the victim, or else the text as it was.

    A random perturbation's text stands there whether it fooled the victim or not.
    """

    attacked: Attacked
    texts: tuple[str, ...]

    def fooled(self) -> np.ndarray:
        """Where the attack turned a right answer into a wrong one, bool ``[n]``."""
        fooled: np.ndarray = self.attacked.right_before & ~self.attacked.right_after
        return fooled


def verdict(victim: Victim, subject: TextSubject, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Right before and right after, each of one forward pass over all texts.

    So a success counts when it shows again outside the search that found it, and an answer that was wrong
    already stays wrong.
    """
    before = subject.right(victim, subject.texts)
    after: np.ndarray = before & subject.right(victim, texts)
    return before, after


def changed_share(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """The share of words, between spaces, that differ; float ``[n]``. Attacks here keep their number."""
    return np.array(
        [
            np.mean([a != b for a, b in zip(text.split(" "), other.split(" "), strict=True)])
            for text, other in zip(texts, others, strict=True)
        ]
    )
