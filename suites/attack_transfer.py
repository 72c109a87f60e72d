"""Do texts that fool one variant fool another? The transfer matrix, one row of it for each attacked model.

It runs after the robustness suite and reads the adversarial texts that it left beside the weights.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from bench.schema import Arm, Measurement, Step, Task
from suites.attacks.campaign import found_against
from suites.attacks.text_subject import text_subject
from suites.learning.victims import open_victim
from suites.robustness import Teller

if TYPE_CHECKING:
    from bench.measuring import Bench


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """For every model's adversarial texts: 1 where one that both had right before fools this one too."""
    rows: list[Measurement] = []
    for arm in step.arms:
        measured, failed = bench.attempt(step, arm, partial(_measured, step, arm, bench))
        rows.extend([failed] if failed is not None else measured or [])
    return rows


def _measured(step: Step, arm: Arm, bench: Bench) -> list[Measurement]:
    task = cast(Task, step.task)
    victim, data = open_victim(step, arm, bench)
    subject = text_subject(data, task.max_length, step.examples)
    right = subject.right(victim, subject.texts)
    teller = Teller(step, arm, bench)
    rows = []
    for source in found_against(bench.job.folder, task.name, step.seed):
        for one in source.found:
            tried = np.array(one.fooled) & right
            still = subject.right(victim, one.texts)
            told = {"attack": one.attack, "family": one.family, "from": source.implementation}
            subject_told = f"{task.name}/{one.attack}/from {source.implementation}"
            if tried.any():
                rows.append(teller.row("transfer_success", subject_told, (~still[tried]) * 1.0, told))
            else:
                reason = "no text that fooled the source was right before here"
                rows.append(teller.refused("transfer_success", subject_told, "unsupported", reason, told))
    return rows
