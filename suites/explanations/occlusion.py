"""Occlusion: how far the answer falls when one token or patch is hidden.

    importance_i = log p_c(x) - log p_c(x without i),   c the class that the model predicts for x

A hidden token becomes the unknown word, a hidden patch the mean patch of the training images: the sequence
keeps its length and its positions, so that every variant can be asked. An image of many small patches is
hidden in square blocks of them. Zeiler and Fergus 2014,
arXiv:1311.2901, section 4.2 (images); Li and others 2016, arXiv:1612.08220 (log-probabilities of texts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from suites.tasks.data import TaskData

UNKNOWN = 1


class Classifier(Protocol):
    """What an explanation asks of a `suites.attacks.victim.Victim`."""

    def logits(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The model's positional inputs ``[n, …]`` to logits ``[n, classes]``."""


def filler_of(data: TaskData) -> np.ndarray:
    """What stands in for a hidden feature: the number of the unknown word, or the mean patch
    ``[patch_width]`` over all training images and places, so that it says nothing of where it stands."""
    if data.vocabulary:
        return np.array(UNKNOWN, dtype=np.int64)
    mean: np.ndarray = data.train_inputs[0].mean(axis=(0, 1))
    return mean.astype(data.train_inputs[0].dtype)


def features_of(inputs: Sequence[np.ndarray], most: int) -> tuple[np.ndarray, ...]:
    """The places in the sequence that are hidden together: each real token of a text by itself; the patches
    of an image by themselves or, of more than `most`, in blocks, row by row.

    `inputs` as for `Example`. Blocks are square where the patches are, else stretches of the sequence.
    """
    if len(inputs) > 1:
        return tuple(np.flatnonzero(inputs[1])[:, None])
    places = np.arange(len(inputs[0]))
    side, across = math.isqrt(len(places)), max(math.isqrt(most), 1)
    if len(places) <= most:
        return tuple(places[:, None])
    if side * side != len(places):
        return tuple(np.array_split(places, most))
    step = -(-side // across)
    blocks = places // side // step * across + places % side // step
    return tuple(places[blocks == block] for block in np.unique(blocks))


class Example:
    """One input whose features can be hidden; `passes` counts the model's answers.

    `inputs` are the model's positional inputs without the axis of examples: tokens and padding, True at
    real tokens, or patches. `groups` are the places of each feature, see `features_of`. `label` is the class
    that is explained: the predicted one unless given.
    """

    def __init__(
        self,
        victim: Classifier,
        inputs: Sequence[np.ndarray],
        filler: np.ndarray,
        groups: Sequence[np.ndarray],
        label: int | None = None,
    ) -> None:
        self.victim = victim
        self.inputs = tuple(inputs)
        self.filler = filler
        self.groups = tuple(groups)
        # Which tokens each feature covers, ``[features, time]``.
        self.covers = np.zeros((len(self.groups), len(self.inputs[0])), dtype=bool)
        for feature, places in enumerate(self.groups):
            self.covers[feature, places] = True
        self.passes = 0
        whole = self._log_probabilities(np.zeros((1, self.features), dtype=bool))[0]
        self.label = int(whole.argmax()) if label is None else label
        self.log_probability = float(whole[self.label])

    @property
    def features(self) -> int:
        """How many features there are."""
        return len(self.groups)

    @property
    def probability(self) -> float:
        """That of `label` with nothing hidden."""
        return float(np.exp(self.log_probability))

    def log_probabilities(self, hidden: np.ndarray) -> np.ndarray:
        """Log-probability of `label` ``[m]`` with those features hidden where ``hidden [m, features]`` is
        True."""
        answers: np.ndarray = self._log_probabilities(hidden)[:, self.label]
        return answers

    def importance(self) -> np.ndarray:
        """``[features]``: the fall of the log-probability with each hidden alone, in nats."""
        alone = np.eye(self.features, dtype=bool)
        return self.log_probability - self.log_probabilities(alone)

    def gathered(self, shares: np.ndarray) -> np.ndarray:
        """``[features]``: what the tokens of each feature have together of shares ``[time]``."""
        together: np.ndarray = self.covers @ shares
        return together

    def again(self) -> Example:
        """The same question to the victim as it is now: the same class, with nothing hidden."""
        return Example(self.victim, self.inputs, self.filler, self.groups, self.label)

    def _log_probabilities(self, hidden: np.ndarray) -> np.ndarray:
        self.passes += len(hidden)
        copies = [np.repeat(one[None], len(hidden), axis=0) for one in self.inputs]
        copies[0][hidden @ self.covers] = self.filler
        logits = self.victim.logits(copies).astype(np.float64)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        answers: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return answers
