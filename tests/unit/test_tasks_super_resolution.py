"""Photographs at four times the size: small images, tokens and baselines, on the real pictures."""

import dataclasses
import functools

import numpy as np
import pytest
from test_tasks_photographs import TASK as COLOUR

from suites.tasks import super_resolution
from suites.tasks.data import TaskData
from suites.tasks.photographs import position_features
from suites.tasks.super_resolution import load, repeated, small_of

TASK = dataclasses.replace(
    COLOUR,
    name="super_resolution",
    settings={"side": 16, "train_examples": 23, "test_examples": 11, "encoder_layers": 2},
)


@functools.cache
def pictures() -> TaskData:
    return load(TASK)


def test_tokens_targets_and_settings_are_what_the_generator_takes() -> None:
    data = pictures()
    for inputs, targets, count in (
        (data.train_inputs, data.train_targets, 23),
        (data.test_inputs, data.test_targets, 11),
    ):
        assert [tokens.shape for tokens in inputs] == [(count, 256, 64)] * 2
        assert targets.shape == (count, 256, 3)
        assert {array.dtype for array in (*inputs, targets)} == {np.dtype(np.float32)}
    assert data.settings == {"encoder_layers": 2}
    assert data.counts["side"] == 16


def test_the_encoder_sees_mean_colours_of_blocks_and_the_decoder_none() -> None:
    data = pictures()
    small = small_of(data.test_inputs[0])
    assert small.shape == (11, 4, 4, 3)
    target = data.test_targets[7].reshape(16, 16, 3)
    np.testing.assert_allclose(small[7, 1, 2], target[4:8, 8:12].mean(axis=(0, 1)), atol=1e-6)
    assert not data.test_inputs[1][:, :, :3].any()


def test_a_block_s_colour_stands_at_all_of_its_pixels_and_positions_are_those_of_photographs() -> None:
    encoder, decoder = pictures().test_inputs
    laid_out = encoder[3, :, :3].reshape(16, 16, 3)
    np.testing.assert_array_equal(laid_out[4:8, 8:12], np.broadcast_to(laid_out[5, 9], (4, 4, 3)))
    np.testing.assert_array_equal(encoder[:, :, 3:], decoder[:, :, 3:])
    np.testing.assert_array_equal(decoder[0, :, 3:], position_features(16)[:, :61])
    likeness = decoder[0, :, 3:] @ decoder[0, :, 3:].T
    np.testing.assert_array_equal(likeness.argmax(axis=1), np.arange(256))


def test_targets_are_those_of_colour_from_grey() -> None:
    from suites.tasks.photographs import load as colour

    np.testing.assert_array_equal(colour(TASK).test_targets, pictures().test_targets)
    assert colour(TASK).source == pictures().source


def test_sides_that_are_no_multiple_of_four_are_refused() -> None:
    with pytest.raises(ValueError, match="side must be a multiple of 4, got 18"):
        load(dataclasses.replace(TASK, settings={"side": 18}))
    with pytest.raises(ValueError, match="width must be 64"):
        load(dataclasses.replace(TASK, width=32))


def test_bicubic_beats_the_nearest_block_on_photographs() -> None:
    cubic, nearest = super_resolution.bicubic(pictures()), super_resolution.nearest(pictures())
    assert len(cubic["psnr"]) == len(cubic["ssim"]) == len(nearest["psnr"]) == 11
    assert 40 > np.mean(cubic["psnr"]) > np.mean(nearest["psnr"]) + 0.3 > 15


def test_one_colour_is_enlarged_without_error_and_a_slope_better_by_bicubic() -> None:
    slope = np.linspace(0.2, 0.8, 16, dtype=np.float32)[None, :, None, None]
    images = np.concatenate(
        [np.full((1, 16, 16, 3), 0.3, np.float32), np.broadcast_to(slope, (1, 16, 16, 3))]
    )
    small = images.reshape(2, 4, 4, 4, 4, 3).mean(axis=(2, 4))
    encoder = np.zeros((2, 256, 64), np.float32)
    encoder[:, :, :3] = 4 * (repeated(small).reshape(2, 256, 3) - 0.5)
    data = dataclasses.replace(
        pictures(),
        test_inputs=(encoder, np.zeros((2, 256, 64), np.float32)),
        test_targets=images.reshape(2, 256, 3),
    )
    cubic, nearest = super_resolution.bicubic(data)["psnr"], super_resolution.nearest(data)["psnr"]
    assert min(cubic[0], nearest[0]) > 99
    assert cubic[1] > nearest[1] + 5
