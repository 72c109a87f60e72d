"""The digits task: its split, its patches and its baselines, on the real images."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

from bench.schema import Task
from suites.tasks import digits
from suites.tasks.data import TaskData
from suites.tasks.digits import digit, load, patches, split

TASK = Task(
    name="digits",
    title="",
    architecture="patch_classifier",
    target="suites.tasks.digits:load",
    metric="accuracy",
    width=32,
    heads=2,
    max_length=49,
    batch=32,
    steps=3,
    learning_rates=(0.001,),
)


@functools.cache
def images() -> TaskData:
    return load(TASK)


def test_the_real_set_has_5000_images_500_of_each_digit() -> None:
    data = images()
    labels = np.concatenate([data.train_targets, data.test_targets])
    assert np.bincount(labels).tolist() == [500] * 10
    assert data.settings == {"patch_width": 16, "classes": 10}


def test_the_split_is_the_one_that_was_fixed() -> None:
    # These change when the split does, and then no result can be held against an older one.
    data = images()
    assert len(data.test_targets) == 1017
    assert np.bincount(data.test_targets).tolist() == [112, 113, 95, 95, 100, 78, 115, 93, 112, 104]


def test_equal_images_land_on_one_side() -> None:
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, 256, (28, 28)) for _ in range(53)]
    train, test = split([digit(pixels, label) for label in (0, 1) for pixels in drawn])
    assert not {one.key for one in train} & {one.key for one in test}
    assert train and test and len(train) % 2 == len(test) % 2 == 0


def test_no_real_image_is_on_both_sides() -> None:
    data = images()
    train, test = ({one.tobytes() for one in side[0]} for side in (data.train_inputs, data.test_inputs))
    assert not train & test


def test_tokens_are_4x4_patches_row_by_row_in_0_to_1() -> None:
    pixels = np.arange(28 * 28).reshape(28, 28) % 251
    cut = patches([digit(np.zeros((28, 28), np.uint8), 0), digit(pixels, 0)])
    assert cut.shape == (2, 49, 16)
    second_row_third_patch = cut[1, 1 * 7 + 2].reshape(4, 4) * 255
    np.testing.assert_allclose(second_row_third_patch, pixels[4:8, 8:12], rtol=1e-6)
    (tokens,) = images().train_inputs
    assert tokens.shape == (len(images().train_targets), 49, 16)
    assert (tokens.min(), tokens.max(), tokens.dtype) == (0.0, 1.0, np.float32)


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have shape \(28, 28\), got \(7, 11\)"):
        digit(np.zeros((7, 11)), 0)


def test_sizes_can_be_limited_and_the_same_examples_are_taken() -> None:
    small = load(dataclasses.replace(TASK, settings={"train_examples": 101, "test_examples": 37}))
    np.testing.assert_array_equal(small.train_inputs[0], images().train_inputs[0][:101])
    np.testing.assert_array_equal(small.test_targets, images().test_targets[:37])


def test_majority_scores_the_share_of_the_digit_that_training_saw_most() -> None:
    data = images()
    most = np.bincount(data.train_targets).argmax()
    assert np.mean(digits.majority(data)["accuracy"]) == pytest.approx((data.test_targets == most).mean())


def test_logistic_regression_on_pixels_reads_nine_digits_of_ten() -> None:
    values = digits.logistic_regression(images())["accuracy"]
    assert len(values) == len(images().test_targets)
    assert np.mean(values) == pytest.approx(0.90, abs=0.02)


def test_the_published_split_is_kept_but_for_training_copies_of_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    folder = tmp_path / "digits"
    folder.mkdir()
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, 256, (18, 28, 28)).astype(np.uint8)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    for name, chosen in (("train", drawn[:12]), ("test", drawn[11:])):
        rows = {"image": list(chosen), "label": [index % 10 for index in range(len(chosen))]}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / f"{name}.parquet")
    data = load(
        dataclasses.replace(TASK, settings={"source": "huggingface", "huggingface_name": str(folder)})
    )
    assert (len(data.train_targets), len(data.test_targets)) == (11, 7)
    assert data.counts["left_out_of_training"] == 1
