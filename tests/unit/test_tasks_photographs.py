"""The photographs task: its scenes, its tokens and its trivial answers, on the real pictures."""

import dataclasses
import functools

import numpy as np
import pytest

from bench.schema import Task
from suites.tasks import photographs
from suites.tasks.data import TaskData
from suites.tasks.photographs import (
    TEST_SCENES,
    TRAIN_SCENES,
    choose,
    cut,
    cut_scenes,
    load,
    position_features,
)

TASK = Task(
    name="photographs",
    title="",
    architecture="image_generator",
    target="suites.tasks.photographs:load",
    metric="psnr",
    width=64,
    heads=4,
    max_length=1024,
    batch=1,
    steps=3,
    learning_rates=(0.001,),
    settings={"train_examples": 23, "test_examples": 11, "encoder_layers": 2},
)


@functools.cache
def pictures() -> TaskData:
    return load(TASK)


def test_scenes_are_on_one_side_each_and_no_file_is_on_both() -> None:
    assert not set(TRAIN_SCENES) & set(TEST_SCENES)
    train, test = (
        {name for _, names in side.values() for name in names} for side in (TRAIN_SCENES, TEST_SCENES)
    )
    assert not train & test
    assert len(TRAIN_SCENES) + len(TEST_SCENES) == 10
    assert {"motorcycle_left.png", "motorcycle_right.png"} <= train


def test_both_sides_have_the_patches_their_pictures_hold() -> None:
    assert len(cut_scenes(TEST_SCENES, 32)) == 9 * 14 + 13 * 20 + 12 * 18
    by_scene = [patch.scene for patch in cut_scenes(TRAIN_SCENES, 32)]
    assert {scene: by_scene.count(scene) for scene in TRAIN_SCENES} == {
        "astronaut": 256,
        "flower": 260,
        "hubble": 837,
        "ihc": 256,
        "motorcycle": 690,
        "retina": 1936,
        "rocket": 260,
    }


def test_patches_lie_side_by_side_and_wholly_inside() -> None:
    picture = np.arange(7 * 11 * 3, dtype=np.uint8).reshape(7, 11, 3)
    found = list(cut(picture, "made up", 3))
    assert len(found) == 2 * 3
    np.testing.assert_array_equal(found[4].pixels, picture[3:6, 3:6])


def test_scenes_take_turns_whatever_order_they_come_in() -> None:
    patches = cut_scenes(TEST_SCENES, 32)
    chosen = choose(patches, 7)
    assert [patch.scene for patch in chosen] == ["chelsea", "china", "coffee"] * 2 + ["chelsea"]
    assert chosen == choose(patches[::-1], 7)
    assert len(choose(patches, None)) == len(patches)


def test_tokens_targets_and_settings_are_what_the_generator_takes() -> None:
    data = pictures()
    for inputs, targets, count in (
        (data.train_inputs, data.train_targets, 23),
        (data.test_inputs, data.test_targets, 11),
    ):
        assert [tokens.shape for tokens in inputs] == [(count, 1024, 64)] * 2
        assert targets.shape == (count, 1024, 3)
        assert {array.dtype for array in (*inputs, targets)} == {np.dtype(np.float32)}
        assert targets.min() >= 0 and targets.max() <= 1
    assert data.settings == {"encoder_layers": 2}
    assert "china.jpg" in data.source.origin and len(data.source.sha256) == 64


def test_the_decoder_sees_positions_only_and_the_encoder_differs_by_its_grey_channel() -> None:
    encoder, decoder = pictures().test_inputs
    np.testing.assert_array_equal(decoder, np.broadcast_to(decoder[0], decoder.shape))
    np.testing.assert_array_equal(encoder[:, :, 1:], decoder[:, :, 1:])
    red, green, blue = (pictures().test_targets[:, :, colour] for colour in range(3))
    np.testing.assert_allclose(
        photographs.grey_of(encoder), 0.2125 * red + 0.7154 * green + 0.0721 * blue, atol=1e-6
    )


def test_a_position_is_nearest_to_itself_by_its_features() -> None:
    features = position_features(32)
    assert features.shape == (1024, 63)
    likeness = features @ features.T
    np.testing.assert_array_equal(likeness.argmax(axis=1), np.arange(1024))
    np.testing.assert_array_equal(features, position_features.__wrapped__(32))


def test_the_side_of_a_patch_can_be_set() -> None:
    small = load(dataclasses.replace(TASK, settings={"side": 16, "train_examples": 5, "test_examples": 3}))
    assert small.train_inputs[0].shape == (5, 256, 64)
    assert small.counts["side"] == 16
    assert small.settings == {}


def test_what_the_task_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="width must be 64, the channels of its tokens; got 32"):
        load(dataclasses.replace(TASK, width=32))
    with pytest.raises(ValueError, match="data from packages, got source 'huggingface'"):
        load(dataclasses.replace(TASK, settings={"source": "huggingface"}))


def test_grey_repeated_beats_the_mean_colour_and_both_are_far_from_perfect() -> None:
    grey, mean = photographs.grey_repeated(pictures()), photographs.mean_colour(pictures())
    assert len(grey["psnr"]) == len(grey["ssim"]) == len(mean["psnr"]) == 11
    assert 40 > np.mean(grey["psnr"]) > np.mean(mean["psnr"]) + 3 > 8
    assert np.mean(grey["ssim"]) > np.mean(mean["ssim"]) + 0.2


def test_the_mean_colour_is_that_of_the_training_patches() -> None:
    data = pictures()
    mean = data.train_targets.reshape(-1, 3).mean(axis=0)
    expected = -10 * np.log10(((data.test_targets[0] - mean) ** 2).mean())
    assert photographs.mean_colour(data)["psnr"][0] == pytest.approx(expected, rel=1e-4)
