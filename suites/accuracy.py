"""The accuracy suite: what a variant learns on real and made-up data with the same budget as every other.

One implementation, one task, one seed, by the rules of `suites.learning`. Answered are raw values, one a test
example, so that the report can pair variants on the same examples. Trained weights stay in the run's folder
for the suites that come after.

A baseline (role ``baseline``) is a function ``name(data) -> {metric: values}`` in the task's own file.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from bench.loading import load
from bench.schema import Arm, Measurement, Step, Task
from suites.learning.attention_watch import UNITS as WATCHED_UNITS
from suites.learning.attention_watch import AttentionWatch
from suites.learning.checkpoints import Checkpoint, hash_of
from suites.learning.grid import Attempt, DivergedError, Training
from suites.learning.scoring import NotFiniteError, Scores, scored
from suites.learning.training import NOT_A_TIMING, Look
from suites.tasks.data import DataMissing, Score, TaskData
from suites.tasks.scores import UNITS

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
    training = Measured(step=step, arm=arm, bench=bench, data=data)
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


@dataclass(frozen=True, kw_only=True)
class Measured(Training):
    """A training whose attention is looked at on the way, and what it comes to as rows."""

    watches: dict[float, AttentionWatch] = field(default_factory=dict)

    def look(self, learning_rate: float) -> Look:
        """A watch on attention, kept for its rows."""
        _, validation = self.sides
        watch = AttentionWatch(blueprint=self.blueprint, inputs=validation.test_inputs)
        self.watches[learning_rate] = watch
        return watch.look

    def rows(self) -> Iterator[Measurement]:
        """Scores of the chosen model on the test examples, and what its training was like."""
        best = self.best
        scores = scored(self.framework, best.trained.model, self.data, self.task)
        self._keep(best, scores)
        details = {**self.data.details(), **self.budget_told, **self.blueprint.told(best.trained.model)}
        step, arm, bench, tool = self.step, self.arm, self.bench, self.framework.tool
        yield from _scores(step, arm, bench, scores, UNITS[self.data.score], tool, details)
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
