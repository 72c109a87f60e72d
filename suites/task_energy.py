"""What a task costs: energy of a whole training as the accuracy suite did it, and of answering test inputs.

Two subjects a task, each with all arms of a framework in windows against each other:

    {task}/training_run   a call is one whole training at the rate that was chosen, from the same first
                          weights over the same batches: building, compilation and every step, without the
                          grid, scoring and looks at attention. Its weights are held against the checkpoint's
    {task}/forward        a call is one pass of the trained model over one batch of test inputs

Tokens count positions, padding included: that is what is computed.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bench.interleave import warm_up
from bench.loading import load
from bench.measuring import arm_key
from bench.schema import Arm, Measurement, Step, Task
from suites.framework import Framework, Model
from suites.learning.checkpoints import Checkpoint, hash_of
from suites.learning.grid import Training
from suites.learning.training import Budget, Kept, train
from suites.learning.victims import NoCheckpointError
from suites.metering.arms import Ready, in_windows
from suites.metering.windows import Unit
from suites.tasks.data import DataMissing, TaskData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.measuring import Bench
    from suites.framework import Trainer

TRAINING_RUN, FORWARD = "training_run", "forward"
COVERS = {
    TRAINING_RUN: "one training at the chosen rate: building, compilation and every step;"
    " not the grid of rates, scoring or looks at attention",
    FORWARD: "one pass over one batch of test inputs that are in memory; not reading or cutting up texts",
}
WARM_SECONDS = 1.0
WARM_STEPS = 2
# Test batches that a call may come to, one after another: no more than fit the memory anywhere.
MOST_BATCHES = 16


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """All arms of the step's task and seed, on what the step's subject names.

    Without data every arm is ``unsupported``; without a checkpoint an arm has failed.
    """
    task = cast(Task, step.task)
    try:
        data = cast(Callable[[Task], TaskData], load(task.target))(task)
    except DataMissing as error:
        return [_without_data(step, bench, arm, str(error)) for arm in step.arms]
    make = {TRAINING_RUN: _training_run, FORWARD: _forward}[step.subject.rpartition("/")[2]]
    rows: list[Measurement] = []
    ready: dict[str, Ready] = {}
    for arm in step.arms:
        repeated = Repeated(step=step, arm=arm, bench=bench, data=data)
        one, failed = bench.attempt(step, arm, partial(make, repeated))
        rows.extend([failed] if failed is not None else [])
        if one is not None:
            ready[arm_key(arm)] = one
    gc.collect()
    return [*rows, *in_windows(step, bench, list(ready.values()))]


class Unkept(Kept):
    """A training that leaves no state behind and goes on from none: writing one would cost energy that is
    not the training's. It only tells that there is progress."""

    def keep(self, trainer: Trainer, losses: Sequence[float], norms: Sequence[np.ndarray]) -> None:
        """Tell that there is progress."""
        self.alive()

    def restore(self, trainer: Trainer) -> tuple[list[float], list[np.ndarray]]:
        """Nothing: it begins at the beginning."""
        return [], []

    def forget(self) -> None:
        """Nothing was kept."""


