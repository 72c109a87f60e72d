"""From a request to jobs: nothing asked for is dropped in silence, and cheap work comes first."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.candidates import candidates, refusal, user_variant
from bench.jobs import Site
from bench.plan import make_plan
from bench.registry import UnknownNameError, registry
from bench.schema import Job, Plan, Request, Task
from bench.shaping import shaped
from suites.tasks.rows_language import LANGUAGE

SITE = Site(run="run", environment_id="here", memory_bytes=8 << 30)


def plan(**request: object) -> Plan:
    return make_plan(Request(**request), registry(), SITE)  # type: ignore[arg-type]


def implementations(jobs: Sequence[Job]) -> set[str]:
    return {
        arm.implementation
        for job in jobs
        for step in job.steps
        for arm in step.arms
        if arm.role != "yardstick"
    }


def test_every_variant_and_framework_is_either_planned_or_refused_with_a_reason() -> None:
    named = tuple(registry().variants)
    made = plan(variants=named, suites=("throughput",))
    planned = implementations([job for job in made.jobs if job.suite == "throughput"])
    refused = {row.implementation for row in made.refusals if row.suite == "throughput"}
    asked = {f"{name}@{framework}" for name in named for framework in ("torch", "keras")}
    assert asked == planned | refused
    assert all(row.reason and row.status == "unsupported" for row in made.refusals)


def test_without_a_name_what_is_featured_is_measured_and_in_full_everything_of_ours() -> None:
    quick = implementations(plan(suites=("throughput",)).jobs)
    rows = [row for row in registry().variants.values() if row.family]
    featured = {f"{row.name}@{framework}" for row in rows for framework in row.featured}
    assert {name for name in quick if not name.startswith("matrix_product")} == featured
    full = implementations(plan(suites=("throughput",), profile="full", frameworks=("torch",)).jobs)
    assert full >= {f"{row.name}@torch" for row in rows if not row.peer_of and "torch" in row.targets}
    assert not any(f"{row.name}@torch" in full for row in rows if row.peer_of)


def test_the_reference_is_measured_even_when_only_a_candidate_is_named() -> None:
    made = plan(variants=("linear",), frameworks=("torch",), suites=("throughput",))
    roles = {(a.implementation, a.role) for job in made.jobs for step in job.steps for a in step.arms}
    assert ("softmax@torch", "reference") in roles
    assert ("softmax@torch", "control") in roles
    assert ("linear@torch", "candidate") in roles


def test_certificates_come_first_and_sharpening_launches_last() -> None:
    suites = [job.suite for job in plan(profile="full").jobs]
    assert suites[0] == "certificate"
    assert suites[-1] == "throughput"
    first_training = suites.index("accuracy")
    assert "memory" in suites[:first_training] and "throughput" in suites[:first_training]


def test_a_job_is_named_once() -> None:
    names = [job.id for job in plan(profile="full").jobs]
    assert len(names) == len(set(names))


def test_cross_attention_is_refused_to_what_has_none() -> None:
    made = plan(variants=("sliding_window",), frameworks=("torch",), suites=("throughput",))
    reasons = {row.subject: row.reason for row in made.refusals}
    assert "needs cross-attention" in reasons["image_generator/train_step/1024"]


def test_a_memory_across_segments_is_refused_to_what_has_none() -> None:
    known = registry()
    task = next(task for task in LANGUAGE["quick"] if task.name == "language_memory")
    found = candidates(Request(variants=("softmax", "transformer_xl"), frameworks=("torch",)), known)
    reasons = {one.name: refusal(one, task, known) for one in found}
    assert reasons == {
        "softmax@torch": "transformer_xl_lm needs segment memory, which softmax does not have",
        "transformer_xl@torch": "",
    }


def test_lengths_replace_those_of_the_profile() -> None:
    made = plan(frameworks=("torch",), suites=("throughput",), lengths=(17, 31))
    lengths = {
        step.workload.key_length for job in made.jobs for step in job.steps if step.workload and not job.bars
    }
    assert lengths == {17, 31}


def test_scaling_leaves_fixed_work_out() -> None:
    work = registry().suites["throughput"].workloads["quick"]
    assert {w.architecture for w in shaped(work, Request(lengths=(17,)))} == {"layer", "encoder"}
    assert {w.name for w in shaped(work, Request(lengths=(17,)))} >= {
        "layer/forward/17",
        "encoder/train_step/17",
    }


@pytest.mark.parametrize("field", ["variants", "suites", "tasks"])
def test_a_name_that_nobody_knows_is_refused_with_what_is_known(field: str) -> None:
    with pytest.raises(UnknownNameError, match="known:"):
        plan(**{field: ("nosuchthing",)})


def test_a_missing_extra_is_unsupported_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.candidates.missing", lambda modules: "sklearn" in modules)
    made = plan(suites=("accuracy",), frameworks=("torch",))
    assert not [job for job in made.jobs if job.suite == "accuracy"]
    assert {row.reason for row in made.refusals if row.suite == "accuracy"} == {"install attnbench[data]"}


def test_a_missing_framework_is_unsupported_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.candidates.missing", lambda modules: "keras" in modules)
    made = plan(suites=("memory",))
    assert {job.framework for job in made.jobs} == {"torch"}
    assert {row.reason for row in made.refusals if row.implementation == "linear@keras"} == {
        "install attnbench[keras]"
    }


@pytest.mark.parametrize(
    ("spec", "name", "framework", "refusal"),
    [
        ("mine.kernels:attend", "attend", "torch", ""),
        ("mine:Layer@keras", "Layer", "keras", ""),
        ("mine:softmax", "mine:softmax", "torch", "duplicate name"),
        ("a@home/mine.kernels:attend", "attend", "torch", ""),
        ("no colon", "no colon", "torch", "must have the form"),
    ],
)
def test_a_variant_of_the_users_is_read_or_refused(
    spec: str, name: str, framework: str, refusal: str
) -> None:
    variant, reason = user_variant(spec, {"softmax"})
    assert (variant.name, list(variant.targets)) == (name, [framework])
    assert reason.startswith(refusal) if refusal == "" else refusal in reason


def test_short_layers_are_timed_before_anything_long() -> None:
    labels = [
        job.id.split("/")[2] for job in plan(profile="quick", suites=("throughput",)).jobs if not job.bars
    ]
    assert labels[:6] == ["short layers"] * 6
    assert "long layers and models" in labels[6:]


def test_a_variant_of_the_users_brings_its_framework_and_that_frameworks_reference() -> None:
    made = plan(extra=("mine.layers:Own@keras",), frameworks=("torch",), suites=("throughput",))
    assert {"Own@keras", "softmax@keras"} <= implementations(made.jobs)


def test_certificates_share_the_cores_between_them() -> None:
    made = plan(variants=("sdpa",), frameworks=("torch",), suites=("memory",), threads=4, jobs=2)
    threads = {job.suite: job.threads for job in made.jobs}
    assert threads == {"certificate": 2, "memory": 4}


def tasks_of(made: Plan) -> dict[str, Task]:
    return {step.task.name: step.task for job in made.jobs for step in job.steps if step.task}


def test_unasked_a_profile_measures_its_default_tasks_only() -> None:
    for profile in ("smoke", "quick", "full"):
        unasked = set(tasks_of(plan(suites=("accuracy",), profile=profile)))
        assert {"documents", "topics", "emotion", "go_emotions", "text"}.isdisjoint(unasked)
        assert {"sentiment", "digits", "photographs"} <= unasked


@pytest.mark.parametrize("profile", ["smoke", "quick", "full"])
def test_a_task_that_is_named_is_measured_in_any_profile_at_that_profiles_budget(profile: str) -> None:
    made = tasks_of(plan(tasks=("topics", "sentiment"), profile=profile, frameworks=("torch",)))
    rows = {task.name: task for task in registry().suites["accuracy"].tasks[profile]}
    assert made == {name: rows[name] for name in ("topics", "sentiment")}


def test_a_named_task_without_a_row_in_the_profile_is_measured_by_the_row_that_it_has() -> None:
    suite = registry().suites["accuracy"]
    only_full = {"quick": suite.tasks["quick"][:1], "full": suite.tasks["full"]}
    known = replace(registry(), suites={"accuracy": replace(suite, tasks=only_full)})
    made = make_plan(Request(tasks=("topics",), frameworks=("torch",)), known, SITE)
    (row,) = [task for task in only_full["full"] if task.name == "topics"]
    assert tasks_of(made) == {"topics": row}
