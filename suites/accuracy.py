"""The accuracy suite: what a variant learns on real data with the same budget as every other.

One implementation, one task, one seed: the model of the task's architecture is trained for `Task.steps`
batches, drawn by a generator seeded with the step's seed (the same batches for every variant), with
Adam at the task's constant learning rate, then scored on every test example. Answered are raw values,
one a test example, so that the report can pair variants on the same examples.

A baseline (role ``baseline``) is a function ``name(data) -> {metric: values}`` in the task's own file.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from bench.loading import load
from bench.schema import Arm, Measurement, Option, Step, Task
from suites.framework import PLAINLY, Framework, Model
from suites.tasks.data import DataMissing, Score, TaskData
from suites.tasks.scores import UNITS, score

if TYPE_CHECKING:
    from bench.measuring import Bench

TRAINING_UNITS = {"parameters": "count", "training_seconds": "s", "loss_curve": "loss"}
CURVE_POINTS = 100
BATCHES_SEED = 0xDA7A


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model after its training, the loss of every step, and how long the steps took in seconds."""

    model: Model
    losses: tuple[float, ...]
    seconds: float

    @property
    def divergence(self) -> str:
        """What went wrong, or nothing: training stops at the first loss that is not finite."""
        last = self.losses[-1]
        if math.isfinite(last):
            return ""
        return f"training diverged at step {len(self.losses)}: loss is {last}"


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """All metrics of every arm on ``step.task`` at ``step.seed``, one training after another.

    A baseline has the task's scores only. Without data every metric is ``unsupported``; after a loss or
    an output that is not finite every metric is ``failed``, with the reason.
    """
    task = step.task
    if task is None:
        raise ValueError(f"the accuracy suite measures tasks; step {step.key!r} has none")
    try:
        data = cast(Callable[[Task], TaskData], load(task.target))(task)
    except DataMissing as error:
        return [
            row
            for arm in step.arms
            for row in _refuse(step, bench, arm, _units(_score_of(task), arm), "unsupported", str(error), {})
        ]
    rows: list[Measurement] = []
    for arm in step.arms:
        measured, failed = bench.attempt(step, arm, partial(_measured, step, arm, bench, data))
        rows.extend([failed] if failed is not None else measured or [])
    return rows


def _measured(step: Step, arm: Arm, bench: Bench, data: TaskData) -> list[Measurement]:
    if arm.role == "baseline":
        return _baseline(step, arm, bench, data)
    return _trained_and_scored(step, arm, bench, data)


def _baseline(step: Step, arm: Arm, bench: Bench, data: TaskData) -> list[Measurement]:
    answer = cast(Callable[[TaskData], Mapping[str, Sequence[float]]], load(arm.target))
    package = "sklearn" if data.score == "accuracy" else "skimage"
    tool = f"{package} {importlib.import_module(package).__version__}"
    return _scores(step, arm, bench, answer(data), UNITS[data.score], tool, data.details())


def _trained_and_scored(step: Step, arm: Arm, bench: Bench, data: TaskData) -> list[Measurement]:
    framework, task = cast(Framework, bench.framework), cast(Task, step.task)
    framework.seed(step.seed)
    model = build_model(framework, task, bench.architecture(step), bench.attention(arm), arm, data)
    trained = train(framework, model, data, task, step.seed)
    details = {**data.details(), **_budget(task)}
    units = _units(data.score, arm)
    if trained.divergence:
        return _refuse(step, bench, arm, units, "failed", trained.divergence, details)
    outputs = predict(framework, model, data.test_inputs, task.batch)
    if not np.isfinite(outputs).all():
        reason = (
            f"{int((~np.isfinite(outputs)).sum())} of {outputs.size} outputs on the test set are not finite"
        )
        return _refuse(step, bench, arm, units, "failed", reason, details)
    scores = score(data.score, outputs, data.test_targets)
    return [
        *_scores(step, arm, bench, scores, UNITS[data.score], framework.tool, details),
        *_training_rows(step, arm, bench, trained, framework, details),
    ]


def build_model(
    framework: Framework,
    task: Task,
    architecture: Callable[..., Model],
    attention: object,
    arm: Arm,
    data: TaskData,
) -> Model:
    """The task's model around one variant, in float32."""
    variant = arm.implementation.partition("@")[0]
    options: dict[str, Option] = {**arm.options, **task.variant_options.get(variant, {})}
    return framework.build(
        architecture,
        attention,
        PLAINLY,
        dtype="float32",
        width=task.width,
        heads=task.heads,
        causal=False,
        max_length=task.max_length,
        options=options,
        **data.settings,
    )


