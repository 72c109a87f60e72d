"""Pretraining against training from scratch: the same compute, the same encoder, and what is told of it."""

import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benches import bench_of

from bench.schema import Arm, Claims, Measurement, Step, Task
from suites.framework import NOT_SCORED, open_framework
from suites.learning import grid
from suites.learning.models import Blueprint
from suites.learning.training import Budget, train
from suites.tasks.data import DataMissing, Source, TaskData
from suites.tasks.pretraining import PretrainingData
from suites.transfer import measure
from suites.transferring import pretraining
from suites.transferring.masking import Words
from suites.transferring.pretraining import FineTuning, loss_by_frequency, masked_loss, masked_sides, moved

TRAIN, TEST, UNLABELLED, TIME, KNOWN = 67, 19, 83, 9, 23
VOCABULARY = 2 + KNOWN + 1
STEPS, PRETRAINING_STEPS, BATCH, WIDTH = 11, 7, 5, 6
BOTH = ("torch", "keras")


def made_up() -> PretrainingData:
    """Texts in which a word is followed by the next number, of two kinds: of even and of odd words."""
    generator = np.random.default_rng(0)

    def side(count: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        labels = generator.integers(0, 2, count)
        starts = 2 * generator.integers(0, KNOWN // 2, count) + labels
        tokens = 2 + (starts[:, None] + 2 * np.arange(TIME)) % (KNOWN - 1)
        tokens[np.arange(TIME) >= generator.integers(4, TIME + 1, count)[:, None]] = 0
        return (tokens, tokens != 0), labels

    train, labels = side(TRAIN)
    test, test_labels = side(TEST)
    return PretrainingData(
        train_inputs=train,
        train_targets=labels,
        test_inputs=test,
        test_targets=test_labels,
        loss="cross_entropy",
        score="accuracy",
        source=Source(name="made up", version="1", sha256="c0de", licence="none", origin="this file"),
        settings={"layers": 1, "vocabulary": VOCABULARY, "classes": 2},
        unlabelled=side(UNLABELLED)[0][0],
        words=Words(first=2, last=VOCABULARY - 2, mask=VOCABULARY - 1),
    )


def load(task: Task) -> PretrainingData:
    return made_up()


def absent(task: Task) -> PretrainingData:
    raise DataMissing("no reviews here: pip install attnbench[data]")


def labelled_only(task: Task) -> TaskData:
    data = made_up()
    names = ("train_inputs", "train_targets", "test_inputs", "test_targets", "loss", "score", "source")
    return TaskData(**{name: getattr(data, name) for name in names})


@pytest.fixture(autouse=True)
def targets() -> Iterator[None]:
    module = types.ModuleType("made_up_pretraining")
    module.__dict__.update({one.__name__: one for one in (load, absent, labelled_only)})
    sys.modules[module.__name__] = module
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    del sys.modules[module.__name__]


def made_up_step(
    framework: str = "torch", *, data: str = "load", target: str = "", **changes: object
) -> Step:
    package = f"implementations.on_{framework}"
    arm = Arm(
        implementation=f"softmax@{framework}",
        role="candidate",
        target=target or f"{package}.softmax:attend",
        claims=Claims(definition="implementations.definitions.softmax:layer"),
    )
    fields: dict[str, object] = {
        "name": "made-up",
        "title": "",
        "architecture": "text_classifier",
        "target": f"made_up_pretraining:{data}",
        "metric": "accuracy",
        "width": WIDTH,
        "heads": 2,
        "max_length": TIME,
        "batch": BATCH,
        "steps": STEPS,
        "learning_rates": (0.01,),
        "settings": {"experiment": "pretraining", "pretraining_steps": PRETRAINING_STEPS},
    }
    return Step(
        key="made-up",
        arms=(arm,),
        task=Task(**{**fields, **changes}),  # type: ignore[arg-type]
        reference=replace(arm, target=f"{package}.softmax:attend"),
        architecture=f"{package}.classifiers:build_text_classifier",
        package=package,
        subject="made-up",
    )


def rows_of(step: Step, folder: Path, launch: int = 0) -> dict[tuple[str, str], Measurement]:
    rows = measure(step, bench_of("transfer", step, launch=launch, folder=folder))
    return {(row.metric, row.subject): row for row in rows}


def blueprints(framework: str) -> tuple[Blueprint, Blueprint]:
    """Of the classifier and of the masked language model."""
    opened, step, data = (
        open_framework(framework, device="cpu", threads=1),
        made_up_step(framework),
        made_up(),
    )
    masked = replace(step, architecture=f"{step.package}.{pretraining.MODEL}")
    train_side, _ = masked_sides(data, step.task, 0)  # type: ignore[arg-type]
    return (
        Blueprint.of(opened, step, step.arms[0], data),
        Blueprint.of(opened, masked, step.arms[0], train_side),
    )


@pytest.mark.parametrize("framework", BOTH)
def test_accuracies_stand_beside_their_difference_example_by_example(framework: str, tmp_path: Path) -> None:
    rows = rows_of(made_up_step(framework), tmp_path)
    assert {row.status for row in rows.values()} == {"ok"}
    scratch, pretrained, difference = (
        np.array(rows[key].values)
        for key in (
            ("accuracy", "made-up/from_scratch"),
            ("accuracy", "made-up/pretrained"),
            ("accuracy_difference", "made-up"),
        )
    )
    assert scratch.shape == pretrained.shape == (TEST,)
    np.testing.assert_array_equal(difference, pretrained - scratch)
    losses = rows["masked_loss", "made-up"].values
    assert len(losses) == TEST and 0 < np.mean(losses) < 2 * np.log(VOCABULARY)


def test_either_side_has_the_same_number_of_steps_of_the_same_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []

    def watched(framework, model, data, budget, kept, look):  # type: ignore[no-untyped-def]
        trained = train(framework, model, data, budget, kept)
        tokens = (len(trained.losses), budget.batch, data.train_inputs[0].shape[1])
        seen.append((type(trained.model).__name__, tokens))
        return trained

    monkeypatch.setattr(grid, "train", watched)
    rows = rows_of(made_up_step(), tmp_path)
    assert seen == [
        ("TextClassifier", (STEPS, BATCH, TIME)),
        ("MaskedLanguageModel", (PRETRAINING_STEPS, BATCH, TIME)),
        ("TextClassifier", (STEPS - PRETRAINING_STEPS, BATCH, TIME)),
    ]
    told = rows["accuracy", "made-up/pretrained"].details
    assert told["compute"].startswith(f"{STEPS * BATCH * TIME} token positions")
    assert (told["pretraining_steps"], told["fine_tuning_steps"], told["steps_from_scratch"]) == (
        "7",
        "4",
        "11",
    )


def test_unequal_compute_is_an_error_and_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(framework, model, data, budget, kept, look):  # type: ignore[no-untyped-def]
        fewer = max(1, budget.steps - 1) if "Masked" in type(model).__name__ else budget.steps
        return train(framework, model, data, replace(budget, steps=fewer), kept)

    monkeypatch.setattr(grid, "train", short)
    (row,) = rows_of(made_up_step(), tmp_path).values()
    assert row.status == "failed" and "unequal compute" in row.reason


@pytest.mark.parametrize("steps", [0, STEPS, "7", None])
def test_a_share_of_steps_that_is_none_or_all_is_refused(steps: object, tmp_path: Path) -> None:
    step = made_up_step(settings={"experiment": "pretraining", "pretraining_steps": steps})
    (row,) = rows_of(step, tmp_path).values()
    assert row.status == "failed" and "pretraining_steps must be 1 to 10" in row.reason


@pytest.mark.parametrize("framework", BOTH)
def test_the_encoder_moves_by_name_and_the_head_starts_anew(framework: str, tmp_path: Path) -> None:
    classifier, language = blueprints(framework)
    fresh, pretrained = classifier.export(classifier.build()), language.export(language.build())
    pretrained = {name: weights + 1 for name, weights in pretrained.items()}
    step = made_up_step(framework)
    tuning = FineTuning(
        step=step,
        arm=step.arms[0],
        bench=bench_of("transfer", step, folder=tmp_path),
        data=made_up(),
        pretrained=pretrained,
    )
    started = classifier.export(tuning.first_model())
    heads = {"head.kernel", "head.bias"}
    assert set(pretrained) & set(fresh) == set(fresh) - heads
    assert {"embedding.table", "positions.table", "blocks.0.attention.query.kernel"} <= set(pretrained)
    for name, weights in started.items():
        np.testing.assert_array_equal(weights, fresh[name] if name in heads else pretrained[name])


def test_weights_of_another_shape_or_without_a_common_name_do_not_move() -> None:
    own = {"table": np.zeros((3, 2)), "head": np.zeros(2)}
    with pytest.raises(ValueError, match="does not fit: table"):
        moved({"table": np.zeros((4, 2))}, own)
    with pytest.raises(ValueError, match="no name in common"):
        moved({"other": np.zeros(2)}, own)


def test_later_seeds_train_at_the_rates_that_were_chosen(tmp_path: Path) -> None:
    step = made_up_step(
        steps=80,
        # At 0.01 the few made-up texts are learnt by heart, and masked words elsewhere told worse.
        learning_rates=(1e-9, 0.003),
        settings={"experiment": "pretraining", "pretraining_steps": 60},
    )

    def rates(rows: dict[tuple[str, str], Measurement]) -> dict[str, str]:
        timed = {subject: row for (metric, subject), row in rows.items() if metric == "training_seconds"}
        return {subject: row.details["learning_rate"] for subject, row in timed.items()}

    chosen = rates(rows_of(step, tmp_path))
    assert set(chosen) == {f"made-up/{part}" for part in pretraining.PARTS}
    # Of the loss on masked words the lower one is the better.
    assert chosen["made-up/pretraining"] == "0.003"
    assert rates(rows_of(replace(step, seed=1), tmp_path, launch=1)) == chosen


def test_a_training_that_diverges_costs_its_own_rows_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(framework, model, data, budget, kept, look):  # type: ignore[no-untyped-def]
        trained = train(framework, model, data, budget, kept)
        broken = "Masked" in type(model).__name__
        return replace(trained, losses=(*trained.losses[:-1], float("nan"))) if broken else trained

    monkeypatch.setattr(grid, "train", diverging)
    rows = rows_of(made_up_step(), tmp_path)
    assert rows["accuracy", "made-up/from_scratch"].status == "ok"
    reason = "at 0.01 training diverged at step 7: loss is nan"
    for key, expected in (
        (("masked_loss", "made-up"), reason),
        (("accuracy", "made-up/pretrained"), f"pretraining: {reason}"),
        (("accuracy_difference", "made-up"), f"pretraining: {reason}"),
    ):
        assert (rows[key].status, rows[key].reason, rows[key].values) == ("failed", expected, ())
    assert ("training_seconds", "made-up/pretraining") not in rows


def test_missing_data_is_unsupported_with_what_to_install(tmp_path: Path) -> None:
    (row,) = rows_of(made_up_step(data="absent"), tmp_path).values()
    assert (row.status, row.metric, row.subject) == ("unsupported", "accuracy", "made-up")
    assert row.reason == "no reviews here: pip install attnbench[data]"


def test_a_task_without_texts_to_learn_from_and_an_unknown_experiment_are_refused(tmp_path: Path) -> None:
    (row,) = rows_of(made_up_step(data="labelled_only"), tmp_path).values()
    assert row.status == "failed" and "texts to learn the language from" in row.reason
    (row,) = rows_of(made_up_step(settings={"experiment": "prayer"}), tmp_path).values()
    assert row.status == "failed" and "experiment must be pretraining or drop_in, got 'prayer'" in row.reason


@pytest.mark.parametrize("framework", BOTH)
def test_learning_masked_words_lowers_their_loss_on_texts_that_were_not_read(framework: str) -> None:
    _, language = blueprints(framework)
    task = replace(language.task, steps=150, batch=16)
    train_side, _ = masked_sides(made_up(), task, 0)
    model = language.build()

    def loss() -> float:
        inputs = (train_side.test_inputs, train_side.test_targets)
        return float(masked_loss(language.framework, model, *inputs, train_side, task)["masked_loss"].mean())

    before = loss()
    assert before == pytest.approx(np.log(VOCABULARY), abs=0.4)
    train(language.framework, model, train_side, Budget(steps=150, batch=16, learning_rate=0.01, seed=0))
    assert loss() < 0.7 * before


def test_the_loss_by_frequency_is_that_of_counting_words() -> None:
    data = made_up()
    # One word nine times as often as a second, and no other: but for the one more, log(10 / 9) and log(10).
    tokens = np.full((400, TIME), 2)
    tokens[::10] = 3
    skewed = replace(
        data,
        train_inputs=(tokens, tokens != 0),
        train_targets=np.zeros(400, dtype=np.int64),
        unlabelled=tokens,
        test_inputs=(tokens[:10], tokens[:10] != 0),
        test_targets=np.zeros(10, dtype=np.int64),
    )
    masked, _ = masked_sides(skewed, made_up_step().task, 0)  # type: ignore[arg-type]
    expected = 0.9 * np.log(10 / 9) + 0.1 * np.log(10)
    assert loss_by_frequency(skewed, masked) == pytest.approx(expected, abs=0.02)
    rare = replace(
        masked, test_targets=np.full((10, 1), 3), test_inputs=tuple(a[:10] for a in masked.test_inputs)
    )
    assert loss_by_frequency(skewed, rare) == pytest.approx(np.log(10), abs=0.02)


@pytest.mark.parametrize("framework", BOTH)
def test_the_loss_in_training_is_the_mean_over_asked_words_and_0_without_any(framework: str) -> None:
    _, language = blueprints(framework)
    data, _ = masked_sides(made_up(), language.task, 0)
    arrays = [array[:BATCH] for array in data.train_inputs]
    targets = data.train_targets[:BATCH].copy()
    targets[0] = NOT_SCORED
    model, opened = language.build(), language.framework
    logits = opened.output(opened.forward(model, opened.arrays(arrays, "float32"))()).astype(np.float64)
    shares = (
        np.log(np.exp(logits).sum(axis=-1))
        - np.take_along_axis(logits, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    )
    trainer = opened.trainer(model, "cross_entropy", 1e-3)
    *inputs, goal, none = opened.arrays([*arrays, targets, np.full_like(targets, NOT_SCORED)], "float32")
    loss, norms = trainer.step(tuple(inputs), goal)
    assert loss == pytest.approx(shares[targets != NOT_SCORED].mean(), rel=1e-5)
    assert norms.max() > 0
    loss, norms = trainer.step(tuple(inputs), none)
    assert loss == 0.0 and not norms.any()
