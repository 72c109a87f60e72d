"""Building and feeding a workload's models on any framework, for the suites that measure made-up work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from bench.loading import load
from bench.measuring import Bench
from bench.schema import Arm, Step, Workload
from suites.framework import Batch, Execution, Framework, Loss, Model

Answer = TypeVar("Answer")

LEARNING_RATE = 1e-4
# What a workload's settings say of the run and not of the model.
RUN_SETTINGS = ("samples", "epochs", "prompt")


class NotFiniteError(ArithmeticError):
    """A model answered NaN or infinity on ordinary input."""


@dataclass(frozen=True, slots=True)
class Work:
    """A model with its data on the device: `call` is the unit that is measured. Its first call, which
    holds tracing and compilation, is behind it and took `first_call_seconds`. `state_bytes` are those of
    the decoding state that a step leaves, for the whole batch; None where nothing is decoded."""

    model: Model
    call: Callable[[], Any]
    first_call_seconds: float
    state_bytes: int | None = None


def made_up_inputs(workload: Workload, seed: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Inputs and target of a forward pass or a training step: normal vectors for layers and encoders;
    token numbers for what has a vocabulary, the target being the next one; for the image generator
    uniform noise, as in the document, tokens for either side and `[batch, length, 3]` colours."""
    generator = np.random.default_rng(seed)
    if "vocabulary" in workload.settings:
        return _token_numbers(workload, generator)
    query = (workload.batch, workload.query_length, workload.width)
    if workload.architecture == "image_generator":
        key = (workload.batch, workload.key_length, workload.width)
        tokens = (generator.random(key, np.float32), generator.random(query, np.float32))
        return tokens, generator.random((*query[:2], 3), np.float32)
    values = generator.standard_normal(query, np.float32)
    return (values,), generator.standard_normal(query, np.float32)


def _token_numbers(
    workload: Workload, generator: np.random.Generator
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Uniform over the vocabulary without number 0, which stands for padding."""
    vocabulary = int(workload.settings["vocabulary"])
    drawn = generator.integers(1, vocabulary, (workload.batch, workload.query_length + 1))
    tokens, following = drawn[:, :-1], drawn[:, 1:]
    if workload.architecture == "encoder_decoder":
        source = generator.integers(1, vocabulary, (workload.batch, workload.key_length))
        return (source, tokens), following
    return (tokens,), following


def execution_of(workload: Workload) -> Execution:
    """How the workload's calls are run."""
    return Execution(compiled=workload.compiled, autocast=workload.autocast)


def build_model(step: Step, arm: Arm, bench: Bench) -> Model:
    """The step's model around the arm's attention; the same seed for every arm of the step."""
    workload = step.workload
    if workload is None:
        raise ValueError(f"step {step.key} has no workload to build a model for")
    framework: Framework = bench.framework
    framework.seed(step.seed)
    settings = {name: value for name, value in workload.settings.items() if name not in RUN_SETTINGS}
    model = framework.build(
        bench.architecture(step),
        bench.attention(arm),
        execution_of(workload),
        dtype=workload.dtype,
        width=workload.width,
        heads=workload.heads,
        causal=workload.causal,
        max_length=workload.key_length,
        options=dict(arm.options),
        **settings,
    )
    if workload.checkpointing:
        set_checkpointing: Any = load(f"{step.package}.checkpointing:set_checkpointing")
        set_checkpointing(model, True)
    return model


def prepare(step: Step, arm: Arm, bench: Bench) -> Work:
    """The arm's model and its call: a forward pass, a training step, a prompt read, a token decoded, or a
    text generated.

    Raises NotFiniteError when the first answer holds NaN or infinity, and whatever the implementation raises.
    """
    assert step.workload is not None
    if step.workload.phase in ("prefill", "decode", "generate"):
        return _decoding_work(step, arm, bench, step.workload)
    return _whole_work(step, arm, bench, step.workload)


def _whole_work(step: Step, arm: Arm, bench: Bench, workload: Workload) -> Work:
    model = build_model(step, arm, bench)
    framework: Framework = bench.framework
    inputs, target = made_up_inputs(workload, step.seed)
    batch: Batch = framework.arrays(inputs, workload.dtype)
    how = execution_of(workload)
    if workload.phase == "forward":
        call = framework.forward(model, batch, how)
        answer, first = _first(lambda: framework.output(call()))
    else:
        (goal,) = framework.arrays([target], workload.dtype)
        loss: Loss = "cross_entropy" if "vocabulary" in workload.settings else "mean_squared_error"
        update = framework.train_step(model, loss, LEARNING_RATE, how)

        def call() -> Any:
            return update(batch, goal)

        answer, first = _first(lambda: np.asarray(framework.number(call())))
    _require_finite(answer, "loss" if answer.ndim == 0 else "output")
    return Work(model, call, first)


def _decoding_work(step: Step, arm: Arm, bench: Bench, workload: Workload) -> Work:
    model = build_model(step, arm, bench)
    framework: Framework = bench.framework
    call = _decoding_call(step, model, framework, workload)
    (answer, state), first = _first(call)
    told = framework.output(answer)
    _require_finite(told, "output")
    return Work(model, call, first, None if state is None else framework.live_bytes(state))


def _decoding_call(
    step: Step, model: Model, framework: Framework, workload: Workload
) -> Callable[[], tuple[Any, Any]]:
    """A call that answers the output, and the state where there is one."""
    context = replace(workload, query_length=workload.key_length)
    ((tokens, *_), _) = made_up_inputs(context, step.seed)
    if workload.phase == "prefill":
        (prompt,) = framework.arrays([tokens], workload.dtype)
        return lambda: framework.call(model.prefill, prompt)
    if workload.phase == "generate":
        generate: Any = load(f"{step.package}.generation:generate")
        (prompt,) = framework.arrays([tokens[:, : int(workload.settings["prompt"])]], workload.dtype)
        new = workload.key_length - int(workload.settings["prompt"])
        return lambda: (framework.call(generate, model, prompt, new), None)
    # One token short, so that the measured step ends at the length that the workload names.
    prompt, last = framework.arrays([tokens[:, :-1], tokens[:, -1:]], workload.dtype)
    token = last[:, 0] if "vocabulary" in workload.settings else last
    _, state = framework.call(model.prefill, prompt)
    # The state is used again by every call: caches write the same place, recurrences make a new state.
    return lambda: framework.call(model.step, token, state)


def _require_finite(answer: np.ndarray, what: str) -> None:
    if not np.isfinite(answer).all():
        raise NotFiniteError(f"{np.mean(~np.isfinite(answer)):.0%} of the {what} is NaN or infinite")


def _first(call: Callable[[], Answer]) -> tuple[Answer, float]:
    begin = time.perf_counter()
    answer = call()
    return answer, time.perf_counter() - begin
