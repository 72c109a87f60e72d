"""How a trained model is scored on examples: batch by batch, one value an example."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from bench.loading import load
from bench.measuring import Finding
from bench.schema import Task
from suites.framework import Framework, Model
from suites.tasks.data import TaskData
from suites.tasks.scores import score

Scores = Mapping[str, np.ndarray]
Evaluate = Callable[
    [Framework, Model, Sequence[np.ndarray], np.ndarray, TaskData, Task], Mapping[str, np.ndarray]
]


class NotFiniteError(Finding):
    """A model that answers with infinities or NaN: it has no score."""


def scored(framework: Framework, model: Model, data: TaskData, task: Task) -> Scores:
    """Each metric's values on the test side of `data`: one an example ``[examples]``, or a profile ``[bins]``
    that is the mean over them.

    Raises NotFiniteError, with how many outputs are not finite.
    """
    if task.evaluator:
        evaluate = cast(Evaluate, load(task.evaluator))
        return evaluate(framework, model, data.test_inputs, data.test_targets, data, task)
    found: dict[str, list[np.ndarray]] = {}
    broken = total = 0
    for start, outputs in outputs_of(framework, model, data.test_inputs, task.batch):
        broken, total = broken + int((~np.isfinite(outputs)).sum()), total + outputs.size
        targets = data.test_targets[start : start + len(outputs)]
        for metric, values in ({} if broken else score(data.score, outputs, targets)).items():
            found.setdefault(metric, []).append(np.asarray(values, dtype=np.float64))
    if broken:
        raise NotFiniteError(f"{broken} of {total} outputs on the test set are not finite")
    whole = {metric: np.concatenate(parts) for metric, parts in found.items()}
    return {metric: values.mean(axis=0) if values.ndim == 2 else values for metric, values in whole.items()}


def outputs_of(
    framework: Framework, model: Model, inputs: Sequence[np.ndarray], batch: int
) -> Iterator[tuple[int, np.ndarray]]:
    """The number of the first example and the outputs of each batch of examples.

    The last batch is filled up with its last example: a graph is compiled once for each shape it meets.
    """
    count = len(inputs[0])
    for start in range(0, count, batch):
        chosen = np.minimum(np.arange(start, start + batch), count - 1)
        arrays = framework.arrays([array[chosen] for array in inputs], "float32")
        yield start, framework.output(framework.forward(model, arrays)())[: count - start]


def predict(framework: Framework, model: Model, inputs: Sequence[np.ndarray], batch: int) -> np.ndarray:
    """The model's outputs for all examples, `batch` at a time."""
    return np.concatenate([outputs for _, outputs in outputs_of(framework, model, inputs, batch)])
