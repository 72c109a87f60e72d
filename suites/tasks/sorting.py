"""Sorting a random string of numbers, which may repeat, after a separator.

    tokens:   7 2 9 2 | 2 2 7 0 …
    targets:  - - - - 2 2 7 9 - …

Definition: Tay and others 2020, arXiv:2002.11296 (Sparse Sinkhorn attention), sorts sequences of
digits as a sequence-to-sequence task; here it is one causal sequence. The answer's next number is the
smallest of the string that was not told yet, which takes the whole string to know.

Settings: ``longest`` (default half of `max_length`), ``shortest`` (default `longest`), ``vocabulary_size``,
how many numbers there are (32).
"""

from __future__ import annotations

import numpy as np

from bench.schema import Task
from suites.tasks import generated
from suites.tasks.data import TaskData
from suites.tasks.generated import PADDING
from suites.tasks.scores import share_right
from suites.tasks.separated import OWN_SETTINGS, SEPARATOR, Strings, ask

NUMBERS = 32


def load(task: Task) -> TaskData:
    """The task's data: inputs are tokens ``[examples, 2 longest]``; raises ValueError for settings that do
    not fit each other."""
    strings = Strings.of(task, symbols=NUMBERS)

    def draw(generator: np.random.Generator, examples: int) -> generated.Examples:
        drawn, lengths = strings.draw(generator, examples)
        return ask(drawn, in_order(drawn), lengths)

    return generated.build(
        task,
        generated.Generated(
            draw=draw,
            title="sorting a random string of numbers",
            score="token_accuracy",
            own=OWN_SETTINGS,
            counts=strings.counts,
            found={"vocabulary": strings.vocabulary},
        ),
    )


def in_order(strings: np.ndarray) -> np.ndarray:
    """Each row in ascending order, padding staying at its end."""
    largest = np.iinfo(strings.dtype).max
    ordered = np.sort(np.where(strings == PADDING, largest, strings), axis=1)
    return np.where(ordered == largest, PADDING, ordered)


def last_told(data: TaskData) -> dict[str, np.ndarray]:
    """The number that was told last once more; at the separator, the number after which nothing is less."""
    tokens = data.test_inputs[0]
    return share_right(np.where(tokens == SEPARATOR, SEPARATOR + 1, tokens), data.test_targets)


def uniform_guess(data: TaskData) -> dict[str, np.ndarray]:
    """A guess among all numbers."""
    return generated.guesses(data, data.counts["symbols"])
