"""Selective copying: repeat some tokens that stand scattered in noise, in their order.

    tokens:   . . d . a . a . | > > >
    targets:  - - - - - - - - | d a a

Definition: Gu and Dao 2023, arXiv:2312.00752 (Mamba), section 4.1, after Jing and others
2019, arXiv:1706.02761: the places are random, so that a convolution, which mixes by place alone, cannot
do it. Unlike in copying, the answer is not read as it is written: `memorised` markers ask for it.

Settings: ``memorised``, how many tokens to repeat (default 16, as there), ``vocabulary_size``, how many
different ones there are (16, as there), ``length`` of the noise (default what `max_length` leaves).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.schema import Task
from suites.framework import NOT_SCORED
from suites.tasks import generated
from suites.tasks.data import TaskData

OWN_SETTINGS = frozenset({"memorised", "vocabulary_size", "length"})
MEMORISED, SYMBOLS = 16, 16
NOISE, MARKER, FIRST_SYMBOL = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scattered:
    """`memorised` of `symbols` symbols in noise of `length` tokens."""

    length: int
    memorised: int
    symbols: int

    def draw(self, generator: np.random.Generator, examples: int) -> generated.Examples:
        """Tokens and targets ``[examples, length + memorised]``."""
        places = np.sort(generated.draw_distinct(generator, examples, self.length, self.memorised), axis=1)
        symbols = FIRST_SYMBOL + generator.integers(0, self.symbols, (examples, self.memorised))
        tokens = np.full((examples, self.length + self.memorised), NOISE)
        np.put_along_axis(tokens, places, symbols, axis=1)
        tokens[:, self.length :] = MARKER
        targets = np.full_like(tokens, NOT_SCORED)
        targets[:, self.length :] = symbols
        return tokens, targets


def load(task: Task) -> TaskData:
    """The task's data: inputs are tokens ``[examples, length + memorised]``; raises ValueError for settings
    that do not fit each other."""
    memorised = generated.number_setting(task, "memorised", MEMORISED)
    length = generated.number_setting(task, "length", max(1, task.max_length - memorised))
    if memorised > length or length + memorised > task.max_length:
        raise ValueError(
            f"{task.name}: memorised <= length and memorised + length <= max_length = {task.max_length} must"
            f" hold, got {memorised} and {length}"
        )
    scattered = Scattered(
        length=length,
        memorised=memorised,
        symbols=generated.number_setting(task, "vocabulary_size", SYMBOLS),
    )
    return generated.build(
        task,
        generated.Generated(
            draw=scattered.draw,
            title="selective copying",
            score="token_accuracy",
            own=OWN_SETTINGS,
            counts={"length": length, "memorised": memorised, "symbols": scattered.symbols},
            found={"vocabulary": FIRST_SYMBOL + scattered.symbols},
        ),
    )


def uniform_guess(data: TaskData) -> dict[str, np.ndarray]:
    """A guess among all symbols."""
    return generated.guesses(data, data.counts["symbols"])
