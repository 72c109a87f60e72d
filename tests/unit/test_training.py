"""What fair training rests on: spikes, validation, first weights, sizes, and going on after a kill."""

import dataclasses
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.schema import Arm, Step, Task
from suites.framework import Framework, Trainer, open_framework
from suites.learning import training
from suites.learning.checkpoints import Checkpoint, Chosen, Shelf, hash_of, safe_name
from suites.learning.models import TOLERANCE, Blueprint
from suites.learning.training import Budget, Kept, count_spikes, train, without_validation
from suites.tasks.data import Source, TaskData

TIME, PATCH, CLASSES, EXAMPLES = 6, 4, 3, 60
VARIANTS = {
    "torch": ("implementations.on_torch", "implementations.on_torch.softmax:attend"),
    "keras": ("implementations.on_keras", "implementations.on_keras.softmax:attend"),
}


def made_up_data(examples: int = EXAMPLES) -> TaskData:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, examples)
    patches = generator.normal(size=(examples, TIME, PATCH)).astype(np.float32)
    patches[np.arange(examples), :, labels] += 1
    return TaskData(
        train_inputs=(patches,),
        train_targets=labels,
        test_inputs=(patches[:5],),
        test_targets=labels[:5],
        loss="cross_entropy",
        score="accuracy",
        source=Source(name="made up", version="1", sha256="feed", licence="none", origin="here"),
        settings={"patch_width": PATCH, "classes": CLASSES, "layers": 2},
    )


def made_up_task(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "name": "made-up",
        "title": "",
        "architecture": "patch_classifier",
        "target": "nowhere:load",
        "metric": "accuracy",
        "width": 8,
        "heads": 2,
        "max_length": TIME,
        "batch": 7,
        "steps": 12,
        "learning_rates": (0.01,),
    }
    return Task(**{**fields, **changes})


def blueprint(framework: str, target: str = "", variant: str = "softmax", seed: int = 0) -> Blueprint:
    package, softmax = VARIANTS[framework]
    reference = Arm(implementation=f"softmax@{framework}", role="reference", target=softmax)
    arm = Arm(implementation=f"{variant}@{framework}", role="candidate", target=target or softmax)
    step = Step(
        key="made-up",
        arms=(arm,),
        task=made_up_task(),
        reference=reference,
        architecture=f"{package}.classifiers:build_patch_classifier",
        package=package,
        seed=seed,
    )
    return Blueprint.of(open_framework(framework, device="cpu", threads=1), step, arm, made_up_data())


def test_a_leap_of_the_loss_counts_once_however_long_it_lasts() -> None:
    calm = [1.0] * 60
    assert count_spikes(calm) == 0
    assert count_spikes([*calm, 2.1, 2.2, 1.0, 1.0, 5.0, 1.0]) == 2
    assert count_spikes([1.0, 9.0, 1.0]) == 0, "the first fifty steps have nothing to be held against"


def test_validation_examples_are_a_tenth_of_training_and_no_longer_trained_on() -> None:
    data = made_up_data(40)
    rest, validation = without_validation(data)
    assert (len(rest.train_targets), len(validation.test_targets)) == (36, 4)
    joined = np.concatenate([validation.test_inputs[0], rest.train_inputs[0]])
    assert np.array_equal(joined, data.train_inputs[0])
    assert np.array_equal(rest.test_targets, data.test_targets)


def test_a_validation_side_of_the_datas_own_is_kept() -> None:
    data = dataclasses.replace(made_up_data(40), validation_examples=11)
    rest, validation = without_validation(data)
    assert (len(rest.train_targets), len(validation.test_targets)) == (29, 11)
    assert np.array_equal(validation.test_targets, data.train_targets[:11])
    assert rest.validation_examples == 0


def test_one_training_example_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="at least 2 examples"):
        without_validation(made_up_data(5).__class__(**{**_fields(made_up_data(5)), **_first(1)}))


def _fields(data: TaskData) -> dict[str, Any]:
    return {name: getattr(data, name) for name in data.__dataclass_fields__}


def _first(count: int) -> dict[str, Any]:
    data = made_up_data(5)
    return {"train_inputs": (data.train_inputs[0][:count],), "train_targets": data.train_targets[:count]}


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_variants_have_as_many_weights_as_the_reference(framework: str) -> None:
    package = VARIANTS[framework][0]
    plan = blueprint(framework, f"{package}.grouped_query:MultiQuery", "multi_query")
    assert plan.size(4.0) < 0.95 * plan.reference_size, "or there would be nothing to match"
    told = plan.told(plan.build())
    assert told["parameters_matched"] == "yes"
    assert abs(plan.size(plan.expansion) / plan.reference_size - 1) <= TOLERANCE
    assert int(told["feed_forward_width"]) > 4 * 8


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_weights_of_the_references_name_and_shape_start_from_the_references_values(framework: str) -> None:
    package = VARIANTS[framework][0]
    reference = blueprint(framework)
    variant = blueprint(framework, f"{package}.grouped_query:MultiQuery", "multi_query")
    first, second = reference.export(reference.build()), variant.export(variant.build())
    shared = [name for name in first if name in second and first[name].shape == second[name].shape]
    assert "blocks.0.attention.query.kernel" in shared and "embedding.kernel" in shared
    for name in shared:
        assert np.array_equal(first[name], second[name]), name
    other = blueprint(framework, seed=1)
    assert not np.array_equal(first["embedding.kernel"], other.export(other.build())["embedding.kernel"])


