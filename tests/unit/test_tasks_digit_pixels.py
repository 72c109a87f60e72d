"""The digits pixel by pixel: the same images, labels and split as the digits in patches."""

import dataclasses

import numpy as np
import pytest
from test_tasks_digits import TASK as PATCHES
from test_tasks_digits import images as patches

from bench.schema import Task
from suites.tasks import digits
from suites.tasks.digit_pixels import load
from suites.tasks.patches import PatchLayout

FEW = {"train_examples": 101, "test_examples": 37}
TASK = dataclasses.replace(PATCHES, name="digit_pixels", max_length=784, settings={**FEW, "layers": 3})


def with_side(side: int, max_length: int) -> Task:
    return dataclasses.replace(TASK, max_length=max_length, settings={**FEW, "side": side})


def test_tokens_are_the_pixels_of_the_same_images_row_by_row() -> None:
    data, whole = load(TASK), patches()
    assert data.train_inputs[0].shape == (101, 784, 1) and data.train_inputs[0].dtype == np.float32
    images = PatchLayout(28, 4).to_image(whole.test_inputs[0][:37])
    np.testing.assert_array_equal(data.test_inputs[0], images.reshape(37, 784, 1))
    np.testing.assert_array_equal(data.test_targets, whole.test_targets[:37])
    assert data.settings == {"layers": 3, "patch_width": 1, "classes": 10}
    assert data.source == whole.source


def test_smaller_images_are_means_over_blocks() -> None:
    whole, half = load(TASK).train_inputs[0], load(with_side(14, 196)).train_inputs[0]
    assert half.shape == (101, 196, 1) and half.dtype == np.float32
    image = whole[5].reshape(28, 28)
    assert half[5, 14 * 7 + 3, 0] == pytest.approx(image[14:16, 6:8].mean())
    np.testing.assert_allclose(half.mean(axis=1), whole.mean(axis=1), rtol=1e-4)


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="side must divide 28, got 13"):
        load(with_side(13, 784))
    with pytest.raises(ValueError, match="784 pixels do not fit into max_length 196"):
        load(with_side(28, 196))


def test_the_baselines_of_digits_serve_here_too() -> None:
    data = load(
        dataclasses.replace(TASK, settings={"side": 14, "train_examples": 1000, "test_examples": 211})
    )
    assert np.mean(digits.logistic_regression(data)["accuracy"]) == pytest.approx(0.87, abs=0.04)
    assert len(digits.majority(data)["accuracy"]) == 211