def batches(examples: int, batch: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """`steps` index arrays of exactly `batch`: shuffled passes over all examples, one after another."""
    generator = np.random.default_rng((BATCHES_SEED, seed))
    waiting = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        while len(waiting) < batch:
            waiting = np.concatenate([waiting, generator.permutation(examples)])
        yield waiting[:batch]
        waiting = waiting[batch:]


def train(framework: Framework, model: Model, data: TaskData, task: Task, seed: int) -> Trained:
    """Train for the task's budget, or until a loss is not finite."""
    step = framework.train_step(model, data.loss, task.learning_rate)
    losses: list[float] = []
    framework.synchronise()
    started = time.perf_counter()
    for chosen in batches(len(data.train_targets), task.batch, task.steps, seed):
        arrays = [*(array[chosen] for array in data.train_inputs), data.train_targets[chosen]]
        *inputs, target = framework.arrays(arrays, "float32")
        losses.append(framework.number(step(tuple(inputs), target)))
        if not math.isfinite(losses[-1]):
            break
    framework.synchronise()
    return Trained(model=model, losses=tuple(losses), seconds=time.perf_counter() - started)


def predict(framework: Framework, model: Model, inputs: Sequence[np.ndarray], batch: int) -> np.ndarray:
    """The model's outputs for all examples, `batch` at a time.

    The last batch is filled up with its last example: a graph is compiled once for each shape it meets.
    """
    count = len(inputs[0])
    outputs = []
    for start in range(0, count, batch):
        chosen = np.minimum(np.arange(start, start + batch), count - 1)
        arrays = framework.arrays([array[chosen] for array in inputs], "float32")
        outputs.append(framework.output(framework.forward(model, arrays)())[: count - start])
    return np.concatenate(outputs)


def _score_of(task: Task) -> Score:
    return next((name for name, units in UNITS.items() if task.metric in units), "accuracy")


def _units(name: Score, arm: Arm) -> dict[str, str]:
    return UNITS[name] if arm.role == "baseline" else {**UNITS[name], **TRAINING_UNITS}


def _budget(task: Task) -> dict[str, str]:
    return {
        "steps": str(task.steps),
        "batch": str(task.batch),
        "optimiser": "Adam, epsilon 1e-7",
        "learning_rate": f"{task.learning_rate:g} (constant)",
    }


def _refuse(
    step: Step,
    bench: Bench,
    arm: Arm,
    units: Mapping[str, str],
    status: str,
    reason: str,
    details: Mapping[str, str],
) -> list[Measurement]:
    told = {**details, "cause": "data" if status == "unsupported" else "error"}
    return [
        bench.measurement(
            step, arm, metric=metric, unit=unit, tool="attnbench", status=status, reason=reason, details=told
        )
        for metric, unit in units.items()
    ]


def _scores(
    step: Step,
    arm: Arm,
    bench: Bench,
    scores: Mapping[str, Sequence[float]],
    units: Mapping[str, str],
    tool: str,
    details: Mapping[str, str],
) -> list[Measurement]:
    return [
        bench.measurement(
            step, arm, metric=metric, unit=units[metric], values=values, tool=tool, details=dict(details)
        )
        for metric, values in scores.items()
    ]


def _training_rows(
    step: Step, arm: Arm, bench: Bench, trained: Trained, framework: Framework, details: Mapping[str, str]
) -> list[Measurement]:
    every = -(-len(trained.losses) // CURVE_POINTS)
    not_a_timing = "wall clock of all training steps beside other work, compilation included: not a timing"
    rows: tuple[tuple[str, Sequence[float], dict[str, str]], ...] = (
        ("parameters", [float(framework.parameters(trained.model))], {}),
        ("training_seconds", [trained.seconds], {"conditions": not_a_timing}),
        ("loss_curve", trained.losses[every - 1 :: every], {"every": str(every)}),
    )
    return [
        bench.measurement(
            step,
            arm,
            metric=metric,
            unit=TRAINING_UNITS[metric],
            values=values,
            tool=framework.tool,
            details={**details, **more},
        )
        for metric, values, more in rows
    ]
