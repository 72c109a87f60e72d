"""Fair training: every variant has the same data, batches, budget and grid of learning rates.

    rate = argmax over the grid of the score on validation examples, after a whole training at the first seed

The other seeds train at that rate. Test examples are looked at once, by the model that was chosen. A long
training keeps its state every minute, so that a killed run goes on where it was, to the same numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from suites.framework import Framework, Loss, Model, Trainer
from suites.learning.checkpoints import Shelf
from suites.tasks.data import TaskData

BATCHES_SEED = 0xDA7A
NOT_A_TIMING = "wall clock of all training steps beside other work, compilation included: not a timing"
KEEP_SECONDS = 60.0
VALIDATION_SHARE = 0.1
VALIDATION_MOST = 1000
# A spike, fixed before any training was looked at: a loss of more than twice the median of the fifty before.
SPIKE_WINDOW = 50
SPIKE_FACTOR = 2.0
LOSSES, NORMS, DONE = "training.losses", "training.norms", "training.done"


Look = Callable[[Model, float], None]
"""Is shown a model in training, and the share of its steps that is done."""


def nothing(model: Model, done: float) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a training is: `steps` batches of `batch` examples at a constant learning rate."""

    steps: int
    batch: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model after its training: the loss of every step, the gradient norm of each part at every step
    ``[steps, parts]``, and how long the steps took in seconds."""

    model: Model
    losses: tuple[float, ...]
    norms: np.ndarray
    parts: tuple[str, ...]
    seconds: float

    @property
    def divergence(self) -> str:
        """What went wrong, or nothing: training stops at the first loss that is not finite."""
        last = self.losses[-1]
        if math.isfinite(last):
            return ""
        return f"training diverged at step {len(self.losses)}: loss is {last}"

    @property
    def spikes(self) -> int:
        """Steps whose loss is more than twice the median of the fifty before; a run of them counts once."""
        return count_spikes(self.losses)


def count_spikes(losses: Sequence[float]) -> int:
    """How often the loss leaps above `SPIKE_FACTOR` times the median of the `SPIKE_WINDOW` steps before."""
    above = [
        losses[at] > SPIKE_FACTOR * float(np.median(losses[at - SPIKE_WINDOW : at]))
        for at in range(SPIKE_WINDOW, len(losses))
    ]
    return sum(now and not before for before, now in zip([False, *above], above, strict=False))


def batches(examples: int, batch: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """`steps` index arrays of exactly `batch`: shuffled passes over all examples, one after another."""
    generator = np.random.default_rng((BATCHES_SEED, seed))
    waiting = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        while len(waiting) < batch:
            waiting = np.concatenate([waiting, generator.permutation(examples)])
        yield waiting[:batch]
        waiting = waiting[batch:]


def without_validation(data: TaskData) -> tuple[TaskData, TaskData]:
    """The data with fewer training examples, and with the validation examples in place of the test's.

    They are the first tenth of the training side, at most a thousand: its order is that of the examples'
    hashes, so they are a fixed sample. Data that bring a validation side of their own keep it.
    Raises ValueError for fewer than two training examples.
    """
    count = len(data.train_targets)
    held = data.validation_examples or min(VALIDATION_MOST, max(1, round(count * VALIDATION_SHARE)))
    if held >= count:
        raise ValueError(
            f"a training side needs at least 2 examples, to keep one for validation; got {count}"
        )
    rest = replace(
        data,
        train_inputs=tuple(array[held:] for array in data.train_inputs),
        train_targets=data.train_targets[held:],
        train_texts=data.train_texts[held:],
        validation_examples=0,
    )
    validation = replace(
        rest,
        test_inputs=tuple(array[:held] for array in data.train_inputs),
        test_targets=data.train_targets[:held],
        test_texts=data.train_texts[:held],
    )
    return rest, validation


def train(
    framework: Framework,
    model: Model,
    data: TaskData,
    budget: Budget,
    kept: Kept | None = None,
    look: Look = nothing,
) -> Trained:
    """Train for the whole budget, or until a loss is not finite; `kept` is where a state is kept, and `look`
    is shown the model before the first step, halfway and after the last, with the share that is done."""
    trainer = framework.trainer(model, data.loss, budget.learning_rate)
    losses, norms = kept.restore(trainer) if kept else ([], [])
    already = len(losses)
    if not already:
        look(model, 0.0)
    framework.synchronise()
    started = saved = time.perf_counter()
    for at, chosen in enumerate(
        batches(len(data.train_targets), budget.batch, budget.steps, budget.seed), start=1
    ):
        if at <= already:
            continue
        arrays = [*(array[chosen] for array in data.train_inputs), data.train_targets[chosen]]
        *inputs, target = framework.arrays(arrays, "float32")
        loss, norm = trainer.step(tuple(inputs), target)
        losses.append(loss)
        norms.append(norm)
        if not math.isfinite(loss):
            break
        if at in (budget.steps // 2, budget.steps):
            look(model, at / budget.steps)
        if kept and time.perf_counter() - saved > KEEP_SECONDS:
            kept.keep(trainer, losses, norms)
            saved = time.perf_counter()
    framework.synchronise()
    if kept:
        kept.forget()
    return Trained(
        model=model,
        losses=tuple(losses),
        norms=np.stack(norms),
        parts=trainer.parts,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The state of a training that is under way, for who goes on after a kill. `alive` is told that it goes
    forward: a training may take longer than a worker may be silent."""

    shelf: Shelf
    budget: Budget
    loss: Loss
    data_sha256: str
    alive: Callable[[], None] = lambda: None

    @property
    def path(self) -> Path:
        """One file for each training of the shelf's task and implementation."""
        return self.shelf.path / f"under-way-{self.budget.seed}-{self.budget.learning_rate:g}.safetensors"

    def keep(self, trainer: Trainer, losses: Sequence[float], norms: Sequence[np.ndarray]) -> None:
        """Put the state on disk, in place of the one before, and tell that there is progress."""
        self.alive()
        history = {LOSSES: np.array(losses), NORMS: np.stack(norms), DONE: self._mark()}
        self.shelf.write_arrays(self.path, {**trainer.state(), **history})

    def restore(self, trainer: Trainer) -> tuple[list[float], list[np.ndarray]]:
        """Losses and norms so far, the trainer set to go on; empty where there is nothing to go on from.

        A state of another budget or of other data does not count.
        """
        state = self.shelf.read_arrays(self.path)
        if state is None or not np.array_equal(state.pop(DONE), self._mark()):
            return [], []
        losses, norms = state.pop(LOSSES), state.pop(NORMS)
        trainer.restore(state)
        return [float(loss) for loss in losses], list(norms)

    def forget(self) -> None:
        """The training is over: what was kept for it is not needed."""
        self.path.unlink(missing_ok=True)

    def _mark(self) -> np.ndarray:
        text = f"{self.budget} {self.loss} {self.data_sha256}"
        return np.frombuffer(text.encode(), dtype=np.uint8)
