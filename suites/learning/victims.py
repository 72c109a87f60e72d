"""Trained models out of a run's folder, as what attacks and explanations work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bench.loading import load
from bench.measuring import Finding
from bench.schema import Arm, Step, Task
from suites.framework import Batch, Framework, Model
from suites.learning.checkpoints import Shelf
from suites.learning.models import Blueprint
from suites.tasks.data import TaskData

if TYPE_CHECKING:
    from bench.measuring import Bench

DRAWN_BY = "seed"
"""The option that says which random features, rotations or blocks a variant draws."""


class NoCheckpointError(Finding):
    """There is nothing to attack or explain: training failed or was not run."""


class TrainedVictim:
    """A trained model, see `suites.attacks.victim.Victim`."""

    def __init__(
        self, blueprint: Blueprint, weights: dict[str, np.ndarray], classes: int, trained_as: str
    ) -> None:
        self.blueprint = blueprint
        self.weights = weights
        self.classes = classes
        self.name = blueprint.arm.implementation
        self.trained_as = trained_as
        self.framework: Framework = blueprint.framework
        self.batch = blueprint.task.batch
        self._use(blueprint.build())

    def _use(self, model: Model) -> None:
        """Run `model` from now on, with what was trained in it; what it drew stays its own."""
        own = self.blueprint.export(model)
        trained = self.framework.trained(model, self.blueprint.export)
        kept = {name: self.weights[name] if name in trained else own[name] for name in own}
        self.blueprint.insert(model, kept)
        self.model = model
        self._logits = self.framework.inference(lambda *inputs: model(*inputs))
        self._gradient = self.framework.loss_gradient(lambda *inputs: model(*inputs))
        self._embed = self.framework.inference(lambda tokens: model.embedding(tokens))
        self._from_embedded = self.framework.inference(lambda *inputs: model.from_embedded(*inputs))
        self._embedded_gradient = self.framework.loss_gradient(lambda *inputs: model.from_embedded(*inputs))

    @cached_property
    def draws(self) -> bool:
        """Whether another seed of the variant's own makes another layer."""
        options = {**self.blueprint.arm.options}
        return DRAWN_BY in options and options[DRAWN_BY] is not None

    def redraw(self, seed: int) -> None:
        """Draw random features, rotations or blocks anew; raises ValueError where the variant draws none."""
        if not self.draws:
            raise ValueError(f"{self.name} draws nothing at random")
        self._use(self.blueprint.build(**{DRAWN_BY: seed}))

    def logits(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Logits ``[n, classes]``."""
        return self._batched(lambda arrays: (self._logits(arrays),), inputs)[0]

    def loss_gradient(
        self, inputs: Sequence[np.ndarray], labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cross-entropy of each example, and the gradient of their sum by the first input."""
        losses, gradient = self._batched(
            lambda arrays: self._gradient(arrays[:-1], arrays[-1]), (*inputs, labels)
        )
        return losses, gradient

    def embed(self, tokens: np.ndarray) -> np.ndarray:
        """The tokens' vectors, before positions are added."""
        return self._batched(lambda arrays: (self._embed(arrays),), (tokens,))[0]

    def logits_of_embedded(self, embedded: np.ndarray, padding: np.ndarray) -> np.ndarray:
        """Logits from vectors in the place of the tokens' own."""
        return self._batched(lambda arrays: (self._from_embedded(arrays),), (embedded, padding))[0]

    def embedded_loss_gradient(
        self, embedded: np.ndarray, padding: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cross-entropy of each example, and the gradient of their sum by `embedded`."""
        losses, gradient = self._batched(
            lambda arrays: self._embedded_gradient(arrays[:-1], arrays[-1]), (embedded, padding, labels)
        )
        return losses, gradient

    def _batched(
        self, call: Callable[[Batch], tuple[Any, ...]], inputs: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, ...]:
        """The answers for any number of examples, `batch` at a time, the last one filled up: a graph is
        compiled once for each shape."""
        count = len(inputs[0])
        parts: list[tuple[np.ndarray, ...]] = []
        for start in range(0, count, self.batch):
            chosen = np.minimum(np.arange(start, start + self.batch), count - 1)
            arrays = self.framework.arrays([array[chosen] for array in inputs], "float32")
            parts.append(tuple(self.framework.output(one)[: count - start] for one in call(arrays)))
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def open_victim(step: Step, arm: Arm, bench: Bench) -> tuple[TrainedVictim, TaskData]:
    """The arm's trained model of the step's task and seed, and the task's data.

    Raises NoCheckpointError where no weights were kept, DataMissing where the data is not there, ValueError
    where the data or the weights are not what they were at training.
    """
    task = cast(Task, step.task)
    data = cast(Callable[[Task], TaskData], load(task.target))(task)
    shelf = Shelf(bench.job.folder, task.name, arm.implementation)
    try:
        checkpoint, weights = shelf.load(step.seed)
    except FileNotFoundError as error:
        raise NoCheckpointError(
            f"no trained weights of {arm.implementation} on {task.name} at seed {step.seed}:"
            " its accuracy rows say why"
        ) from error
    if checkpoint.data_sha256 != data.source.sha256:
        raise ValueError(f"the data of {task.name} has changed since {arm.implementation} was trained on it")
    blueprint = Blueprint.of(cast(Framework, bench.framework), step, arm, data)
    classes = int(data.settings["classes"])
    return TrainedVictim(blueprint, weights, classes, checkpoint.weights_sha256), data
