"""The accuracy suite: training, scoring and what happens when either goes wrong, on a made-up task."""

import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benches import bench_of
from hypothesis import given
from hypothesis import strategies as st

from bench.schema import Arm, Measurement, Option, Role, Step, Task
from suites.accuracy import measure
from suites.learning.training import batches
from suites.tasks.data import DataMissing, Source, TaskData

TRAIN, TEST, TIME, PATCH, CLASSES = 97, 23, 7, 5, 3


def separable(task: Task) -> TaskData:
    """Patches whose mean in one channel says the class."""
    generator = np.random.default_rng(0)
    sides = []
    for count in (TRAIN, TEST):
        labels = generator.integers(0, CLASSES, count)
        patches = generator.normal(size=(count, TIME, PATCH)).astype(np.float32)
        patches[np.arange(count), :, labels] += 2
        sides.append((patches, labels))
    (train, train_labels), (test, test_labels) = sides
    return TaskData(
        train_inputs=(train,),
        train_targets=train_labels,
        test_inputs=(test,),
        test_targets=test_labels,
        loss="cross_entropy",
        score="accuracy",
        source=Source(name="made up", version="3", sha256="beef", licence="none", origin="this file"),
        settings={"patch_width": PATCH, "classes": CLASSES, "layers": 1},
        counts={"made": TRAIN + TEST},
    )


def absent(task: Task) -> TaskData:
    raise DataMissing("the package moonshine is not installed: pip install attnbench[data]")


def always_right(data: TaskData) -> dict[str, list[float]]:
    return {"accuracy": [1.0] * len(data.test_targets)}


def no_numbers(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: object
) -> torch.Tensor:
    return value * float("nan")


def no_numbers_in_evaluation(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: object
) -> torch.Tensor:
    return value if torch.is_grad_enabled() else value * float("inf")


def broken(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: object) -> torch.Tensor:
    raise ArithmeticError("no attention today")


def scaled(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    causal: bool = False,
    padding: torch.Tensor | None = None,
    factor: float = 1.0,
    other: float = 0.0,
) -> torch.Tensor:
    SEEN.append((factor, other))
    return value * factor


SEEN: list[tuple[float, float]] = []
FOLDERS: list[Path] = []
SOFTMAX = "implementations.on_torch.softmax:attend"
CANDIDATE_METRICS = [
    "accuracy",
    "parameters",
    "training_seconds",
    "loss_curve",
    "learning_rate",
    "loss_spikes",
    "gradient_norm_p50",
    "gradient_norm_p95",
    "gradient_norm_max",
]
GRID_METRICS = ["diverged", "validation"]


@pytest.fixture(autouse=True)
def targets(tmp_path: Path) -> Iterator[None]:
    """The functions above under a module name that targets can be given by, and a folder for weights."""
    FOLDERS.append(tmp_path)
    module = types.ModuleType("made_up_targets")
    named = (separable, absent, always_right, no_numbers, no_numbers_in_evaluation, broken, scaled)
    module.__dict__.update({function.__name__: function for function in named})
    sys.modules[module.__name__] = module
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    del sys.modules[module.__name__]
    SEEN.clear()
    FOLDERS.clear()


def measured(
    target: str = SOFTMAX,
    *,
    role: Role = "candidate",
    data: str = "separable",
    seed: int = 0,
    steps: int = 30,
    options: dict[str, Option] | None = None,
    variant_options: dict[str, dict[str, Option]] | None = None,
    rates: tuple[float, ...] = (0.01,),
    launch: int = 0,
    folder: Path | None = None,
) -> list[Measurement]:
    task = Task(
        name="made-up",
        title="",
        architecture="patch_classifier",
        target=f"made_up_targets:{data}",
        metric="accuracy",
        width=6,
        heads=2,
        max_length=TIME,
        batch=11,
        steps=steps,
        learning_rates=rates,
        variant_options=variant_options or {},
    )
    arm = Arm(implementation="softmax@torch", role=role, target=target, options=options or {})
    architecture = "implementations.on_torch.classifiers:build_patch_classifier"
    step = Step(
        key="made-up",
        arms=(arm,),
        task=task,
        reference=replace(arm, target=SOFTMAX, options={}),
        architecture=architecture,
        package="implementations.on_torch",
        seed=seed,
        subject="made-up",
    )
    return measure(step, bench_of("accuracy", step, launch=launch, folder=folder or FOLDERS[-1]))


