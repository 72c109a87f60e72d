"""Trained models out of a run: the same answers, true gradients, and nothing but what was trained."""

import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.schema import Arm, Step, Task
from suites.framework import open_framework
from suites.learning.checkpoints import Checkpoint, Shelf, hash_of
from suites.learning.models import Blueprint
from suites.learning.victims import NoCheckpointError, TrainedVictim, open_victim
from suites.tasks.data import Source, TaskData

TIME, VOCABULARY, CLASSES, BATCH = 9, 12, 3, 4
PACKAGES = {"torch": "implementations.on_torch", "keras": "implementations.on_keras"}


def texts(task: Task) -> TaskData:
    generator = np.random.default_rng(0)
    sides = []
    for count in (8, 7):
        ids = generator.integers(1, VOCABULARY, (count, TIME))
        lengths = generator.integers(2, TIME + 1, count)
        ids[np.arange(TIME) >= lengths[:, None]] = 0
        sides.append(((ids, ids != 0), generator.integers(0, CLASSES, count)))
    (train, train_labels), (test, test_labels) = sides
    return TaskData(
        train_inputs=train,
        train_targets=train_labels,
        test_inputs=test,
        test_targets=test_labels,
        loss="cross_entropy",
        score="accuracy",
        source=Source(name="made up", version="1", sha256=DATA[-1], licence="none", origin="here"),
        settings={"vocabulary": VOCABULARY, "classes": CLASSES, "layers": 1},
    )


DATA = ["feed"]
TASK = Task(
    name="made-up",
    title="",
    architecture="text_classifier",
    modality="text",
    target="made_up_texts:texts",
    metric="accuracy",
    width=8,
    heads=2,
    max_length=TIME,
    batch=BATCH,
    steps=1,
    learning_rates=(0.01,),
)


@pytest.fixture(autouse=True)
def target() -> Iterator[None]:
    module = types.ModuleType("made_up_texts")
    module.__dict__["texts"] = texts
    sys.modules["made_up_texts"] = module
    yield
    del sys.modules["made_up_texts"]
    del DATA[1:]


def step_of(framework: str, variant: str, target: str, **options: Any) -> tuple[Step, Arm]:
    package = PACKAGES[framework]
    arm = Arm(
        implementation=f"{variant}@{framework}",
        role="candidate",
        target=f"{package}.{target}",
        options=options,
    )
    reference = replace(
        arm, implementation=f"softmax@{framework}", target=f"{package}.softmax:attend", options={}
    )
    step = Step(
        key="made-up",
        arms=(arm,),
        task=TASK,
        reference=reference,
        architecture=f"{package}.classifiers:build_text_classifier",
        package=package,
    )
    return step, arm


def bench_of(framework: str, folder: Path) -> Any:
    job = types.SimpleNamespace(folder=str(folder))
    return types.SimpleNamespace(framework=open_framework(framework, device="cpu", threads=1), job=job)


def trained(
    framework: str, folder: Path, variant: str, target: str, **options: Any
) -> tuple[TrainedVictim, Any]:
    """A victim whose weights are not the first ones, and the model that they were taken from."""
    step, arm = step_of(framework, variant, target, **options)
    bench = bench_of(framework, folder)
    blueprint = Blueprint.of(bench.framework, step, arm, texts(TASK))
    model = blueprint.build()
    weights = blueprint.export(model)
    names = bench.framework.trained(model, blueprint.export)
    generator = np.random.default_rng(1)
    for name in names:
        weights[name] = weights[name] + generator.normal(0, 0.3, weights[name].shape).astype(np.float32)
    blueprint.insert(model, weights)
    about = Checkpoint(
        implementation=arm.implementation,
        task=TASK.name,
        seed=0,
        learning_rate=0.01,
        steps=1,
        expansion=blueprint.expansion,
        weights_sha256=hash_of(weights),
        data_sha256="feed",
        tool="",
    )
    Shelf(str(folder), TASK.name, arm.implementation).save(about, weights)
    victim, _ = open_victim(step, arm, bench)
    return victim, model


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_victim_answers_as_the_model_that_was_kept_whatever_the_batch(
    framework: str, tmp_path: Path
) -> None:
    victim, model = trained(framework, tmp_path, "softmax", "softmax:attend")
    ids, padding = texts(TASK).test_inputs
    on = victim.framework
    expected = on.output(on.call(model, *on.arrays([ids, padding], "float32")))
    np.testing.assert_allclose(victim.logits((ids, padding)), expected, atol=1e-5)
    np.testing.assert_allclose(victim.logits_of_embedded(victim.embed(ids), padding), expected, atol=1e-5)
    assert victim.embed(ids).shape == (len(ids), TIME, TASK.width)


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_gradients_by_the_embedding_are_those_of_differences(framework: str, tmp_path: Path) -> None:
    victim, _ = trained(framework, tmp_path, "softmax", "softmax:attend")
    data = texts(TASK)
    ids, padding = data.test_inputs
    embedded, labels = victim.embed(ids), data.test_targets
    losses, gradient = victim.embedded_loss_gradient(embedded, padding, labels)
    logits = victim.logits((ids, padding)).astype(np.float64)
    normal = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(losses, -normal[np.arange(len(labels)), labels], atol=1e-5)
    assert gradient.shape == embedded.shape
    assert not gradient[~padding].any(), "padding has no say"
    direction = np.random.default_rng(2).normal(size=embedded.shape).astype(np.float32)
    small = 1e-3
    above, below = (
        victim.embedded_loss_gradient(embedded + sign * small * direction, padding, labels)[0]
        for sign in (1, -1)
    )
    slope = (gradient * direction).sum(axis=(1, 2))
    np.testing.assert_allclose((above - below) / (2 * small), slope, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_random_features_are_drawn_anew_and_what_was_trained_stays(framework: str, tmp_path: Path) -> None:
    victim, _ = trained(framework, tmp_path, "performer", "performer:Performer", features=8, seed=0)
    assert victim.draws
    inputs = texts(TASK).test_inputs
    first, weights = victim.logits(inputs), victim.blueprint.export(victim.model)
    victim.redraw(1)
    redrawn = victim.blueprint.export(victim.model)
    names = victim.framework.trained(victim.model, victim.blueprint.export)
    assert all(np.array_equal(weights[name], redrawn[name]) for name in names)
    assert not np.allclose(first, victim.logits(inputs))
    victim.redraw(0)
    np.testing.assert_allclose(victim.logits(inputs), first, atol=1e-6)


def test_what_draws_nothing_cannot_be_drawn_anew(tmp_path: Path) -> None:
    victim, _ = trained("torch", tmp_path, "softmax", "softmax:attend")
    assert not victim.draws
    with pytest.raises(ValueError, match="draws nothing at random"):
        victim.redraw(1)


def test_without_weights_or_with_other_data_there_is_no_victim(tmp_path: Path) -> None:
    step, arm = step_of("torch", "softmax", "softmax:attend")
    with pytest.raises(NoCheckpointError, match="softmax@torch on made-up at seed 0"):
        open_victim(step, arm, bench_of("torch", tmp_path))
    trained("torch", tmp_path, "softmax", "softmax:attend")
    DATA.append("other data")
    with pytest.raises(ValueError, match="has changed since"):
        open_victim(step, arm, bench_of("torch", tmp_path))
