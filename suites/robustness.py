"""The robustness suite: what breaks a trained model, on the same test examples for every variant.

It works on the weights that the accuracy suite kept. Each attack answers, for the first `Step.examples` test
examples, whether the model is right before and after; an example that was wrong already counts as wrong. A
gate that does not hold (`suites.attacks.gates`) makes the attacks it concerns ``inconclusive``: no score.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bench.schema import Arm, Measurement, Step, Task
from suites.attacks.campaign import Campaign
from suites.attacks.gates import inconclusive
from suites.attacks.outcome import Attacked
from suites.learning.victims import TrainedVictim, open_victim
from suites.tasks.data import DataMissing, TaskData

if TYPE_CHECKING:
    from bench.measuring import Bench

UNITS = {
    "clean_accuracy": "fraction",
    "robust_accuracy": "fraction",
    "corrupted_accuracy": "fraction",
    "expected_accuracy": "fraction",
    "attack_queries": "count",
    "attack_changed": "share",
    "calibration_error": "fraction",
    "brier": "score",
    "negative_log_likelihood": "nats",
    "auroc": "fraction",
    "fpr95": "fraction",
    "transfer_success": "fraction",
}
Attack = Callable[[TrainedVictim, TaskData, Task, int, int], Campaign]
CAMPAIGNS = {"text": "suites.attacks.on_texts", "image": "suites.attacks.on_images"}


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """All attacks on every arm's trained model of ``step.task`` at ``step.seed``."""
    rows: list[Measurement] = []
    for arm in step.arms:
        measured, failed = bench.attempt(step, arm, partial(_measured, step, arm, bench))
        rows.extend([failed] if failed is not None else measured or [])
    return rows


def _measured(step: Step, arm: Arm, bench: Bench) -> list[Measurement]:
    task = cast(Task, step.task)
    teller = Teller(step, arm, bench)
    try:
        victim, data = open_victim(step, arm, bench)
    except DataMissing as error:
        return [teller.refused("clean_accuracy", task.name, "unsupported", str(error), {})]
    attack: Attack = importlib.import_module(CAMPAIGNS[task.modality]).attack
    campaign = attack(victim, data, task, step.examples, step.seed)
    campaign.keep(bench.job.folder, task.name, arm.implementation, step.seed)
    return [*teller.of(campaign)]


class Teller:
    """A campaign as the rows of one arm."""

    def __init__(self, step: Step, arm: Arm, bench: Bench) -> None:
        self.step, self.arm, self.bench = step, arm, bench
        self.task = cast(Task, step.task).name

    def of(self, campaign: Campaign) -> Iterator[Measurement]:
        """Clean accuracy, each attack at each budget, and what could not be attacked, with the reason."""
        yield self.row("clean_accuracy", self.task, campaign.right.astype(float), {})
        for attacked in campaign.attacked:
            yield from self._attacked(
                attacked, inconclusive(campaign.gates, attacked.attack, attacked.budget)
            )
        for (metric, subject), values in campaign.figures.items():
            yield self.row(metric, "/".join((self.task, *filter(None, [subject]))), values, {})
        for attack, reason in campaign.unsupported.items():
            subject = f"{self.task}/{attack}"
            yield self.refused("robust_accuracy", subject, "unsupported", reason, {"attack": attack})

    def _attacked(self, attacked: Attacked, doubt: str) -> Iterator[Measurement]:
        subject = f"{self.task}/{attacked.attack}/{attacked.budget:g}"
        told = {
            "attack": attacked.attack,
            "kind": attacked.kind,
            "family": attacked.family,
            "budget": f"{attacked.budget:g}",
            "unit": attacked.unit,
        }
        if attacked.kind == "corruption":
            yield self.row("corrupted_accuracy", subject, attacked.right_after.astype(float), told)
            return
        metrics = ("robust_accuracy", "attack_queries", "attack_changed")
        if doubt:
            yield from (self.refused(metric, subject, "inconclusive", doubt, told) for metric in metrics)
            return
        broken = attacked.right_before & ~attacked.right_after
        yield self.row("robust_accuracy", subject, (attacked.right_before & attacked.right_after) * 1.0, told)
        for metric, values in zip(metrics[1:], (attacked.queries, attacked.changed), strict=True):
            if broken.any():
                yield self.row(metric, subject, values[broken].astype(float), told)
            else:
                yield self.refused(metric, subject, "unsupported", "no attack succeeded", told)

    def row(
        self, metric: str, subject: str, values: np.ndarray | Sequence[float], told: Mapping[str, str]
    ) -> Measurement:
        """A measured row; `subject` is ``task`` or ``task/attack/budget``."""
        return self._row(metric, subject, told, values=[float(value) for value in np.asarray(values).ravel()])

    def refused(
        self, metric: str, subject: str, status: str, reason: str, told: Mapping[str, str]
    ) -> Measurement:
        """A row without values, and why."""
        return self._row(metric, subject, told, status=status, reason=reason)

    def _row(self, metric: str, subject: str, told: Mapping[str, str], **fields: Any) -> Measurement:
        row = self.bench.measurement(
            self.step,
            self.arm,
            metric=metric,
            unit=UNITS[metric],
            tool=self.bench.framework.tool,
            details={"task": self.task, **told},
            **fields,
        )
        return replace(row, subject=subject)
