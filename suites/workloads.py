"""Building and feeding a workload's models on any framework, for the suites that measure made-up work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.measuring import Bench
from bench.schema import Arm, Step, Workload
from suites.framework import Batch, Framework, Model

LEARNING_RATE = 1e-4
TRAINING_SETTINGS = ("samples", "epochs")


class NotFiniteError(ArithmeticError):
    """A model answered NaN or infinity on ordinary input."""


@dataclass(frozen=True, slots=True)
class Work:
    """A model with its data on the device: `call` is the unit that is measured. Its first call, which
    holds tracing and compilation, is behind it and took `first_call_seconds`."""

    model: Model
    call: Callable[[], Any]
    first_call_seconds: float


def made_up_inputs(workload: Workload, seed: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Inputs and target: normal for layers and encoders; for the image generator uniform, as in the
    document, `[batch, length, width]` tokens for either side and `[batch, length, 3]` colours."""
    generator = np.random.default_rng(seed)
    query = (workload.batch, workload.query_length, workload.width)
    if workload.architecture == "image_generator":
        key = (workload.batch, workload.key_length, workload.width)
        tokens = (generator.random(key, np.float32), generator.random(query, np.float32))
        return tokens, generator.random((*query[:2], 3), np.float32)
    values = generator.standard_normal(query, np.float32)
    return (values,), generator.standard_normal(query, np.float32)


def build_model(step: Step, arm: Arm, bench: Bench) -> Model:
    """The step's model around the arm's attention; the same seed for every arm of the step."""
    workload = step.workload
    if workload is None:
        raise ValueError(f"step {step.key} has no workload to build a model for")
    framework: Framework = bench.framework
    framework.seed(step.seed)
    return framework.build(
        bench.architecture(step),
        bench.attention(arm),
        dtype=workload.dtype,
        width=workload.width,
        heads=workload.heads,
        causal=workload.causal,
        max_length=workload.key_length,
        options=dict(arm.options),
        **{name: value for name, value in workload.settings.items() if name not in TRAINING_SETTINGS},
    )


def prepare(step: Step, arm: Arm, bench: Bench) -> Work:
    """The arm's model and its call: a forward pass, or one training step.

    Raises NotFiniteError when the first answer holds NaN or infinity, and whatever the implementation raises.
    """
    workload = step.workload
    model = build_model(step, arm, bench)
    assert workload is not None
    framework: Framework = bench.framework
    inputs, target = made_up_inputs(workload, step.seed)
    batch: Batch = framework.arrays(inputs, workload.dtype)
    if workload.phase == "forward":
        call = framework.forward(model, batch)
        answer, first = _first(lambda: framework.output(call()))
    else:
        (goal,) = framework.arrays([target], workload.dtype)
        update = framework.train_step(model, "mean_squared_error", LEARNING_RATE)

        def call() -> Any:
            return update(batch, goal)

        answer, first = _first(lambda: np.asarray(framework.number(call())))
    if not np.isfinite(answer).all():
        share = np.mean(~np.isfinite(answer))
        raise NotFiniteError(f"{share:.0%} of the {'output' if answer.ndim else 'loss'} is NaN or infinite")
    return Work(model, call, first)


def _first(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    begin = time.perf_counter()
    answer = call()
    return answer, time.perf_counter() - begin
