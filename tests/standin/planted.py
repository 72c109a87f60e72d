"""Planted victims in NumPy: classifiers whose robustness is known, for attacks and gates to be held against.

Texts are of a small made-up language of reviews. A bag of words adds up one vector a word; what makes a
victim weak or robust is which words carry the label.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from suites.attacks.text_subject import TextSubject
from suites.tasks.texts import FIRST_WORD

GOOD = ("wonderful", "moving", "clever", "bright", "honest", "graceful", "funny")
BAD = ("dreadful", "boring", "clumsy", "bleak", "phony", "tedious", "stale")
# What a text of the one and of the other label is about: a weak hint, which points the wrong way.
ABOUT_GOOD = ("film", "story", "actor", "scene", "camera", "music", "ending", "script", "picture")
ABOUT_BAD = ("evening", "drama", "plot", "cinema", "voice", "light", "title", "sequel", "theatre")
# Function words, which no attack may touch: they carry a second, redundant sign of the label.
FOR, AGAINST = "with", "without"
VOCABULARY = (*GOOD, *BAD, *ABOUT_GOOD, *ABOUT_BAD, FOR, AGAINST, "the", "a", "is", "and")
WEAK = {
    **dict(zip(GOOD, np.linspace(0.7, 1.3, 7).tolist(), strict=True)),
    **dict(zip(BAD, np.linspace(-0.7, -1.3, 7).tolist(), strict=True)),
    **dict.fromkeys(ABOUT_GOOD, -0.15),
    **dict.fromkeys(ABOUT_BAD, 0.15),
}
LENGTH = 17
WIDTH = 5


def reviews(count: int, seed: int = 0) -> TextSubject:
    """As many texts of each label as of the other: eight words about, two of praise or blame, and a sign."""
    chance, texts = random.Random(seed), []
    labels = np.arange(count) % 2
    for label in labels:
        about, tone, sign = (ABOUT_GOOD, GOOD, FOR) if label else (ABOUT_BAD, BAD, AGAINST)
        words = [*chance.sample(about, 8), *chance.sample(tone, 2), sign]
        chance.shuffle(words)
        texts.append(" ".join(words))
    return TextSubject(texts=tuple(texts), labels=labels, vocabulary=VOCABULARY, max_length=LENGTH)


class BagOfWords:
    """Two logits from the mean of word vectors, of which each word has `weights` along one direction."""

    draws = False
    classes = 2

    def __init__(self, weights: dict[str, float], *, name: str = "planted@numpy", seed: int = 0) -> None:
        self.name = name
        drawn = np.random.default_rng(seed)
        self.direction = np.zeros(WIDTH, dtype=np.float32)
        self.direction[0] = 1
        # Along the other directions vectors differ and say nothing.
        self.table = drawn.standard_normal((len(VOCABULARY) + FIRST_WORD, WIDTH)).astype(np.float32)
        self.table[:, 0] = 0
        for word, weight in weights.items():
            self.table[FIRST_WORD + VOCABULARY.index(word), 0] = weight

    def logits(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return self.logits_of_embedded(self.embed(inputs[0]), inputs[1])

    def embed(self, tokens: np.ndarray) -> np.ndarray:
        return self.table[tokens]

    def logits_of_embedded(self, embedded: np.ndarray, padding: np.ndarray) -> np.ndarray:
        mean = np.where(padding[:, :, None], embedded, 0).sum(axis=1) / padding.sum(axis=1, keepdims=True)
        score = 10 * (mean @ self.direction)
        return np.stack([-score, score], axis=-1)

    def embedded_loss_gradient(
        self, embedded: np.ndarray, padding: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        logits = self.logits_of_embedded(embedded, padding).astype(np.float64)
        likely = np.exp(logits - logits.max(axis=-1, keepdims=True))
        likely /= likely.sum(axis=-1, keepdims=True)
        rows = np.arange(len(labels))
        off = likely - np.eye(2)[labels]
        by_score = 10 * (off[:, 1] - off[:, 0]) / padding.sum(axis=1)
        gradient = by_score[:, None, None] * self.direction * padding[:, :, None]
        return -np.log(likely[rows, labels]), gradient.astype(np.float32)

    def loss_gradient(
        self, inputs: Sequence[np.ndarray], labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        raise TypeError("tokens have no gradient")

    def redraw(self, seed: int) -> None:
        raise ValueError("nothing is drawn here")


def weak() -> BagOfWords:
    """Praise and blame count, which every attack may change: without one or both words the hint wins."""
    return BagOfWords(WEAK, name="weak@numpy")


def robust() -> BagOfWords:
    """Only a function word counts, which no attack may change."""
    return BagOfWords({FOR: 1.0, AGAINST: -1.0}, name="robust@numpy")


class Masked(BagOfWords):
    """As weak as `weak`, with gradients that say nothing."""

    def embedded_loss_gradient(
        self, embedded: np.ndarray, padding: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        loss, gradient = super().embedded_loss_gradient(embedded, padding, labels)
        return loss, np.zeros_like(gradient)


class Misleading(BagOfWords):
    """As weak as `weak`, with gradients that lead away from its weakness."""

    def embedded_loss_gradient(
        self, embedded: np.ndarray, padding: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        loss, gradient = super().embedded_loss_gradient(embedded, padding, labels)
        return loss, -gradient


class Constant(BagOfWords):
    """Always the first class."""

    def logits_of_embedded(self, embedded: np.ndarray, padding: np.ndarray) -> np.ndarray:
        logits = np.zeros((len(embedded), 2), dtype=np.float32)
        logits[:, 0] = 1
        return logits


class Wavering(BagOfWords):
    """Another answer at every pass."""

    passes = 0

    def logits_of_embedded(self, embedded: np.ndarray, padding: np.ndarray) -> np.ndarray:
        self.passes += 1
        noise = np.random.default_rng(self.passes).standard_normal((len(embedded), 2))
        return super().logits_of_embedded(embedded, padding) + noise


class Drawn(BagOfWords):
    """A bag of words that, as it is drawn, ignores every other content word."""

    draws = True

    def redraw(self, seed: int) -> None:
        chance = np.random.default_rng(seed)
        for sign, words in ((1.0, GOOD), (-1.0, BAD)):
            for word in words:
                self.table[FIRST_WORD + VOCABULARY.index(word), 0] = sign * chance.integers(0, 2)
