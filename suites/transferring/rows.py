"""A transfer experiment's outcomes as the rows of one arm: a figure, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bench.loading import load
from bench.schema import Arm, Measurement, Status, Step, Task
from suites.tasks.data import TaskData

if TYPE_CHECKING:
    from bench.measuring import Bench

UNITS = {
    "accuracy": "fraction",
    "accuracy_difference": "fraction",
    "masked_loss": "nats",
    "output_difference": "1",
    "training_seconds": "s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoScore:
    """Why something has no score."""

    reason: str
    status: Status = "failed"


Outcome = np.ndarray | NoScore
"""One value a test example, or why there is none."""


def data_of(step: Step) -> TaskData:
    """The data of the step's task; raises DataMissing where it is not there."""
    task = cast(Task, step.task)
    return cast(Callable[[Task], TaskData], load(task.target))(task)


def difference(one: Outcome, other: Outcome) -> Outcome:
    """`one` less `other`, example by example."""
    for outcome in (one, other):
        if isinstance(outcome, NoScore):
            return outcome
    assert isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return one - other


class Teller:
    """Writes the rows of one arm; `details` stand on each of them."""

    def __init__(self, step: Step, arm: Arm, bench: Bench, details: Mapping[str, str]) -> None:
        self.step, self.arm, self.bench, self.details = step, arm, bench, details

    def row(
        self,
        metric: str,
        part: str,
        outcome: Outcome | Sequence[float],
        told: Mapping[str, str] | None = None,
    ) -> Measurement:
        """The row of `metric`; its subject is ``task/part``, or the task where `part` is empty."""
        if isinstance(outcome, NoScore):
            return self._row(metric, part, told, status=outcome.status, reason=outcome.reason)
        return self._row(metric, part, told, values=[float(value) for value in outcome])

    def _row(self, metric: str, part: str, told: Mapping[str, str] | None, **fields: Any) -> Measurement:
        row = self.bench.measurement(
            self.step,
            self.arm,
            metric=metric,
            unit=UNITS[metric],
            tool=self.bench.framework.tool,
            details={**self.details, **(told or {})},
            **fields,
        )
        return replace(row, subject="/".join((self.step.subject, *filter(None, [part]))))
