"""Telling foreign inputs from one's own: areas against counting, thresholds by hand, and the sets
themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_tasks_digits import images as digits

from suites.attacks.out_of_distribution import (
    auroc,
    detection,
    fpr_at,
    inverted,
    max_probability,
    negative_energy,
    photographs,
    rotated,
    uniform_noise,
)
from suites.tasks.patches import PatchLayout

SCORES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=23)


@given(SCORES, SCORES)
def test_the_area_is_the_share_of_pairs_in_order_ties_counting_half(
    inside: list[float], outside: list[float]
) -> None:
    own, foreign = np.array(inside), np.array(outside)
    pairs = (own[:, None] > foreign).mean() + 0.5 * (own[:, None] == foreign).mean()
    assert auroc(own, foreign) == pytest.approx(pairs)
    assert auroc(foreign, own) == pytest.approx(1 - pairs)


@given(SCORES, SCORES)
def test_the_threshold_is_the_highest_that_keeps_enough_of_ones_own(
    inside: list[float], outside: list[float]
) -> None:
    own, foreign = np.array(inside), np.array(outside)
    threshold = max(one for one in own if np.mean(own >= one) >= 0.95)
    assert fpr_at(own, foreign) == np.mean(foreign >= threshold)


def test_of_twenty_scores_the_lowest_may_be_lost() -> None:
    inside = np.arange(20.0)
    assert fpr_at(inside, np.array([0.5, 0.9, 1.0, 7.0])) == 0.5


def test_what_cannot_be_told_apart_is_a_coin_and_what_can_is_perfect() -> None:
    chance = np.random.default_rng(0)
    near, far = chance.standard_normal((499, 3)), 50 * np.eye(3)[chance.integers(0, 3, 211)]
    same = detection("energy", "itself", near, near)
    assert same.auroc == 0.5 and same.fpr_at_95 == pytest.approx(0.95, abs=0.01)
    apart = detection("max_probability", "flat answers", far, near)
    assert (apart.auroc, apart.fpr_at_95) == (1.0, 0.0)
    assert len(apart.inside) == 211 and len(apart.outside) == 499


def test_answers_that_are_all_alike_tell_nothing() -> None:
    found = detection("energy", "elsewhere", np.zeros((7, 3)), np.zeros((5, 3)))
    assert (found.auroc, found.fpr_at_95) == (0.5, 1.0)


def test_scores_are_what_their_papers_say() -> None:
    logits = np.log([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(np.exp(max_probability(logits + 4)), [0.5, 0.8])
    np.testing.assert_allclose(negative_energy(logits + 4), [4, 4])


def test_confidences_that_round_to_one_are_still_told_apart() -> None:
    surer, sure = np.array([[60.0, 0.0]]), np.array([[50.0, 0.0]])
    assert auroc(max_probability(surer), max_probability(sure)) == 1.0


def test_answers_that_are_not_numbers_and_empty_sets_are_refused() -> None:
    fine = np.zeros((5, 3))
    with pytest.raises(ArithmeticError, match="logits that are finite"):
        detection("energy", "x", fine, np.full((5, 3), np.inf))
    with pytest.raises(ValueError, match="nothing to tell the test set and x apart on"):
        detection("energy", "x", fine, fine[:0])


def test_digits_are_turned_and_inverted_and_nothing_else() -> None:
    tokens = digits().test_inputs[0][:11]
    layout = PatchLayout.of(tokens)
    np.testing.assert_allclose(inverted(inverted(tokens)), tokens, atol=1e-7)
    assert inverted(tokens).mean() > 0.5 > tokens.mean()
    turned = rotated(tokens, layout)
    np.testing.assert_array_equal(
        layout.to_image(turned)[3, :, :, 0], np.rot90(layout.to_image(tokens)[3, :, :, 0])
    )
    for _ in range(3):
        turned = rotated(turned, layout)
    np.testing.assert_array_equal(turned, tokens)


def test_noise_is_uniform_and_drawn_by_its_seed() -> None:
    tokens = digits().test_inputs[0][:11]
    noise = uniform_noise(tokens, 1)
    assert noise.shape == tokens.shape and noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0.5, abs=0.02) and noise.std() == pytest.approx(12**-0.5, abs=0.02)
    np.testing.assert_array_equal(noise, uniform_noise(tokens, 1))
    assert not np.array_equal(noise, uniform_noise(tokens, 2))


def test_photographs_are_cut_to_the_size_of_digits() -> None:
    pytest.importorskip("skimage")
    layout = PatchLayout(28, 4)
    tokens = photographs(layout, 37)
    assert tokens.shape == (37, 49, 16) and tokens.dtype == np.float32
    assert tokens.min() >= 0 and tokens.max() <= 1
    assert len({one.tobytes() for one in tokens}) == 37
    # Neighbours in a photograph are alike, which they would not be in patches laid out wrongly.
    images = layout.to_image(tokens)[..., 0]
    assert np.abs(np.diff(images, axis=2)).mean() < 0.5 * np.abs(images - np.roll(images, 14, axis=2)).mean()
    with pytest.raises(ValueError, match="one channel, the images 3"):
        photographs(PatchLayout(32, 4, 3), 5)
