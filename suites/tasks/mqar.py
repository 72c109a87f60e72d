"""Multi-query associative recall (MQAR): pairs of a key and a value, then each key again: which value?

    tokens:   k3 v7 k9 v2 | 0 0 k9 0 k3 0 0 0
    targets:   -  -  -  - | - - v2 - v7 - - -

Definition: Arora, Eyuboglu and others 2023, arXiv:2312.04927 (Zoology), definition 3.1, in the form of its
published generator: the first half of the vocabulary, but for token 0, are keys, the second half values.
`pairs` different keys with different values come first. After them come ``(length - 2 pairs) / 2`` slots of
two tokens; each key stands at the start of one, and slot g = 1, 2, … is drawn, without replacement, with a
probability in proportion to g^(alpha - 1): mostly near, as repetitions are in text. A key's value is asked
for at the key, and is not told afterwards. All other tokens are 0, or drawn from the whole vocabulary
(``filler="random"``).

Settings: ``length`` (default the model's `max_length`), ``pairs`` (4), ``vocabulary_size`` (8,192, token 0
included), ``alpha`` (0.01), ``filler`` (``"blank"``).

The task's axes are length and pairs; the third of the paper, the size of the state, is the variant's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.schema import Task
from suites.framework import NOT_SCORED
from suites.tasks import generated
from suites.tasks.data import TaskData
from suites.tasks.scores import share_right

OWN_SETTINGS = frozenset({"length", "pairs", "vocabulary_size", "alpha", "filler"})
VOCABULARY_SIZE, PAIRS, ALPHA = 8_192, 4, 0.01
BLANK = 0
FILLERS = ("blank", "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """The task's numbers. Raises ValueError where the keys do not fit into the sequence or the vocabulary."""

    length: int
    pairs: int
    vocabulary: int
    alpha: float
    filler: str

    def __post_init__(self) -> None:
        if self.length < 4 * self.pairs:
            raise ValueError(
                f"{self.pairs} pairs and their queries take {4 * self.pairs} tokens, got length {self.length}"
            )
        if self.first_value - 1 < self.pairs:
            raise ValueError(
                f"{self.pairs} different keys need a vocabulary_size of {2 * self.pairs + 2},"
                f" got {self.vocabulary}"
            )

    @property
    def first_value(self) -> int:
        """Keys are the tokens from 1 to below this one, values those from it on."""
        return self.vocabulary // 2

    def draw(self, generator: np.random.Generator, examples: int) -> generated.Examples:
        """Tokens and targets ``[examples, length]``."""
        keys = 1 + generated.draw_distinct(generator, examples, self.first_value - 1, self.pairs)
        values = self.first_value + generated.draw_distinct(
            generator, examples, self.vocabulary - self.first_value, self.pairs
        )
        places = 2 * self.pairs + 2 * self._slots(generator, examples)
        tokens = np.full((examples, self.length), BLANK)
        tokens[:, : 2 * self.pairs : 2], tokens[:, 1 : 2 * self.pairs : 2] = keys, values
        np.put_along_axis(tokens, places, keys, axis=1)
        targets = np.full((examples, self.length), NOT_SCORED)
        np.put_along_axis(targets, places, values, axis=1)
        if self.filler == "random":
            noise = generator.integers(0, self.vocabulary, tokens.shape)
            tokens = np.where(tokens == BLANK, noise, tokens)
        return tokens, targets

    def _slots(self, generator: np.random.Generator, examples: int) -> np.ndarray:
        """The slot of each key, from 0: the first `pairs` to arrive where slot g does at rate g^(alpha - 1).

        That is the same as drawing one after another without replacement.
        """
        rates = np.arange(1, (self.length - 2 * self.pairs) // 2 + 1) ** (self.alpha - 1)
        arrivals = -np.log1p(-generator.random((examples, len(rates)))) / rates
        first: np.ndarray = arrivals.argsort(axis=1, kind="stable")[:, : self.pairs]
        return first


def load(task: Task) -> TaskData:
    """The task's data: inputs are tokens ``[examples, length]``; raises ValueError for settings that do not
    fit each other."""
    length = generated.number_setting(task, "length", task.max_length)
    if length > task.max_length:
        raise ValueError(f"{task.name}: length must be at most max_length = {task.max_length}, got {length}")
    recall = Recall(
        length=length,
        pairs=generated.number_setting(task, "pairs", PAIRS),
        vocabulary=generated.number_setting(task, "vocabulary_size", VOCABULARY_SIZE),
        alpha=_alpha(task),
        filler=generated.choice_setting(task, "filler", FILLERS),
    )
    return generated.build(
        task,
        generated.Generated(
            draw=recall.draw,
            title="multi-query associative recall",
            score="token_accuracy",
            own=OWN_SETTINGS,
            counts={"length": length, "pairs": recall.pairs, "vocabulary_size": recall.vocabulary},
            notes={"alpha": f"{recall.alpha:g}", "filler": recall.filler},
            found={"vocabulary": recall.vocabulary},
        ),
    )


def _alpha(task: Task) -> float:
    alpha = task.settings.get("alpha", ALPHA)
    if isinstance(alpha, bool | str) or not 0 < alpha <= 1:
        raise ValueError(f"{task.name}: alpha must be above 0 and at most 1 (evenly far), got {alpha!r}")
    return float(alpha)


def most_frequent_value(data: TaskData) -> dict[str, np.ndarray]:
    """The value that training asked for most often, at every query."""
    asked = data.train_targets[data.train_targets != NOT_SCORED]
    return share_right(np.full_like(data.test_targets, np.bincount(asked).argmax()), data.test_targets)


def uniform_guess(data: TaskData) -> dict[str, np.ndarray]:
    """A guess among all values: what is left to who mixes no tokens."""
    vocabulary = data.counts["vocabulary_size"]
    return generated.guesses(data, vocabulary - vocabulary // 2)


def guess_among_shown(data: TaskData) -> dict[str, np.ndarray]:
    """A guess among the values of the sequence: for who sees them and does not know which is whose."""
    return generated.guesses(data, data.counts["pairs"])