@dataclass(frozen=True, kw_only=True)
class Repeated(Training):
    """An arm's training once more, as it was when its checkpoint was made."""

    last: list[Model] = field(default_factory=list)

    @cached_property
    def kept(self) -> tuple[Checkpoint, dict[str, np.ndarray]]:
        """The checkpoint of the step's seed and its weights.

        Raises NoCheckpointError where there is none, ValueError where the data are not those of then.
        """
        name = f"{self.arm.implementation} on {self.task.name}"
        try:
            checkpoint, weights = self.shelf.load(self.step.seed)
        except FileNotFoundError as error:
            raise NoCheckpointError(
                f"no trained weights of {name} at seed {self.step.seed}: its accuracy rows say why"
            ) from error
        if checkpoint.data_sha256 != self.data.source.sha256:
            raise ValueError(f"the data have changed since {name} was trained")
        return checkpoint, weights

    def train(self, steps: int) -> None:
        """So many steps of the training, from its first weights; the model is the last one now."""
        checkpoint, _ = self.kept
        budget = Budget(
            steps=steps,
            batch=self.task.batch,
            learning_rate=checkpoint.learning_rate,
            seed=self.step.seed,
        )
        nowhere = Unkept(
            shelf=self.shelf,
            budget=budget,
            loss=self.data.loss,
            data_sha256=self.data.source.sha256,
            alive=self.bench.alive,
        )
        self.last.clear()
        self.framework.seed(self.step.seed)
        train_side, _ = self.sides
        self.last.append(train(self.framework, self.first_model(), train_side, budget, nowhere).model)

    def compared(self) -> dict[str, str]:
        """Whether the last training came to the checkpoint's weights, bit by bit."""
        checkpoint, _ = self.kept
        (model,) = self.last
        same = hash_of(self.blueprint.export(model)) == checkpoint.weights_sha256
        return {"same_weights": "yes" if same else "no"}

    def trained_model(self) -> Model:
        """The model of the checkpoint."""
        model = self.blueprint.build()
        _, weights = self.kept
        self.blueprint.insert(model, weights)
        return model

    def told(self, phase: str, batches: int) -> dict[str, str]:
        """What a call is, as text."""
        checkpoint, _ = self.kept
        items = batches * self.task.batch
        return {
            "phase": phase,
            "covers": COVERS[phase],
            "architecture": self.task.architecture,
            "key_length": str(self.task.max_length),
            "batch": str(self.task.batch),
            "items": str(items),
            "tokens": str(items * self.task.max_length),
            "steps": str(checkpoint.steps),
            "seed": str(self.step.seed),
            "learning_rate": f"{checkpoint.learning_rate:g}",
            "weights_sha256": checkpoint.weights_sha256,
        }


def _training_run(repeated: Repeated) -> Ready:
    task = repeated.task
    # Loads what a first training loads, so that the first window is like the others.
    repeated.train(WARM_STEPS)
    told = repeated.told(TRAINING_RUN, task.steps)

    def call() -> None:
        repeated.train(task.steps)

    return Ready(arm=repeated.arm, unit=Unit(call=call), told=lambda: {**told, **repeated.compared()})


def _forward(repeated: Repeated) -> Ready:
    task, framework = repeated.task, repeated.framework
    if task.evaluator:
        raise NotImplementedError(
            f"{task.name} is not answered by one pass: its score takes {task.evaluator}"
        )
    call = passes(framework, repeated.trained_model(), repeated.data, task)
    started = time.perf_counter()
    call()
    framework.synchronise()
    warm = warm_up(
        call,
        call_limit=repeated.step.call_limit,
        patience=WARM_SECONDS,
        first=time.perf_counter() - started,
        synchronise=framework.synchronise,
    )
    told: Mapping[str, str] = repeated.told(FORWARD, 1)
    return Ready(arm=repeated.arm, unit=Unit(call=call, seconds=warm.seconds), told=lambda: told)


def passes(framework: Framework, model: Model, data: TaskData, task: Task) -> Callable[[], Any]:
    """Each call is a pass over the next whole batch of the test side, and after the last over the first."""
    count = len(data.test_targets)
    starts = range(0, max(count - task.batch, 0) + 1, task.batch)[:MOST_BATCHES]
    calls = []
    for start in starts:
        chosen = np.minimum(np.arange(start, start + task.batch), count - 1)
        arrays = framework.arrays([array[chosen] for array in data.test_inputs], "float32")
        calls.append(framework.forward(model, arrays))
    turn = itertools.cycle(calls)
    return lambda: next(turn)()


def _without_data(step: Step, bench: Bench, arm: Arm, reason: str) -> Measurement:
    return bench.measurement(
        step,
        arm,
        metric="joules",
        unit="J",
        tool="attnbench",
        status="unsupported",
        reason=reason,
        details={"cause": "data"},
    )
