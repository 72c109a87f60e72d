"""Calibration against cases whose error is known: calibrated by construction, overconfident by a known
amount."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.attacks.calibration import BINS, calibration, equal_mass, figures_of


def two_way(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits of two classes whose softmax answers 1 with `confidence`, and labels that make it right or
    not."""
    logits = np.stack([np.zeros_like(confidence), np.log(confidence / (1 - confidence))], axis=-1)
    return logits, right.astype(np.int64)


def test_of_a_calibrated_model_the_debiased_error_scatters_around_zero_and_the_usual_one_does_not() -> None:
    squared, plain = [], []
    for seed in range(150):
        chance = np.random.default_rng(seed)
        confidence = chance.uniform(0.5, 0.999, 307)
        found = calibration(*two_way(confidence, chance.random(307) < confidence))
        squared.append(found.squared_error)
        plain.append(found.ece)
    error = np.std(squared) / len(squared) ** 0.5
    assert abs(np.mean(squared)) < 3 * error
    # What is left out of it: the mean over bins of accuracy's variance, which the usual estimate keeps.
    assert 3 * error < 0.002 < np.mean(np.square(plain))
    assert np.mean(plain) > 0.05
    assert min(squared) < 0 < max(squared)


def test_of_an_overconfident_model_the_error_is_what_it_is_overconfident_by() -> None:
    right = np.arange(1000) % 10 < 6
    found = calibration(*two_way(np.full(1000, 0.9), right))
    assert len(found.bin_counts) == 1
    assert found.ece == pytest.approx(0.3)
    assert found.squared_error == pytest.approx(0.3**2 - 0.6 * 0.4 / 999)
    assert found.error == pytest.approx(0.3, abs=1e-3)


def test_the_error_of_drawn_answers_has_no_bias_either() -> None:
    squared = []
    for seed in range(150):
        chance = np.random.default_rng(seed)
        confidence = chance.uniform(0.7, 0.999, 211)
        squared.append(calibration(*two_way(confidence, chance.random(211) < confidence - 0.2)).squared_error)
    assert abs(np.mean(squared) - 0.04) < 3 * np.std(squared) / len(squared) ** 0.5


def test_two_levels_of_confidence_are_two_bins() -> None:
    confidence = np.repeat([0.6, 0.8], [40, 60])
    right = np.concatenate([np.arange(40) < 30, np.arange(60) < 42])
    found = calibration(*two_way(confidence, right), bins=2)
    np.testing.assert_allclose(found.bin_confidence, [0.6, 0.8])
    np.testing.assert_allclose(found.bin_accuracy, [0.75, 0.7])
    assert found.bin_counts.tolist() == [40, 60]
    assert found.ece == pytest.approx(0.4 * 0.15 + 0.6 * 0.1)
    expected = 0.4 * (0.15**2 - 0.75 * 0.25 / 39) + 0.6 * (0.1**2 - 0.7 * 0.3 / 59)
    assert found.squared_error == pytest.approx(expected)


def test_brier_and_nll_of_answers_that_are_known() -> None:
    flat = calibration(np.zeros((30, 5)), np.arange(30) % 5, bins=1)
    np.testing.assert_allclose(flat.brier, 1 - 1 / 5)
    np.testing.assert_allclose(flat.nll, np.log(5))
    sure = calibration(1000 * np.eye(3)[[0, 1, 2] * 10], np.array([0, 1, 0] * 10), bins=1)
    np.testing.assert_allclose(sure.brier, [0, 0, 2] * 10)
    np.testing.assert_allclose(sure.nll, [0, 0, 1000] * 10)
    np.testing.assert_array_equal(sure.right, [True, True, False] * 10)


def test_figures_for_a_table_are_the_calibration_s_own() -> None:
    chance = np.random.default_rng(0)
    logits, labels = chance.standard_normal((203, 3)), chance.integers(0, 3, 203)
    figures, found = figures_of(logits, labels), calibration(logits, labels)
    assert figures["calibration_error"].tolist() == [found.error] and found.error > 0
    np.testing.assert_array_equal(figures["brier"], found.brier)
    np.testing.assert_array_equal(figures["negative_log_likelihood"], found.nll)
    assert len(figures_of(logits[:7], labels[:7])["brier"]) == 7


def test_the_order_of_examples_changes_nothing() -> None:
    chance = np.random.default_rng(0)
    logits, labels = np.round(chance.standard_normal((203, 3)), 1), chance.integers(0, 3, 203)
    shuffled = chance.permutation(203)
    one, other = calibration(logits, labels), calibration(logits[shuffled], labels[shuffled])
    assert one.squared_error == pytest.approx(other.squared_error)
    assert one.ece == pytest.approx(other.ece)


def test_bins_are_of_equal_mass_where_no_confidences_are_equal() -> None:
    confidence = np.random.default_rng(0).random(30 * BINS)
    numbers = equal_mass(confidence, BINS)
    assert np.bincount(numbers).tolist() == [30] * BINS
    assert (np.diff(numbers[np.argsort(confidence)]) >= 0).all()


@given(st.lists(st.integers(0, 9), min_size=6, max_size=61), st.integers(1, 3))
def test_bins_hold_two_examples_at_least_and_never_part_equal_confidences(
    levels: list[int], bins: int
) -> None:
    confidence = np.array(levels) / 10
    numbers = equal_mass(confidence, bins)
    counts = np.bincount(numbers)
    assert len(counts) <= bins and counts.min() >= 2
    for level in set(levels):
        assert len(set(numbers[np.array(levels) == level])) == 1


def test_what_has_no_calibration_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="logits that are finite"):
        calibration(np.full((40, 3), np.nan), np.zeros(40, dtype=int))
    with pytest.raises(ValueError, match="29 examples cannot fill 15 bins with two each"):
        calibration(np.zeros((29, 3)), np.zeros(29, dtype=int))
