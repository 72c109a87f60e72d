"""The transfer suite: what a variant makes of knowledge that was learnt elsewhere.

Two experiments, which a task names in its setting ``experiment``: ``pretraining``
(`suites.transferring.pretraining`), for the same compute masked words and then a task or the task alone, and
``drop_in`` (`suites.transferring.dropin`), an encoder that was pretrained with softmax attention and gets
another in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

from bench.loading import load
from bench.schema import Arm, Measurement, Step, Task
from suites.tasks.data import DataMissing
from suites.transferring.rows import NoScore, Teller

if TYPE_CHECKING:
    from bench.measuring import Bench

Experiment: TypeAlias = "Callable[[Step, Arm, Bench], list[Measurement]]"
EXPERIMENTS = {
    "pretraining": "suites.transferring.pretraining:measured",
    "drop_in": "suites.transferring.dropin:measured",
}


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """All rows of every arm in the experiment of ``step.task``, at ``step.seed``.

    Without data or a pretrained model there is one row, ``unsupported``.
    """
    rows: list[Measurement] = []
    for arm in step.arms:
        measured, failed = bench.attempt(step, arm, partial(_measured, step, arm, bench))
        rows.extend([failed] if failed is not None else measured or [])
    return rows


def _measured(step: Step, arm: Arm, bench: Bench) -> list[Measurement]:
    task = cast(Task, step.task)
    name = task.settings.get("experiment")
    if name not in EXPERIMENTS:
        raise ValueError(f"{task.name}: experiment must be {' or '.join(EXPERIMENTS)}, got {name!r}")
    experiment = cast(Experiment, load(EXPERIMENTS[name]))
    try:
        return experiment(step, arm, bench)
    except DataMissing as error:
        absent = NoScore(reason=str(error), status="unsupported")
        return [Teller(step, arm, bench, {"cause": "data"}).row("accuracy", "", absent)]
