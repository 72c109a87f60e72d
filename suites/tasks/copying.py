"""Copying a random string after a separator.

    tokens:   b a a | b a 0 0
    targets:  - - - b a a - -

Definition: Jelassi and others 2024, arXiv:2402.01032 (Repeat After Me): symbols are drawn evenly,
so that nothing but the string tells the answer; a state that is smaller than the string cannot hold it.

Settings: ``longest`` (default half of `max_length`), ``shortest`` (default `longest`), ``vocabulary_size``,
the number of symbols (26, as there).
"""

from __future__ import annotations

import numpy as np

from bench.schema import Task
from suites.framework import NOT_SCORED
from suites.tasks import generated
from suites.tasks.data import TaskData
from suites.tasks.scores import share_right
from suites.tasks.separated import OWN_SETTINGS, Strings, ask

SYMBOLS = 26


def load(task: Task) -> TaskData:
    """The task's data: inputs are tokens ``[examples, 2 longest]``; raises ValueError for settings that do
    not fit each other."""
    strings = Strings.of(task, symbols=SYMBOLS)

    def draw(generator: np.random.Generator, examples: int) -> generated.Examples:
        drawn, lengths = strings.draw(generator, examples)
        return ask(drawn, drawn, lengths)

    return generated.build(
        task,
        generated.Generated(
            draw=draw,
            title="copying a random string",
            score="token_accuracy",
            own=OWN_SETTINGS,
            counts=strings.counts,
            found={"vocabulary": strings.vocabulary},
        ),
    )


def most_frequent_symbol(data: TaskData) -> dict[str, np.ndarray]:
    """The symbol that training asked for most often, everywhere."""
    asked = data.train_targets[data.train_targets != NOT_SCORED]
    return share_right(np.full_like(data.test_targets, np.bincount(asked).argmax()), data.test_targets)


def uniform_guess(data: TaskData) -> dict[str, np.ndarray]:
    """A guess among all symbols: no more is possible without looking at the string."""
    return generated.guesses(data, data.counts["symbols"])
