"""Corruptions of images: what each does, that severity means distortion, and how a victim's answers are
told."""

import importlib.util

import numpy as np
import pytest
from image_victims import LAYOUT, PIXELS, Softmax
from test_tasks_digits import images as digits

from suites.attacks import corruptions
from suites.attacks.corruptions import CORRUPTIONS, SEVERITIES, corrupted, corruption
from suites.attacks.image_attacks import all_corruptions
from suites.attacks.image_search import images_of
from suites.tasks.data import DataMissing
from suites.tasks.patches import PatchLayout


def real(count: int = 53) -> np.ndarray:
    tokens = digits().test_inputs[0][:count]
    return PatchLayout.of(tokens).to_image(tokens)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_severity_distorts_more_than_the_one_before(name: str) -> None:
    images = real()
    found = [corrupted(images, name, severity) for severity in SEVERITIES]
    distortions = [float(np.square(one - images).mean()) for one in found]
    assert distortions == sorted(distortions) and len(set(distortions)) == 5 and distortions[0] > 0
    for one in found:
        assert one.shape == images.shape and one.dtype == np.float32
        assert one.min() >= 0 and one.max() <= 1


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_colours_are_corrupted_too_and_always_in_the_same_way(name: str) -> None:
    images = np.random.default_rng(0).random((5, 32, 32, 3))
    first = corrupted(images, name, 3, seed=7)
    assert first.shape == images.shape and not np.array_equal(first, images.astype(np.float32))
    np.testing.assert_array_equal(first, corrupted(images, name, 3, seed=7))
    drawn = name in ("gaussian_noise", "occlusion")
    assert np.array_equal(first, corrupted(images, name, 3, seed=8)) != drawn


@pytest.mark.parametrize("name", ["gaussian_noise", "occlusion"])
def test_an_image_is_corrupted_the_same_whatever_comes_after_it(name: str) -> None:
    if name == "gaussian_noise":
        np.testing.assert_array_equal(corrupted(real(), name, 2)[:11], corrupted(real(11), name, 2))
    first, second = (corrupted(real(), name, severity) - real() for severity in (1, 2))
    assert np.abs(second)[first != 0].sum() >= np.abs(first).sum()


def test_noise_has_the_deviation_that_is_stated() -> None:
    grey = np.full((7, 28, 28, 1), 0.5)
    noise = corrupted(grey, "gaussian_noise", 1) - 0.5
    assert noise.std() == pytest.approx(0.08, rel=0.03)


def test_blur_spreads_a_point_by_its_deviation_scaled_to_the_image() -> None:
    point = np.zeros((1, 29, 29, 1))
    point[0, 14, 14, 0] = 1
    spread = corrupted(point, "gaussian_blur", 5)[0, :, :, 0]
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    rows = np.arange(29) - 14
    assert (spread.sum(axis=1) * rows**2).sum() ** 0.5 == pytest.approx(1.0 * 29 / 32, rel=0.02)


def test_contrast_keeps_the_mean_and_shrinks_the_rest() -> None:
    images, drawn = real(), corrupted(real(), "contrast", 2)
    np.testing.assert_allclose(drawn.mean(axis=(1, 2)), images.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(drawn.std(axis=(1, 2)), 0.3 * images.std(axis=(1, 2)), rtol=1e-4)


def test_brightness_raises_the_value_and_keeps_hue_and_saturation() -> None:
    color = pytest.importorskip("skimage.color")
    images = np.random.default_rng(0).uniform(0.1, 0.7, (3, 11, 11, 3))
    before, after = color.rgb2hsv(images), color.rgb2hsv(corrupted(images, "brightness", 2).astype(float))
    np.testing.assert_allclose(after[..., 2], before[..., 2] + 0.2, atol=1e-6)
    np.testing.assert_allclose(after[..., :2], before[..., :2], atol=1e-5)
    assert corrupted(np.zeros((1, 5, 5, 1)), "brightness", 2).ravel() == pytest.approx(np.full(25, 0.2))


def test_jpeg_is_what_pillow_makes_of_the_image() -> None:
    pillow = pytest.importorskip("PIL.Image")
    import io

    images = np.random.default_rng(0).random((2, 16, 16, 3))
    written = io.BytesIO()
    pillow.fromarray(np.round(images[1] * 255).astype(np.uint8)).save(written, "JPEG", quality=10)
    expected = np.asarray(pillow.open(written)).astype(np.float32) / 255
    np.testing.assert_allclose(corrupted(images, "jpeg", 4)[1], expected, atol=1e-7)


def test_without_pillow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataMissing, match=r"Pillow.* pip install attnbench\[data\]"):
        corrupted(real(2), "jpeg", 1)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_occlusion_covers_a_square_that_lies_inside_the_next_one(severity: int) -> None:
    black = np.zeros((31, 28, 28, 1))
    covered = corrupted(black, "occlusion", severity) == 0.5
    width = corruptions.OCCLUSION[severity - 1]
    assert (covered.sum(axis=(1, 2, 3)) == width**2).all()
    assert (covered.any(axis=2).sum(axis=1) == width).all()
    assert len({one.tobytes() for one in covered}) > 20
    if severity < 5:
        assert not (covered & (corrupted(black, "occlusion", severity + 1) != 0.5)).any()


def test_a_corruption_or_severity_that_does_not_exist_is_refused() -> None:
    for name, severity in (("rain", 1), ("jpeg", 0), ("jpeg", 6)):
        with pytest.raises(ValueError, match=r"corruptions are gaussian_noise.* at severities"):
            corrupted(real(2), name, severity)


def test_answers_to_corrupted_images_are_told_for_those_that_were_right() -> None:
    # Class 1 where an image is brighter than 0.36 on average: brightness moves some over.
    weights = np.stack([np.zeros(PIXELS), np.full(PIXELS, 1 / PIXELS)], axis=-1)
    victim = Softmax(weights, np.array([0.36, 0.0]))
    levels = np.linspace(0, 0.7, 29, dtype=np.float32)
    tokens = np.broadcast_to(levels[:, None, None], (29, 25, 9)).copy()
    labels = (levels > 0.36).astype(np.int64)
    labels[0] = 1
    images = images_of(victim, (tokens,), labels)
    found = corruption(victim, images, LAYOUT, "brightness", 2)
    one = found.attacked
    np.testing.assert_array_equal(one.right_before, np.arange(29) > 0)
    stays = (labels == 1) | (levels + 0.2 < 0.36)
    np.testing.assert_array_equal(one.right_after, stays & one.right_before)
    np.testing.assert_allclose(one.changed, 0.2 * PIXELS**0.5 * one.right_before, rtol=1e-5)
    assert (one.kind, one.budget, one.unit) == ("corruption", 2, "severity")
    assert one.queries.tolist() == one.candidates.tolist() == [0, *[1] * 28]


def test_all_corruptions_are_six_at_five_severities() -> None:
    victim = Softmax(np.zeros((PIXELS, 2)), np.array([1.0, 0.0]))
    tokens = np.random.default_rng(0).random((3, 25, 9)).astype(np.float32)
    images = images_of(victim, (tokens,), np.zeros(3, dtype=np.int64))
    told = [(one.attacked.attack, one.attacked.budget) for one in all_corruptions(victim, images, LAYOUT)]
    assert told == [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