class KilledError(Exception):
    """Stands for a kill in the middle of a training."""


def _killed_after(steps: int) -> Callable[[Trainer], Trainer]:
    def wrapped(trainer: Trainer) -> Trainer:
        taken = 0
        plain = trainer.step

        def step(*arguments: Any) -> Any:
            nonlocal taken
            if taken == steps:
                raise KilledError
            taken += 1
            return plain(*arguments)

        trainer.step = step  # type: ignore[method-assign]
        return trainer

    return wrapped


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_killed_training_goes_on_to_the_same_numbers(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "KEEP_SECONDS", -1.0)
    data, budget = made_up_data(), Budget(steps=12, batch=7, learning_rate=0.01, seed=0)
    plan = blueprint(framework)
    kept = Kept(shelf=Shelf(str(tmp_path), "made-up", "x"), budget=budget, loss=data.loss, data_sha256="feed")
    whole = train(plan.framework, plan.build(), data, budget)
    dying = _dying(plan.framework, _killed_after(5))
    with pytest.raises(KilledError):
        train(dying, plan.build(), data, budget, kept)
    assert kept.path.is_file()
    resumed = _dying(plan.framework, _killed_after(7))
    again = train(resumed, plan.build(), data, budget, kept)
    assert again.losses == whole.losses
    assert np.array_equal(again.norms, whole.norms)
    finished = plan.export(again.model)
    assert all(np.array_equal(finished[name], value) for name, value in plan.export(whole.model).items())
    assert not kept.path.exists()


def _dying(framework: Framework, wrapped: Callable[[Trainer], Trainer]) -> Any:
    """The framework with its trainers changed."""
    return types.SimpleNamespace(
        trainer=lambda *arguments: wrapped(framework.trainer(*arguments)),
        synchronise=framework.synchronise,
        arrays=framework.arrays,
    )


def test_what_was_kept_for_another_budget_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "KEEP_SECONDS", -1.0)
    data, plan = made_up_data(), blueprint("torch")
    budget = Budget(steps=12, batch=7, learning_rate=0.01, seed=0)
    shelf = Shelf(str(tmp_path), "made-up", "x")
    kept = Kept(shelf=shelf, budget=budget, loss=data.loss, data_sha256="feed")
    with pytest.raises(KilledError):
        train(_dying(plan.framework, _killed_after(5)), plan.build(), data, budget, kept)
    other = Kept(shelf=shelf, budget=budget, loss=data.loss, data_sha256="other data")
    trainer = plan.framework.trainer(plan.build(), data.loss, 0.01)
    assert other.restore(trainer) == ([], [])
    assert len(kept.restore(trainer)[0]) == 5


def test_weights_come_back_as_they_were_kept_and_not_otherwise(tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path), "sentiment", "softmax@torch")
    weights = {"b": np.arange(3.0), "a": np.ones((2, 2), np.float32)}
    about = Checkpoint(
        implementation="softmax@torch",
        task="sentiment",
        seed=4,
        learning_rate=0.1,
        steps=3,
        expansion=4.0,
        weights_sha256=hash_of(weights),
        data_sha256="feed",
        tool="numpy",
    )
    shelf.save(about, weights)
    found, loaded = shelf.load(4)
    assert found == about
    assert all(np.array_equal(loaded[name], weights[name]) for name in weights)
    with pytest.raises(FileNotFoundError):
        shelf.load(5)
    shelf.write_arrays(shelf.path / "seed-4.safetensors", {**weights, "b": np.arange(3.0) + 1})
    with pytest.raises(ValueError, match="not what was saved"):
        shelf.load(4)


def test_a_chosen_rate_is_kept(tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path), "sentiment", "softmax@torch")
    assert shelf.chosen is None
    chosen = Chosen(learning_rate=0.1, validation={"0.1": 0.7, "1": None}, metric="accuracy")
    shelf.choose(chosen)
    assert shelf.chosen == chosen


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", ".", "..", "x" * 500, "softmax@torch", "\n"])
def test_no_name_becomes_a_path(name: str) -> None:
    safe = safe_name(name)
    assert "/" not in safe and not safe.startswith(".") and len(safe) < 60
    assert safe_name(name + "!") != safe


def test_a_training_that_goes_forward_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "KEEP_SECONDS", -1.0)
    data, plan, told = made_up_data(), blueprint("torch"), []
    budget = Budget(steps=5, batch=7, learning_rate=0.01, seed=0)
    kept = Kept(
        shelf=Shelf(str(tmp_path), "made-up", "x"),
        budget=budget,
        loss=data.loss,
        data_sha256="feed",
        alive=lambda: told.append(True),
    )
    train(plan.framework, plan.build(), data, budget, kept)
    assert len(told) == 5
