"""One grid of learning rates for every variant: what is trained, what is chosen, what the other seeds take.

At the first seed a model is trained at each rate of the task's grid and the one that does best on validation
examples is kept; the other seeds train at its rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from bench.measuring import Finding
from bench.schema import Arm, Step, Task
from suites.framework import Framework, Model
from suites.learning.checkpoints import Chosen, Shelf
from suites.learning.models import Blueprint
from suites.learning.scoring import NotFiniteError, scored
from suites.learning.training import Budget, Kept, Look, Trained, nothing, train, without_validation
from suites.tasks.data import TaskData
from suites.tasks.scores import LOWER_IS_BETTER

if TYPE_CHECKING:
    from bench.measuring import Bench


class DivergedError(Finding):
    """No training of the grid came to its end with a finite loss and finite outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One learning rate of the grid: the model it came to and its score on the validation examples."""

    learning_rate: float
    trained: Trained
    validation: float | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One arm's training on a step's task: at the first seed the whole grid, at the others the rate that was
    chosen there."""

    step: Step
    arm: Arm
    bench: Bench
    data: TaskData

    @property
    def task(self) -> Task:
        """The step's task."""
        return cast(Task, self.step.task)

    @property
    def framework(self) -> Framework:
        """The suites' part for the job's framework."""
        return cast(Framework, self.bench.framework)

    @property
    def chooses(self) -> bool:
        """Whether this is the seed at which the learning rate is chosen."""
        return self.bench.job.launch == 0

    @cached_property
    def blueprint(self) -> Blueprint:
        """How the model is built."""
        return Blueprint.of(self.framework, self.step, self.arm, self.data)

    @cached_property
    def shelf(self) -> Shelf:
        """Where the weights go."""
        return Shelf(self.bench.job.folder, self.task.name, self.arm.implementation)

    @cached_property
    def best(self) -> Attempt:
        """The chosen model; raises DivergedError where there is none."""
        if not self.chooses:
            return self._at_the_chosen_rate()
        whole = [attempt for attempt in self.grid if attempt.validation is not None]
        if not whole:
            raise DivergedError("; ".join(f"at {a.learning_rate:g} {a.reason}" for a in self.grid))
        sign = -1 if self.task.metric in LOWER_IS_BETTER else 1
        best = max(whole, key=lambda attempt: sign * cast(float, attempt.validation))
        validation = {f"{attempt.learning_rate:g}": attempt.validation for attempt in self.grid}
        self.shelf.choose(
            Chosen(learning_rate=best.learning_rate, validation=validation, metric=self.task.metric)
        )
        return best

    def _at_the_chosen_rate(self) -> Attempt:
        chosen = self.shelf.chosen
        if chosen is None:
            raise DivergedError("no learning rate could be chosen at the first seed")
        trained = self._trained(chosen.learning_rate)
        if trained.divergence:
            raise DivergedError(f"at {chosen.learning_rate:g} {trained.divergence}")
        return Attempt(learning_rate=chosen.learning_rate, trained=trained, validation=None)

    @cached_property
    def grid(self) -> tuple[Attempt, ...]:
        """One training for each learning rate of the task's grid."""
        return tuple(map(self._attempt, self.task.learning_rates))

    def _attempt(self, learning_rate: float) -> Attempt:
        trained = self._trained(learning_rate)
        if trained.divergence:
            return Attempt(
                learning_rate=learning_rate, trained=trained, validation=None, reason=trained.divergence
            )
        _, validation = self.sides
        try:
            scores = scored(self.framework, trained.model, validation, self.task)
        except NotFiniteError as error:
            return Attempt(learning_rate=learning_rate, trained=trained, validation=None, reason=str(error))
        score = float(scores[self.task.metric].mean())
        return Attempt(learning_rate=learning_rate, trained=trained, validation=score)

    @cached_property
    def sides(self) -> tuple[TaskData, TaskData]:
        """What is trained on, and what the learning rate is chosen on: its test side."""
        return without_validation(self.data)

    def _trained(self, learning_rate: float) -> Trained:
        budget = Budget(
            steps=self.task.steps, batch=self.task.batch, learning_rate=learning_rate, seed=self.step.seed
        )
        train_side, _ = self.sides
        self.bench.alive()
        kept = Kept(
            shelf=self.shelf,
            budget=budget,
            loss=self.data.loss,
            data_sha256=self.data.source.sha256,
            alive=self.bench.alive,
        )
        self.framework.seed(self.step.seed)
        look = self.look(learning_rate)
        return train(self.framework, self.first_model(), train_side, budget, kept, look)

    def look(self, learning_rate: float) -> Look:
        """What is shown the model while it trains at a rate; nothing, here."""
        return nothing

    def first_model(self) -> Model:
        """The model that training starts from."""
        return self.blueprint.build()

    @property
    def budget_told(self) -> dict[str, str]:
        """The training's budget as the text that a measurement carries."""
        task = self.task
        return {
            "steps": str(task.steps),
            "batch": str(task.batch),
            "optimiser": "Adam, epsilon 1e-7, constant learning rate",
            "grid": " ".join(f"{rate:g}" for rate in task.learning_rates),
        }
