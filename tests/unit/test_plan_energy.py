"""What is metered and when: a plain comparison has energy in it, and what costs minutes is asked for."""

from collections.abc import Sequence

import pytest

from bench.jobs import Site, is_training_run
from bench.plan import make_plan
from bench.profiles import PROFILES
from bench.registry import registry
from bench.schema import Job, Plan, Request
from suites.catalog_of_energy import WINDOW_SECONDS, WINDOWS

SITE = Site(run="run", environment_id="here", memory_bytes=8 << 30)


def plan(**request: object) -> Plan:
    return make_plan(Request(**{"frameworks": ("torch",), **request}), registry(), SITE)  # type: ignore[arg-type]


def of(made: Plan, suite: str) -> list[Job]:
    return [job for job in made.jobs if job.suite == suite]


def subjects(jobs: Sequence[Job]) -> list[str]:
    return [step.subject for job in jobs for step in job.steps]


def test_a_plain_comparison_meters_two_workloads_on_each_framework_and_smoke_none() -> None:
    jobs = of(plan(frameworks=("torch", "keras")), "energy")
    assert {job.framework for job in jobs} == {"torch", "keras"}
    for job in jobs:
        assert subjects([job]) == ["layer/forward/1024", "layer/train_step/1024"]
    assert not of(plan(profile="smoke"), "energy")
    assert len(subjects(of(plan(profile="smoke", suites=("energy",)), "energy"))) == 1


def test_full_meters_layers_at_several_lengths_encoders_and_generation() -> None:
    asked = set(subjects(of(plan(profile="full"), "energy")))
    assert asked >= {"layer/forward/512", "layer/train_step/4096", "encoder/forward/512"}
    assert "causal_lm/generate/512" in asked


def test_phases_models_and_lengths_reshape_it() -> None:
    named = {"suites": ("energy",), "profile": "smoke"}
    assert subjects(of(plan(**named, phases=("forward",), lengths=(512,)), "energy")) == ["layer/forward/512"]
    generating = of(plan(**named, phases=("generate",)), "energy")
    assert subjects(generating) == ["causal_lm/generate/512"]
    encoders = subjects(of(plan(**named, models=("encoder",), lengths=(300,)), "energy"))
    assert encoders == ["encoder/forward/300", "encoder/train_step/300"]


def test_all_arms_are_metered_once_in_one_process_alone_on_the_machine() -> None:
    (job,) = of(plan(variants=("linear", "sliding_window"), suites=("energy",)), "energy")
    assert job.exclusive and job.launch == 0
    for step in job.steps:
        arms = [arm.implementation for arm in step.arms]
        assert sorted(arms) == ["linear@torch", "sliding_window@torch", "softmax@torch"]
        assert (step.windows, step.seconds) == (WINDOWS, WINDOW_SECONDS)


def test_energy_comes_after_what_tells_more_and_before_what_only_sharpens() -> None:
    suites = [job.suite for job in plan(profile="full", variants=("linear",)).jobs]
    last_training = max(at for at, suite in enumerate(suites) if suite == "accuracy")
    assert last_training < suites.index("energy")
    assert suites[-1] == "throughput"


def test_the_time_that_is_announced_is_that_of_the_windows() -> None:
    (job,) = of(plan(variants=("linear", "sliding_window"), suites=("energy",), profile="smoke"), "energy")
    windows = 3 * WINDOWS * WINDOW_SECONDS
    idle = 2 * WINDOW_SECONDS
    assert windows + idle < job.expected_seconds < 1.25 * (windows + idle)


def test_a_task_is_metered_where_it_is_asked_for_with_its_training_before() -> None:
    made = plan(variants=("linear", "sliding_window"), suites=("task_energy",), tasks=("sentiment",))
    (job,) = of(made, "task_energy")
    assert subjects([job]) == ["sentiment/training_run", "sentiment/forward"]
    assert [is_training_run(step) for step in job.steps] == [True, False]
    trainings = [(at, one) for at, one in enumerate(made.jobs) if one.suite == "accuracy"]
    first = [at for at, one in trainings if one.launch == 0]
    assert max(first) < made.jobs.index(job)
    assert job.trained and job.exclusive
    # The later seeds are trained and not metered.
    assert {one.launch for _, one in trainings} == {0, 1, 2}


def test_what_a_task_costs_is_metered_with_the_threads_of_its_training() -> None:
    made = plan(suites=("task_energy",), tasks=("sentiment",), threads=8, jobs=4)
    assert {job.threads for job in made.jobs if job.suite in ("accuracy", "task_energy")} == {2}


def test_every_arm_of_a_task_starts_from_the_reference_of_its_framework() -> None:
    made = plan(frameworks=("torch", "keras"), suites=("task_energy",), tasks=("sentiment",))
    for job in of(made, "task_energy"):
        for step in job.steps:
            assert step.reference is not None and step.reference.implementation == f"softmax@{job.framework}"
            assert {arm.implementation.rpartition("@")[2] for arm in step.arms} == {job.framework}


def test_full_meters_each_seed_that_is_attacked_and_quick_no_task_unasked() -> None:
    jobs = of(plan(profile="full", variants=("linear",)), "task_energy")
    assert [job.launch for job in jobs] == list(range(PROFILES["full"].attacked_seeds))
    assert {step.seed for step in jobs[1].steps} == {jobs[0].steps[0].seed + 1}
    assert not of(plan(), "task_energy")
    assert "sentiment/forward" in subjects(jobs)
    # Tasks without a modality are metered where they are named.
    assert not any(subject.startswith("copying") for subject in subjects(jobs))
    named = plan(suites=("task_energy",), tasks=("copying",), variants=("linear",))
    assert subjects(of(named, "task_energy")) == ["copying/training_run", "copying/forward"]


def test_controls_have_no_windows_unless_they_are_named() -> None:
    def metered(**request: object) -> set[str]:
        made = plan(suites=("task_energy",), tasks=("sentiment",), **request)
        trained = {arm.implementation for job in of(made, "accuracy") for arm in job.steps[0].arms}
        assert "uniform@torch" in trained
        return {
            arm.implementation for job in of(made, "task_energy") for step in job.steps for arm in step.arms
        }

    assert metered(variants=("linear",)) == {"softmax@torch", "linear@torch"}
    assert "uniform@torch" in metered(variants=("linear", "uniform"))


def test_without_the_package_everything_that_was_asked_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "bench.plan.what_to_install", lambda extra, _: "install it" if extra == "energy" else ""
    )
    made = plan(suites=("energy", "task_energy"), tasks=("sentiment",), variants=("linear",))
    refused = {(row.suite, row.subject, row.implementation) for row in made.refusals}
    for name in ("softmax@torch", "linear@torch"):
        assert ("energy", "layer/train_step/1024", name) in refused
        assert ("task_energy", "sentiment/training_run", name) in refused
        assert ("task_energy", "sentiment/forward", name) in refused
