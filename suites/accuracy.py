"""The accuracy suite: what a variant learns on real and made-up data with the same budget as every other.

One implementation, one task, one seed, by the rules of `suites.training`: at the first seed a model is
trained at each learning rate of the task's grid and the one that does best on validation examples is kept;
the other seeds train at its rate. Answered are raw values, one a test example, so that the report can pair
variants on the same examples. Trained weights stay in the run's folder for the suites that come after.

A baseline (role ``baseline``) is a function ``name(data) -> {metric: values}`` in the task's own file.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, cast

import numpy as np

from bench.loading import load
from bench.measuring import Finding
from bench.schema import Arm, Measurement, Step, Task
from suites.attention_watch import UNITS as WATCHED_UNITS
from suites.attention_watch import AttentionWatch
from suites.checkpoints import Checkpoint, Chosen, Shelf, hash_of
from suites.framework import Framework, Model
from suites.models import Blueprint
from suites.scoring import NotFiniteError, Scores, scored
from suites.tasks.data import DataMissing, Score, TaskData
from suites.tasks.scores import LOWER_IS_BETTER, UNITS
from suites.training import Budget, Kept, Trained, train, without_validation

if TYPE_CHECKING:
    from bench.measuring import Bench

TRAINING_UNITS = {
    "parameters": "count",
    "training_seconds": "s",
    "loss_curve": "loss",
    "learning_rate": "1",
    "loss_spikes": "count",
    "gradient_norm_p50": "norm",
    "gradient_norm_p95": "norm",
    "gradient_norm_max": "norm",
}
# What a task's baselines are made or scored with, by the task's score; where nothing is said, NumPy.
BASELINES_BY: dict[Score, str] = {
    "accuracy": "sklearn",
    "image_quality": "skimage",
    "translation": "sacrebleu",
}
GRID_UNITS = {"diverged": "fraction", "validation": "score"}
CURVE_POINTS = 100
Values = Sequence[float] | np.ndarray
NOT_A_TIMING = "wall clock of all training steps beside other work, compilation included: not a timing"


class DivergedError(Finding):
    """No training of the grid came to its end with a finite loss and finite outputs."""


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
    training = Training(step=step, arm=arm, bench=bench, data=data)
    try:
        return list(training.rows())
    except (DivergedError, NotFiniteError) as error:
        units, details = _units(data.score, arm), {**data.details(), **training.budget_told}
        refused = _refuse(step, bench, arm, units, "failed", str(error), details)
        return [*refused, *training.grid_rows()]


def _baseline(step: Step, arm: Arm, bench: Bench, data: TaskData) -> list[Measurement]:
    answer = cast(Callable[[TaskData], Mapping[str, Values]], load(arm.target))
    package = BASELINES_BY.get(data.score, "numpy")
    tool = f"{package} {importlib.import_module(package).__version__}"
    return _scores(step, arm, bench, answer(data), UNITS[data.score], tool, data.details())


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
    chosen there. `watching`: what its attention does on the way is looked at."""

    step: Step
    arm: Arm
    bench: Bench
    data: TaskData
    watches: dict[float, AttentionWatch] = field(default_factory=dict)
    watching: bool = True

    def rows(self) -> Iterator[Measurement]:
        """Scores of the chosen model on the test examples, and what its training was like."""
        best = self.best
        scores = scored(self.framework, best.trained.model, self.data, self.task)
        self._keep(best, scores)
        details = {**self.data.details(), **self.budget_told, **self.blueprint.told(best.trained.model)}
        step, arm, bench, tool = self.step, self.arm, self.bench, self.framework.tool
        yield from _scores(step, arm, bench, scores, self._score_units, tool, details)
        for metric, values, more in self._training_values(best):
            yield bench.measurement(
                step,
                arm,
                metric=metric,
                unit=TRAINING_UNITS[metric],
                values=values,
                tool=tool,
                details={**details, **more},
            )
        yield from self._attention_rows(best, details)
        yield from self.grid_rows()

    def _attention_rows(self, best: Attempt, details: Mapping[str, str]) -> Iterator[Measurement]:
        # A user's own kernel has no definition, and is probed where explanations are asked for.
        watched = self.watches[best.learning_rate].rows() if self.arm.claims.definition else ()
        for metric, reason, values, told in watched:
            outcome = {"status": "unsupported", "reason": reason} if reason else {"values": values}
            yield self.bench.measurement(
                self.step,
                self.arm,
                metric=metric,
                unit=WATCHED_UNITS[metric],
                tool="attnbench",
                details={**details, **told},
                **outcome,
            )

    def grid_rows(self) -> Iterator[Measurement]:
        """At the first seed: the share of the grid that diverged, and the validation score of each rate."""
        if not self.chooses:
            return
        grid = self.grid
        scores = [a.validation for a in grid if a.validation is not None]
        details = {
            **self.data.details(),
            **self.budget_told,
            "grid": " ".join(f"{attempt.learning_rate:g}" for attempt in grid),
            "scored": " ".join(f"{a.learning_rate:g}" for a in grid if a.validation is not None),
            "diverged": "; ".join(f"{a.learning_rate:g}: {a.reason}" for a in grid if a.reason),
        }
        share = [(len(grid) - len(scores)) / len(grid)]
        for metric, values in (("diverged", share), ("validation", scores)):
            if values:
                yield self.bench.measurement(
                    self.step,
                    self.arm,
                    metric=metric,
                    unit=GRID_UNITS[metric],
                    values=values,
                    tool=self.framework.tool,
                    details=details,
                )

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
        train_side, validation = self.sides
        self.bench.alive()
        kept = Kept(
            shelf=self.shelf,
            budget=budget,
            loss=self.data.loss,
            data_sha256=self.data.source.sha256,
            alive=self.bench.alive,
        )
        self.framework.seed(self.step.seed)
        model = self.first_model()
        if not self.watching:
            return train(self.framework, model, train_side, budget, kept)
        watch = AttentionWatch(blueprint=self.blueprint, inputs=validation.test_inputs)
        self.watches[learning_rate] = watch
        return train(self.framework, model, train_side, budget, kept, watch.look)

    def first_model(self) -> Model:
        """The model that training starts from."""
        return self.blueprint.build()

    def _keep(self, best: Attempt, scores: Scores) -> None:
        weights = self.blueprint.export(best.trained.model)
        checkpoint = Checkpoint(
            implementation=self.arm.implementation,
            task=self.task.name,
            seed=self.step.seed,
            learning_rate=best.learning_rate,
            steps=self.task.steps,
            expansion=self.blueprint.expansion,
            weights_sha256=hash_of(weights),
            data_sha256=self.data.source.sha256,
            tool=self.framework.tool,
            details={metric: f"{values.mean():.6g}" for metric, values in scores.items()},
        )
        self.shelf.save(checkpoint, weights)

    @property
    def _score_units(self) -> Mapping[str, str]:
        return UNITS[self.data.score]

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

    def _training_values(self, best: Attempt) -> Iterator[tuple[str, Sequence[float], dict[str, str]]]:
        trained = best.trained
        every = -(-len(trained.losses) // CURVE_POINTS)
        parts = {"parts": " ".join(trained.parts)}
        yield "parameters", [float(self.framework.parameters(trained.model))], {}
        yield "training_seconds", [trained.seconds], {"conditions": NOT_A_TIMING}
        yield "loss_curve", trained.losses[every - 1 :: every], {"every": str(every)}
        yield "learning_rate", [best.learning_rate], {}
        yield "loss_spikes", [float(trained.spikes)], {}
        for name, percent in (("p50", 50), ("p95", 95), ("max", 100)):
            yield f"gradient_norm_{name}", np.percentile(trained.norms, percent, axis=0).tolist(), parts


def _score_of(task: Task) -> Score:
    return next((name for name, units in UNITS.items() if task.metric in units), "accuracy")


def _units(name: Score, arm: Arm) -> dict[str, str]:
    return UNITS[name] if arm.role == "baseline" else {**UNITS[name], **TRAINING_UNITS}


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
    scores: Mapping[str, Values],
    units: Mapping[str, str],
    tool: str,
    details: Mapping[str, str],
) -> list[Measurement]:
    return [
        bench.measurement(
            step,
            arm,
            metric=metric,
            unit=units[metric],
            values=np.asarray(values, dtype=np.float64).tolist(),
            tool=tool,
            details=dict(details),
        )
        for metric, values in scores.items()
    ]