def only(rows: list[Measurement], metric: str) -> Measurement:
    (row,) = [row for row in rows if row.metric == metric]
    return row


def test_training_learns_a_separable_task_well_above_chance() -> None:
    rows = measured()
    assert [row.metric for row in rows] == CANDIDATE_METRICS + GRID_METRICS
    assert all(row.status == "ok" and row.method == "measured" for row in rows)
    accuracy = only(rows, "accuracy")
    assert len(accuracy.values) == TEST and set(accuracy.values) <= {0.0, 1.0}
    assert np.mean(accuracy.values) > 0.8
    curve = only(rows, "loss_curve")
    assert len(curve.values) == 30
    assert np.mean(curve.values[-5:]) < 0.5 * np.mean(curve.values[:5])


def test_without_training_steps_that_teach_accuracy_is_about_chance() -> None:
    # Guards the test above: one step is not enough, so it is the training that counts there.
    assert np.mean(only(measured(steps=1), "accuracy").values) < 0.7


def test_the_same_seed_gives_the_same_result_and_another_seed_another() -> None:
    def curve(seed: int) -> tuple[float, ...]:
        return only(measured(seed=seed, steps=5), "loss_curve").values

    assert curve(3) == curve(3)
    assert curve(3) != curve(4)


def test_every_row_names_its_data_and_its_budget() -> None:
    for row in measured(steps=2):
        details = row.details
        assert (details["data_source"], details["data_version"], details["data_sha256"]) == (
            "made up",
            "3",
            "beef",
        )
        assert (details["train_examples"], details["test_examples"], details["made"]) == ("97", "23", "120")
        assert (details["steps"], details["batch"]) == ("2", "11")
        assert row.tool == f"torch {torch.__version__}"


def test_parameters_are_the_models_own_and_training_seconds_are_no_timing() -> None:
    rows = measured(steps=2)
    width = 6
    attention, feed_forward, norms = (
        4 * (width * width + width),
        2 * 4 * width * width + 5 * width,
        3 * 2 * width,
    )
    embedding = PATCH * width + width + TIME * width
    expected = embedding + attention + feed_forward + norms + width * CLASSES + CLASSES
    assert only(rows, "parameters").values == (float(expected),)
    seconds = only(rows, "training_seconds")
    assert seconds.values[0] > 0
    assert "not a timing" in seconds.details["conditions"]


def test_a_long_loss_curve_is_thinned_to_at_most_a_hundred_points_that_end_at_the_last() -> None:
    short, long = (only(measured(steps=steps), "loss_curve") for steps in (100, 202))
    assert (len(short.values), short.details["every"]) == (100, "1")
    assert (len(long.values), long.details["every"]) == (67, "3")


def test_a_loss_that_is_not_finite_fails_every_metric_with_the_step() -> None:
    *rows, diverged = measured("made_up_targets:no_numbers")
    assert [row.metric for row in rows] == CANDIDATE_METRICS
    assert {(row.status, row.reason) for row in rows} == {
        ("failed", "at 0.01 training diverged at step 1: loss is nan")
    }
    assert all(row.details["data_sha256"] == "beef" and not row.values for row in rows)
    assert (diverged.metric, diverged.values) == ("diverged", (1.0,))


def test_outputs_that_are_not_finite_fail_rather_than_score() -> None:
    *rows, diverged = measured("made_up_targets:no_numbers_in_evaluation", steps=2)
    assert {row.status for row in rows} == {"failed"}
    held = round(0.1 * TRAIN) * CLASSES
    assert rows[0].reason == f"at 0.01 {held} of {held} outputs on the test set are not finite"
    assert diverged.values == (1.0,)


