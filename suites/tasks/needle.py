"""A needle in a haystack: a fact at a given distance in filler; what was its value?

    tokens:   f f k3 v7 f f f k3
    targets:  - -  -  - - - - v7        distance 4: from the value to the question

Definition: as passkey retrieval (Mohtashami and Jaggi 2023, arXiv:2305.16300) and RULER's needles (Hsieh and
others 2024, arXiv:2404.06654), in single tokens: filler is drawn evenly from tokens of its own, a fact is a
key and a value, and the question at the sequence's end is the key. With ``facts`` above 1 there are others
with other keys, so that a value must be found by its key (RULER's "multi-key").

Settings: ``length`` (default the model's `max_length`); ``distances``, as text, ``"4 16 64"`` (default 1 and
the powers of 2 that fit), each of which has as many examples, to one; ``distance``, a single one; ``facts``
(1); ``vocabulary_size`` (64): a quarter keys, a quarter values, the rest filler.

Beside the accuracy over all distances the evaluator tells the one at each (`accuracy_by_distance`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.schema import Task
from suites.framework import NOT_SCORED, Framework, Model
from suites.learning.scoring import NotFiniteError, outputs_of
from suites.tasks import generated
from suites.tasks.data import TaskData

OWN_SETTINGS = frozenset({"length", "distances", "distance", "facts", "vocabulary_size"})
SYMBOLS = 64
FIRST_KEY = 1
FACT, QUESTION = 2, 1
"""How many tokens they take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Haystack:
    """The task's numbers. Raises ValueError where facts do not fit into the sequence or the vocabulary."""

    length: int
    distances: tuple[int, ...]
    facts: int
    symbols: int

    def __post_init__(self) -> None:
        farthest = self.length - FACT
        wrong = [distance for distance in self.distances if not 1 <= distance <= farthest]
        if wrong or not self.distances:
            raise ValueError(
                f"distances must be 1 to length - 2 = {farthest}, at least one; got {wrong or 'none'}"
            )
        if self.facts > self.each:
            raise ValueError(
                f"{self.facts} facts need as many keys; a vocabulary_size of {self.symbols} has {self.each}"
            )
        room = min(len(self._free(distance)) for distance in self.distances)
        if self.facts - 1 > room:
            raise ValueError(f"{self.facts} facts do not fit into length {self.length}, {room + 1} do")

    @property
    def each(self) -> int:
        """How many keys there are, and how many values."""
        return self.symbols // 4

    @property
    def first_value(self) -> int:
        """The first token that is a value."""
        return FIRST_KEY + self.each

    @property
    def first_filler(self) -> int:
        """The first token that is filler."""
        return self.first_value + self.each

    @property
    def vocabulary(self) -> int:
        """How many tokens the model knows, padding included."""
        return FIRST_KEY + self.symbols

    def draw(self, generator: np.random.Generator, examples: int) -> generated.Examples:
        """Tokens and targets ``[examples, length]``: the distances in turn, then in random order."""
        turns = np.arange(examples) % len(self.distances)
        tokens = np.empty((examples, self.length), dtype=np.int64)
        targets = np.full_like(tokens, NOT_SCORED)
        for turn, distance in enumerate(self.distances):
            mine = turns == turn
            tokens[mine], targets[mine, -1] = self._at(distance, generator, int(mine.sum()))
        order = generator.random(examples).argsort()
        return tokens[order], targets[order]

    def _at(self, distance: int, generator: np.random.Generator, examples: int) -> generated.Examples:
        """Tokens ``[examples, length]`` and the values that are asked for ``[examples]``."""
        tokens = generator.integers(self.first_filler, self.vocabulary, (examples, self.length))
        keys = FIRST_KEY + generated.draw_distinct(generator, examples, self.each, self.facts)
        values = self.first_value + generated.draw_distinct(generator, examples, self.each, self.facts)
        free = self._free(distance)
        others = free[generated.draw_distinct(generator, examples, len(free), self.facts - 1)]
        places = np.concatenate([np.full((examples, 1), self._place(distance)), others], axis=1)
        np.put_along_axis(tokens, places, keys, axis=1)
        np.put_along_axis(tokens, places + 1, values, axis=1)
        tokens[:, -1] = keys[:, 0]
        return tokens, values[:, 0]

    def _place(self, distance: int) -> int:
        """Where the key of the fact stands whose value is so far from the question."""
        return self.length - QUESTION - distance - 1

    def _free(self, distance: int) -> np.ndarray:
        """Where other facts may begin: every second place before the fact, and after it."""
        place = self._place(distance)
        before, after = np.arange(place % 2, place, FACT), np.arange(place + FACT, self.length - FACT, FACT)
        return np.concatenate([before, after])


