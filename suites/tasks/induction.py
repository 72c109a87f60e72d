"""Induction heads: what came after this token the last time?

    tokens:   c a ^ d b a c ^
    targets:  - - - - - - - d

Definition: the synthetic task of Dao, Fu and others 2022, arXiv:2212.14052 (H3), section 3.1, as in Gu and
Dao 2023, arXiv:2312.00752 (Mamba), section 4.1, after what Olsson and others 2022, arXiv:2209.11895, found
in Transformers: tokens are drawn evenly, a special one stands at a random place and once more at the end.

Settings: ``length`` (default the model's `max_length`), ``vocabulary_size``, how many tokens there are
beside the special one (16, as in Mamba).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.schema import Task
from suites.framework import NOT_SCORED
from suites.tasks import generated
from suites.tasks.data import TaskData
from suites.tasks.scores import share_right

OWN_SETTINGS = frozenset({"length", "vocabulary_size"})
SYMBOLS = 16
SPECIAL, FIRST_SYMBOL = 1, 2
SHORTEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """A sequence of `length` tokens, in which the special one stands twice."""

    length: int
    symbols: int

    def draw(self, generator: np.random.Generator, examples: int) -> generated.Examples:
        """Tokens and targets ``[examples, length]``; one target a sequence, at its end."""
        tokens = FIRST_SYMBOL + generator.integers(0, self.symbols, (examples, self.length))
        rows, places = np.arange(examples), generator.integers(0, self.length - 2, examples)
        tokens[rows, places] = tokens[:, -1] = SPECIAL
        targets = np.full_like(tokens, NOT_SCORED)
        targets[:, -1] = tokens[rows, places + 1]
        return tokens, targets


def load(task: Task) -> TaskData:
    """The task's data: inputs are tokens ``[examples, length]``; raises ValueError for settings that do not
    fit each other."""
    length = generated.number_setting(task, "length", task.max_length)
    if not SHORTEST <= length <= task.max_length:
        raise ValueError(
            f"{task.name}: length must be {SHORTEST} to max_length = {task.max_length}, got {length}"
        )
    repetition = Repetition(length=length, symbols=generated.number_setting(task, "vocabulary_size", SYMBOLS))
    return generated.build(
        task,
        generated.Generated(
            draw=repetition.draw,
            title="induction heads",
            score="token_accuracy",
            own=OWN_SETTINGS,
            counts={"length": length, "symbols": repetition.symbols},
            found={"vocabulary": FIRST_SYMBOL + repetition.symbols},
        ),
    )


def most_frequent_shown(data: TaskData) -> dict[str, np.ndarray]:
    """The token that the sequence holds most often: what counting without looking at the order is worth."""
    answers = [np.bincount(row[row >= FIRST_SYMBOL]).argmax() for row in data.test_inputs[0]]
    return share_right(
        np.broadcast_to(np.array(answers)[:, None], data.test_targets.shape), data.test_targets
    )


def uniform_guess(data: TaskData) -> dict[str, np.ndarray]:
    """A guess among all tokens but the special one."""
    return generated.guesses(data, data.counts["symbols"])
