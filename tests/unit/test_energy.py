"""The suites of energy with real models in a made-up meter: what a call is, and whose weights it makes."""

import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from metered import World, WorldMeter, bench_of, step_of

from bench.measuring import Bench
from bench.schema import Arm, Measurement, Step, Task
from suites import accuracy, energy, task_energy
from suites.tasks.data import DataMissing, Source, TaskData

PACKAGES = {"torch": "implementations.on_torch", "keras": "implementations.on_keras"}
OPENER = "suites.framework:open_framework"
TIME, VOCABULARY, BATCH, STEPS = 6, 9, 4, 3
TASK = Task(
    name="made-up",
    title="",
    architecture="text_classifier",
    target="metered_texts:texts",
    metric="accuracy",
    width=8,
    heads=2,
    max_length=TIME,
    batch=BATCH,
    steps=STEPS,
    learning_rates=(0.01, 0.02),
)
HASH = ["feed"]


def texts(_task: Task) -> TaskData:
    generator = np.random.default_rng(0)

    def side(count: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        ids = generator.integers(1, VOCABULARY, (count, TIME))
        return (ids, ids != 0), generator.integers(0, 3, count)

    (train, train_targets), (test, test_targets) = side(24), side(10)
    return TaskData(
        train_inputs=train,
        train_targets=train_targets,
        test_inputs=test,
        test_targets=test_targets,
        loss="cross_entropy",
        score="accuracy",
        source=Source(name="made up", version="1", sha256=HASH[-1], licence="none", origin="here"),
        settings={"vocabulary": VOCABULARY, "classes": 3, "layers": 1},
    )


def nothing_there(_task: Task) -> TaskData:
    raise DataMissing("install the texts")


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Texts to learn, and a meter whose energy passes with looks at a clock that nobody waits for."""
    module = types.ModuleType("metered_texts")
    module.__dict__.update(texts=texts, nothing_there=nothing_there)
    monkeypatch.setitem(sys.modules, "metered_texts", module)
    world = World()

    def seconds() -> float:
        # Each look is three seconds after the last: a window is over after a call or two.
        world.work("", 3.0, 20.0)()
        return world.now

    around = replace(world.surroundings(), seconds=seconds)
    monkeypatch.setattr("suites.metering.windows.Surroundings", lambda: around)
    monkeypatch.setattr("suites.metering.arms.open_meter", lambda _device: WorldMeter(world))
    yield world
    del HASH[1:]


def arms_of(framework: str) -> tuple[Arm, ...]:
    package = PACKAGES[framework]
    targets = {"softmax": "softmax:attend", "linear": "linear:attend"}
    return tuple(
        Arm(
            implementation=f"{name}@{framework}",
            role="reference" if name == "softmax" else "candidate",
            target=f"{package}.{target}",
        )
        for name, target in targets.items()
    )


def task_step(framework: str, phase: str, task: Task = TASK) -> Step:
    package, arms = PACKAGES[framework], arms_of(framework)
    subject = f"{task.name}/{phase}" if phase else task.name
    return Step(
        key=subject,
        subject=subject,
        arms=arms,
        task=task,
        reference=arms[0],
        architecture=f"{package}.classifiers:build_text_classifier",
        package=package,
        seed=5,
        windows=3 if phase else 0,
        seconds=0.01,
    )


def bench(step: Step, framework: str, folder: Path) -> Bench:
    return bench_of(step, opener=OPENER, folder=str(folder), framework=framework)


def trained(framework: str, folder: Path) -> None:
    step = task_step(framework, "")
    rows = accuracy.measure(step, bench(step, framework, folder))
    assert {m.status for m in rows if m.metric == "accuracy"} == {"ok"}


def row(rows: list[Measurement], name: str, metric: str = "joules") -> Measurement:
    (found,) = [m for m in rows if m.metric == metric and m.implementation.startswith(name)]
    return found


@pytest.mark.parametrize("framework", ["torch", "keras"])
@pytest.mark.parametrize("phase", ["forward", "train_step"])
def test_every_arm_of_a_workload_has_joules_and_seconds_of_the_same_windows(
    framework: str, phase: Any, tmp_path: Path
) -> None:
    made = step_of(windows=3, seconds=0.01)
    assert made.workload is not None
    step = replace(
        made,
        arms=arms_of(framework),
        workload=replace(made.workload, phase=phase),
        architecture=f"{PACKAGES[framework]}.layer:build_layer",
        package=PACKAGES[framework],
    )
    rows = energy.measure(step, bench(step, framework, tmp_path))
    for name in ("softmax", "linear"):
        joules, seconds = row(rows, name), row(rows, name, "window_seconds")
        assert joules.status == "ok" and len(joules.values) == len(seconds.values) == 3
        assert joules.details["phase"] == phase
        assert (joules.details["items"], joules.details["tokens"]) == ("2", "16")


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_training_that_is_metered_comes_to_the_weights_of_the_checkpoint(
    framework: str, tmp_path: Path
) -> None:
    trained(framework, tmp_path)
    step = task_step(framework, "training_run")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    rows = task_energy.measure(step, bench(step, framework, tmp_path))
    for name in ("softmax", "linear"):
        told = row(rows, name)
        assert told.status == "ok" and len(told.values) == 3
        assert told.details["same_weights"] == "yes"
        assert told.details["items"] == str(STEPS * BATCH)
        assert told.details["tokens"] == str(STEPS * BATCH * TIME)
        assert (told.details["phase"], told.details["steps"]) == ("training_run", str(STEPS))
        assert (told.details["task"], told.details["seed"]) == ("made-up", "5")
    # Metering leaves what was trained as it was, and nothing beside it.
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


def test_weights_that_are_others_are_told_apart(tmp_path: Path) -> None:
    trained("torch", tmp_path)
    step = task_step("torch", "training_run", replace(TASK, steps=STEPS + 1))
    rows = task_energy.measure(step, bench(step, "torch", tmp_path))
    assert row(rows, "softmax").details["same_weights"] == "no"


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_pass_answers_one_batch_of_test_inputs_with_the_trained_model(
    framework: str, tmp_path: Path
) -> None:
    trained(framework, tmp_path)
    step = task_step(framework, "forward")
    rows = task_energy.measure(step, bench(step, framework, tmp_path))
    for name in ("softmax", "linear"):
        told = row(rows, name)
        assert told.status == "ok"
        assert (told.details["phase"], told.details["items"]) == ("forward", str(BATCH))
        assert told.details["tokens"] == str(BATCH * TIME)
        assert "same_weights" not in told.details


def test_passes_take_turns_through_the_test_side(tmp_path: Path) -> None:
    seen: list[np.ndarray] = []

    class Framework:
        def arrays(self, values: Any, _dtype: str) -> Any:
            return tuple(values)

        def forward(self, _model: object, arrays: Any) -> Any:
            return lambda: seen.append(arrays[0])

    data = texts(TASK)
    call = task_energy.passes(Framework(), None, data, TASK)  # type: ignore[arg-type]
    for _ in range(3):
        call()
    # Ten examples are two whole batches of four; the third call is the first batch once more.
    assert [batch.shape for batch in seen] == [(BATCH, TIME)] * 3
    assert np.array_equal(seen[0], data.test_inputs[0][:4])
    assert np.array_equal(seen[1], data.test_inputs[0][4:8])
    assert np.array_equal(seen[2], seen[0])


def test_without_a_checkpoint_an_arm_fails_and_the_others_are_metered(tmp_path: Path) -> None:
    trained("torch", tmp_path)
    (folder,) = tmp_path.rglob("linear*")
    for path in folder.iterdir():
        path.unlink()
    for phase in ("training_run", "forward"):
        step = task_step("torch", phase)
        rows = task_energy.measure(step, bench(step, "torch", tmp_path))
        assert row(rows, "linear").status == "failed"
        assert "no trained weights of linear@torch" in row(rows, "linear").reason
        assert row(rows, "softmax").status == "ok"


def test_other_data_than_at_training_is_a_failure(tmp_path: Path) -> None:
    trained("torch", tmp_path)
    HASH.append("beef")
    step = task_step("torch", "forward")
    rows = task_energy.measure(step, bench(step, "torch", tmp_path))
    assert {m.status for m in rows} == {"failed"}
    assert "have changed" in rows[0].reason


def test_without_data_every_arm_is_unsupported(tmp_path: Path) -> None:
    step = task_step("torch", "forward", replace(TASK, target="metered_texts:nothing_there"))
    rows = task_energy.measure(step, bench(step, "torch", tmp_path))
    assert [(m.status, m.reason, m.details["cause"]) for m in rows] == [
        ("unsupported", "install the texts", "data")
    ] * 2


def test_what_one_pass_does_not_answer_is_refused(tmp_path: Path) -> None:
    step = task_step("torch", "forward", replace(TASK, evaluator="somewhere:evaluate"))
    rows = task_energy.measure(step, bench(step, "torch", tmp_path))
    assert {m.status for m in rows} == {"unsupported"}
    assert "somewhere:evaluate" in rows[0].reason


def test_a_layer_that_breaks_has_its_row_and_the_others_are_metered(tmp_path: Path) -> None:
    made = step_of(windows=3, seconds=0.01)
    arms = (*arms_of("torch"), Arm(implementation="gone@torch", role="candidate", target="nowhere:attend"))
    step = replace(made, arms=arms, architecture="implementations.on_torch.layer:build_layer")
    rows = energy.measure(step, bench(step, "torch", tmp_path))
    assert row(rows, "gone").status == "failed"
    assert row(rows, "softmax").status == row(rows, "linear").status == "ok"
