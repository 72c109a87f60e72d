"""The interpretability suite: which tokens and patches decided, how faithful that answer is, and whether it
speaks of the model at all.

Works on the models that the accuracy suite trained. Every metric of occlusion is there for every variant;
those of attention rollout (named `…_rollout`) where the variant's attention has rows, else they are
`unsupported` with the reason. An explanation that survives the redrawing of all weights is
`inconclusive`: it carries no figure of faithfulness. Values are one a test example, so that variants are
paired; those of `attention_entropy` and `largest_logit` are one a layer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bench.schema import Arm, Measurement, Option, Status, Step, Task
from suites.explanations.randomisation import THRESHOLD, verdict
from suites.explanations.rows import open_attention
from suites.explanations.shown import shown
from suites.explanations.study import Budget, Study, study
from suites.explanations.written_out import WrittenOut
from suites.learning.victims import open_victim
from suites.tasks.data import DataMissing, TaskData

if TYPE_CHECKING:
    from bench.measuring import Bench

UNITS = {
    "naopc": "index",
    "aopc_comprehensiveness": "probability",
    "aopc_sufficiency": "probability",
    "randomisation_correlation": "correlation",
    "rollout_occlusion_correlation": "correlation",
    "naopc_rollout": "index",
    "aopc_comprehensiveness_rollout": "probability",
    "aopc_sufficiency_rollout": "probability",
    "randomisation_correlation_rollout": "correlation",
    "attention_entropy": "share",
    "largest_logit": "logit",
}
SUFFIXES = {"occlusion": "", "rollout": "_rollout"}
ABSENT = {
    "naopc": "hiding features changes no answer of this model: there is no range to normalise by",
    "largest_logit": "this variant makes its weights of no logits",
}


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """All metrics of every arm on ``step.task`` at ``step.seed``."""
    if step.task is None:
        raise ValueError(f"the interpretability suite measures tasks; step {step.key!r} has none")
    rows: list[Measurement] = []
    for arm in step.arms:
        measured, failed = bench.attempt(step, arm, partial(_measured, step, arm, bench))
        rows.extend([failed] if failed is not None else measured or [])
    return rows


def _measured(step: Step, arm: Arm, bench: Bench) -> list[Measurement]:
    told = partial(bench.measurement, step, arm)
    try:
        victim, data = open_victim(step, arm, bench)
    except DataMissing as error:
        missing = partial(told, tool="attnbench", status="unsupported", reason=str(error))
        return [missing(metric=m, unit=unit, details={"cause": "data"}) for m, unit in UNITS.items()]
    budget = Budget.of(step.examples)
    weights = victim.blueprint.export(victim.model)
    insert = partial(victim.blueprint.insert, victim.model)
    writing = partial(_written_out, step, arm, bench, data, weights)
    found = study(victim, data, weights, insert, writing, budget)
    tool = f"attnbench, {bench.framework.tool}"
    return [told(**fields, tool=tool) for fields in rows_of(found, data, budget)]


def _written_out(
    step: Step, arm: Arm, bench: Bench, data: TaskData, weights: Mapping[str, np.ndarray]
) -> WrittenOut:
    task = cast(Task, step.task)
    variant = arm.implementation.partition("@")[0]
    options: dict[str, Option] = {**arm.options, **task.variant_options.get(variant, {})}
    attention = open_attention(
        arm.claims.definition,
        bench.attention(arm),
        bench.framework,
        heads=task.heads,
        causal=task.causal,
        options=options,
    )
    return WrittenOut(
        weights=weights, attention=attention, positions=str(data.settings.get("positions", "learned"))
    )


def rows_of(found: Study, data: TaskData, budget: Budget) -> list[dict[str, Any]]:
    """Every metric of a study as the fields of its measurement."""
    verdicts = {name: verdict(one.randomisation) for name, one in found.faithfulness.items()}
    details = {**data.details(), **_told(found, budget)}
    importances = shown(found, data)
    rows: list[dict[str, Any]] = []
    for name, suffix in SUFFIXES.items():
        rows += _faithfulness_rows(found, name, suffix, verdicts.get(name, ""))
    reasons = [f"{name} {reason}" for name, reason in verdicts.items() if reason]
    rows.append(_row("rollout_occlusion_correlation", found.agreement, "; ".join(reasons), found.refused))
    for metric in ("attention_entropy", "largest_logit"):
        rows.append(_row(metric, found.stability.get(metric, ()), "", found.refused))
    for row in rows:
        row["details"] = details | row["details"]
        if row["metric"] == "aopc_comprehensiveness":
            row["details"]["importances"] = importances
        if row["metric"] in ("attention_entropy", "largest_logit"):
            row["details"]["values"] = "one a layer, from the first on"
        if row["metric"] == "attention_entropy" and "attention_entropy_nats" in found.stability:
            nats = found.stability["attention_entropy_nats"]
            row["details"]["nats"] = json.dumps([round(value, 4) for value in nats])
    return rows


def _told(found: Study, budget: Budget) -> dict[str, str]:
    texts = len(found.examples[0].inputs) > 1
    return {
        "hidden_feature": "the unknown word" if texts else "the mean patch of the training images",
        "explained": "the class that the model predicts",
        "beam": str(budget.beam),
        "exact_limits": f"{found.exact} of {found.searched}",
        "draws": str(budget.draws),
        "threshold": f"{THRESHOLD:g}",
        "forward_passes": str(found.passes),
        "rollouts_left_out": str(found.left_out),
    }


def _faithfulness_rows(found: Study, name: str, suffix: str, doubt: str) -> list[dict[str, Any]]:
    one = found.faithfulness.get(name)
    scored: dict[str, tuple[Sequence[float], Sequence[int]]] = {
        "naopc": (one.naopc, one.normalised) if one else ((), ()),
        "aopc_comprehensiveness": (one.comprehensiveness, one.chosen) if one else ((), ()),
        "aopc_sufficiency": (one.sufficiency, one.chosen) if one else ((), ()),
        "randomisation_correlation": (one.randomisation, one.chosen) if one else ((), ()),
    }
    rows = []
    for metric, (values, chosen) in scored.items():
        # The correlation is the test itself; what it puts in doubt is everything else.
        reason = "" if metric == "randomisation_correlation" else doubt
        row = _row(f"{metric}{suffix}", values, reason, "" if one else found.refused)
        row["details"] = {"explanation": name, "examples": json.dumps(list(chosen))}
        rows.append(row)
    return rows


def _row(metric: str, values: Sequence[float], doubt: str, refused: str) -> dict[str, Any]:
    """The fields of one measurement: refused, in doubt, without a value, or with its values."""
    fields: dict[str, Any] = {"metric": metric, "unit": UNITS[metric], "details": {}}
    status: Status = "ok"
    reason = ""
    if refused:
        status, reason = "unsupported", refused
    elif doubt:
        status, reason = "inconclusive", doubt
    elif not values:
        status, reason = "unsupported", ABSENT[metric.removesuffix("_rollout")]
    return {**fields, "status": status, "reason": reason, "values": tuple(values) if status == "ok" else ()}
