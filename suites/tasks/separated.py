"""Sequences that end in an answer: a string, a separator, and the answer read as it is written.

    tokens:   s1 s2 s3 | a1 a2 0 0
    targets:  -  -  -  a1 a2 a3 - -

The answer is as long as the string. At every place the right tokens before it are told, as in training, so
an error does not spread; whole answers are told by `exact`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.schema import Task
from suites.framework import NOT_SCORED
from suites.tasks import generated
from suites.tasks.generated import PADDING

SEPARATOR, FIRST_SYMBOL = 1, 2
OWN_SETTINGS = frozenset({"shortest", "longest", "vocabulary_size"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Strings:
    """Strings of `shortest` to `longest` symbols, all lengths and symbols equally likely."""

    shortest: int
    longest: int
    symbols: int

    @classmethod
    def of(cls, task: Task, *, symbols: int) -> Strings:
        """As the task's settings say: `shortest` (default `longest`), `longest` (default what fits into the
        model) and `vocabulary_size`, the number of symbols. Raises ValueError where they do not fit."""
        longest = generated.number_setting(task, "longest", task.max_length // 2)
        shortest = generated.number_setting(task, "shortest", longest)
        if not shortest <= longest <= task.max_length // 2:
            raise ValueError(
                f"{task.name}: shortest <= longest <= max_length / 2 = {task.max_length // 2} must hold,"
                f" got {shortest} and {longest}"
            )
        return cls(
            shortest=shortest,
            longest=longest,
            symbols=generated.number_setting(task, "vocabulary_size", symbols),
        )

    @property
    def vocabulary(self) -> int:
        """How many tokens the model knows: padding, the separator and the symbols."""
        return FIRST_SYMBOL + self.symbols

    @property
    def counts(self) -> dict[str, int]:
        """What a measurement tells of them."""
        return {"shortest": self.shortest, "longest": self.longest, "symbols": self.symbols}

    def draw(self, generator: np.random.Generator, examples: int) -> tuple[np.ndarray, np.ndarray]:
        """Symbols ``[examples, longest]``, padding after the string's end, and lengths ``[examples]``."""
        lengths = generator.integers(self.shortest, self.longest + 1, examples)
        symbols = FIRST_SYMBOL + generator.integers(0, self.symbols, (examples, self.longest))
        return np.where(np.arange(self.longest) < lengths[:, None], symbols, PADDING), lengths


def ask(strings: np.ndarray, answers: np.ndarray, lengths: np.ndarray) -> generated.Examples:
    """Tokens and targets ``[examples, 2 longest]`` for strings and answers ``[examples, longest]``."""
    examples, longest = strings.shape
    place = np.arange(2 * longest) - lengths[:, None]
    answering = (place >= 0) & (place < lengths[:, None])
    targets = np.where(answering, _at(answers, place), NOT_SCORED)
    tokens = np.where(answering, _at(answers, place - 1), PADDING)
    tokens[:, :longest] = np.where(strings != PADDING, strings, tokens[:, :longest])
    tokens[np.arange(examples), lengths] = SEPARATOR
    return tokens, targets


def _at(answers: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.take_along_axis(answers, np.clip(places, 0, answers.shape[1] - 1), axis=1)