def load(task: Task) -> TaskData:
    """The task's data: inputs are tokens ``[examples, length]``; raises ValueError for settings that do not
    fit each other."""
    length = generated.number_setting(task, "length", task.max_length)
    if length > task.max_length:
        raise ValueError(f"{task.name}: length must be at most max_length = {task.max_length}, got {length}")
    haystack = Haystack(
        length=length,
        distances=distances_setting(task, length),
        facts=generated.number_setting(task, "facts", 1),
        symbols=generated.number_setting(task, "vocabulary_size", SYMBOLS),
    )
    return generated.build(
        task,
        generated.Generated(
            draw=haystack.draw,
            title="a needle in a haystack",
            score="accuracy_by_distance",
            own=OWN_SETTINGS,
            counts={"length": length, "facts": haystack.facts, "symbols": haystack.symbols},
            notes={"distances": " ".join(map(str, haystack.distances))},
            found={"vocabulary": haystack.vocabulary},
        ),
    )


def distances_setting(task: Task, length: int) -> tuple[int, ...]:
    """The distances in ascending order; raises ValueError for text that is not whole numbers."""
    if "distance" in task.settings:
        return (generated.number_setting(task, "distance", 1),)
    text = str(task.settings.get("distances", ""))
    if not text:
        return tuple(2**power for power in range(max(1, length - FACT).bit_length()))
    if not all(word.isdecimal() for word in text.split()):
        raise ValueError(f"{task.name}: distances must be whole numbers with spaces between, got {text!r}")
    return tuple(sorted({int(word) for word in text.split()}))


def distances_of(tokens: np.ndarray) -> np.ndarray:
    """How far from the end the value stands whose key the last token is, ``[examples]``."""
    places = (tokens[:, :-1] == tokens[:, -1:]).argmax(axis=1)
    found: np.ndarray = tokens.shape[1] - QUESTION - (places + 1)
    return found


def evaluate(
    framework: Framework,
    model: Model,
    inputs: tuple[np.ndarray, ...],
    targets: np.ndarray,
    data: TaskData,
    task: Task,
) -> dict[str, np.ndarray]:
    """`accuracy` ``[examples]`` and `accuracy_by_distance` ``[distances]``, NaN at one without examples.

    Raises NotFiniteError where an answer is not finite.
    """
    answers, broken = [], 0
    for _, outputs in outputs_of(framework, model, inputs, task.batch):
        broken += int((~np.isfinite(outputs)).sum())
        answers.append(outputs[:, -1].argmax(axis=-1))
    if broken:
        raise NotFiniteError(f"{broken} outputs on the test set are not finite")
    return by_distance(np.concatenate(answers), inputs[0], targets, data)


def by_distance(
    answers: np.ndarray, tokens: np.ndarray, targets: np.ndarray, data: TaskData
) -> dict[str, np.ndarray]:
    """The scores of answers to the last token ``[examples]``."""
    right = (answers == targets[:, -1]).astype(np.float64)
    found = distances_of(tokens)
    distances = [int(word) for word in data.notes["distances"].split()]
    means = [right[found == one].mean() if (found == one).any() else np.nan for one in distances]
    return {"accuracy": right, "accuracy_by_distance": np.array(means)}


def most_frequent_value(data: TaskData) -> dict[str, np.ndarray]:
    """The value that training asked for most often."""
    answer = np.bincount(data.train_targets[:, -1]).argmax()
    tokens, targets = data.test_inputs[0], data.test_targets
    return by_distance(np.full(len(targets), answer), tokens, targets, data)


def uniform_guess(data: TaskData) -> dict[str, np.ndarray]:
    """A guess among all values."""
    return generated.guesses(data, data.counts["symbols"] // 4)
