"""Parity: is the number of ones in a string of bits odd?

One bit decides, wherever it stands: the function that no part of the string says anything about. Bounded
attention cannot tell it for long strings (Hahn 2020, arXiv:1906.06755); which lengths a trained
model reaches is the question. Also in Bhattamishra and others 2020, arXiv:2009.11264.

Settings: ``longest`` (default the model's `max_length`) and ``shortest`` (default `longest`), between which
all lengths are equally likely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.schema import Task
from suites.tasks import generated
from suites.tasks.data import TaskData
from suites.tasks.generated import PADDING

OWN_SETTINGS = frozenset({"shortest", "longest"})
FIRST_BIT = 1
"""The token of a zero; that of a one follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bits:
    """Strings of `shortest` to `longest` fair bits."""

    shortest: int
    longest: int

    def draw(self, generator: np.random.Generator, examples: int) -> generated.Examples:
        """Tokens ``[examples, longest]`` and labels ``[examples]``, 1 for odd."""
        lengths = generator.integers(self.shortest, self.longest + 1, examples)
        real = np.arange(self.longest) < lengths[:, None]
        bits = np.where(real, generator.integers(0, 2, real.shape), 0)
        return np.where(real, FIRST_BIT + bits, PADDING), bits.sum(axis=1) % 2


def load(task: Task) -> TaskData:
    """The task's data: inputs are tokens ``[examples, longest]`` and padding, True at real tokens; raises
    ValueError for settings that do not fit each other, or too few strings for so many examples."""
    longest = generated.number_setting(task, "longest", task.max_length)
    bits = Bits(shortest=generated.number_setting(task, "shortest", longest), longest=longest)
    if not bits.shortest <= longest <= task.max_length:
        raise ValueError(
            f"{task.name}: shortest <= longest <= max_length = {task.max_length} must hold,"
            f" got {bits.shortest} and {longest}"
        )
    return generated.build(
        task,
        generated.Generated(
            draw=bits.draw,
            title="parity of bits",
            score="accuracy",
            own=OWN_SETTINGS,
            counts={"shortest": bits.shortest, "longest": longest},
            found={"vocabulary": FIRST_BIT + 2, "classes": 2},
            classifier=True,
        ),
    )


def majority(data: TaskData) -> dict[str, np.ndarray]:
    """The label that training saw most often."""
    answer = np.bincount(data.train_targets).argmax()
    return {"accuracy": (data.test_targets == answer).astype(np.float64)}


def uniform_guess(data: TaskData) -> dict[str, np.ndarray]:
    """A coin."""
    return generated.guesses(data, 2)