def test_a_variant_that_raises_costs_its_own_row() -> None:
    (row,) = measured("made_up_targets:broken")
    assert row.status == "failed"
    assert "no attention today" in row.reason


def test_missing_data_makes_every_metric_unsupported_and_says_what_to_install() -> None:
    rows = measured(data="absent")
    assert [row.metric for row in rows] == CANDIDATE_METRICS
    assert {row.status for row in rows} == {"unsupported"}
    assert all("pip install attnbench[data]" in row.reason for row in rows)


def test_a_baseline_has_scores_and_needs_no_framework() -> None:
    (row,) = measured("made_up_targets:always_right", role="baseline")
    assert (row.metric, row.role, row.status) == ("accuracy", "baseline", "ok")
    assert row.values == (1.0,) * TEST
    assert row.details["data_sha256"] == "beef"


def test_the_tasks_options_for_a_variant_come_on_top_of_its_own() -> None:
    measured(
        "made_up_targets:scaled",
        steps=1,
        options={"factor": 2.0, "other": 3.0},
        variant_options={"softmax": {"factor": 5.0}, "linear": {"factor": 7.0}},
    )
    assert set(SEEN) == {(5.0, 3.0)}


@given(
    examples=st.integers(1, 23),
    batch=st.integers(1, 29),
    steps=st.integers(1, 13),
    seed=st.integers(0, 2**32),
)
def test_batches_are_full_the_same_for_a_seed_and_go_evenly_over_all_examples(
    examples: int, batch: int, steps: int, seed: int
) -> None:
    drawn = list(batches(examples, batch, steps, seed))
    assert [len(chosen) for chosen in drawn] == [batch] * steps
    assert all(
        np.array_equal(a, b) for a, b in zip(drawn, batches(examples, batch, steps, seed), strict=True)
    )
    seen = np.bincount(np.concatenate(drawn), minlength=examples)
    assert seen.max() - seen.min() <= 1


def test_another_seed_draws_other_batches() -> None:
    first, second = (np.concatenate(list(batches(101, 11, 7, seed))) for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_the_rate_that_does_best_on_validation_examples_is_kept_for_the_other_seeds() -> None:
    first = measured(rates=(1e-6, 0.01, 10.0))
    grid = only(first, "validation")
    tried = grid.details["scored"].split()
    assert only(first, "learning_rate").values == (float(tried[int(np.argmax(grid.values))]),) == (0.01,)
    assert only(measured(rates=(1e-6, 0.01, 10.0), seed=1, launch=1), "learning_rate").values == (0.01,)


def test_a_rate_that_diverges_is_counted_and_the_others_are_chosen_from() -> None:
    rows = measured(rates=(1e30, 0.01))
    diverged = only(rows, "diverged")
    assert diverged.values == (0.5,)
    assert diverged.details["diverged"].startswith("1e+30: training diverged at step")
    assert only(rows, "learning_rate").values == (0.01,)


def test_a_later_seed_without_a_chosen_rate_says_so() -> None:
    rows = measured(seed=1, launch=1)
    assert {(row.status, row.reason) for row in rows} == {
        ("failed", "no learning rate could be chosen at the first seed")
    }


def test_the_test_side_has_no_say_in_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(task: Task) -> TaskData:
        data = separable(task)
        return replace(data, test_targets=(data.test_targets + 1) % CLASSES)

    rates = (1e-6, 0.01)
    before = only(measured(rates=rates), "learning_rate").values
    sys.modules["made_up_targets"].__dict__["separable"] = turned
    after = measured(rates=rates)
    assert only(after, "learning_rate").values == before
    assert np.mean(only(after, "accuracy").values) < 0.2


def test_gradient_norms_are_told_for_each_part() -> None:
    norms = only(measured(steps=3), "gradient_norm_max")
    assert norms.details["parts"].split() == ["blocks.0", "final_norm", "embedding", "positions", "head"]
    assert len(norms.values) == 5 and all(value > 0 for value in norms.values)
