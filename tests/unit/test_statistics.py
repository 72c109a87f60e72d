"""Intervals, looks and false-alarm control, on synthetic samples with fixed seeds."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench import statistics as ours

numbers = st.floats(-5, 5, allow_nan=False).map(lambda value: round(value, 6))


@given(st.lists(numbers, min_size=2, max_size=11), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_interval_is_scipys_t_interval(values: list[float], level: float) -> None:
    mean, low, high = ours.interval(values, level)
    if len(set(values)) == 1:
        assert low == pytest.approx(mean) == pytest.approx(high)
        return
    expected = stats.t.interval(level, len(values) - 1, loc=mean, scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected)


@given(st.lists(numbers, min_size=2, max_size=11).filter(lambda values: len(set(values)) > 1))
def test_the_p_value_is_scipys_t_test(values: list[float]) -> None:
    assert ours.p_value(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=1e-9)


def test_one_launch_has_no_interval_and_no_verdict() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        ours.interval([0.1], 0.95)
    verdict = ours.judge([math.log(10)], level=0.99, margin=0.02)
    assert (verdict.word, verdict.ratio) == ("undecided", None)
    assert "at least 2" in verdict.reason


@pytest.mark.parametrize(
    ("ratios", "word"),
    [
        ([0.5, 0.501, 0.499, 0.5], "better"),
        ([2.0, 2.01, 1.99, 2.0], "worse"),
        ([1.001, 0.999, 1.0, 1.0], "same"),
        ([0.8, 1.3, 1.1, 0.9], "undecided"),
        ([1.005, 1.0051, 1.0049, 1.005], "same"),
    ],
)
def test_the_word_of_a_verdict(ratios: list[float], word: str) -> None:
    verdict = ours.judge([math.log(r) for r in ratios], level=0.99, margin=0.02)
    assert verdict.word == word
    assert verdict.low is not None and verdict.high is not None and verdict.ratio is not None
    assert verdict.low <= verdict.ratio <= verdict.high


def test_higher_scores_are_better_and_lower_times_are() -> None:
    gains = [0.05, 0.051, 0.049]
    assert ours.judge_differences(gains, level=0.95, margin=0.01, better="higher").word == "better"
    assert ours.judge_differences(gains, level=0.95, margin=0.01, better="lower").word == "worse"


def test_pairs_take_out_what_both_arms_share() -> None:
    drift = [1.0, 3.0, 9.0, 2.0, 5.0]
    assert ours.paired_log_ratio(drift, [2 * value for value in drift]) == pytest.approx(math.log(2))


@pytest.mark.parametrize(("reference", "candidate"), [([1.0], [1.0, 2.0]), ([], []), ([0.0], [1.0])])
def test_unequal_empty_or_impossible_arms_are_refused(reference: list[float], candidate: list[float]) -> None:
    with pytest.raises(ValueError):
        ours.paired_log_ratio(reference, candidate)


@given(st.integers(2, 64), st.sampled_from([0.01, 0.05]))
def test_all_looks_together_spend_no_more_than_alpha(planned: int, alpha: float) -> None:
    spent = [1 - ours.decision_level(look, planned, alpha) for look in ours.look_schedule(planned)]
    assert all(share > 0 for share in spent)
    assert sum(spent) == pytest.approx(alpha)


def test_eight_launches_are_looked_at_after_two_four_and_all() -> None:
    assert ours.look_schedule(8) == (2, 4, 8)
    assert ours.look_schedule(32) == (4, 8, 16, 32)


def test_looking_early_and_stopping_raises_no_more_false_alarms_than_alpha() -> None:
    generator = random.Random(20)
    alpha, planned, runs = 0.05, 8, 4000
    alarms = 0
    for _ in range(runs):
        values: list[float] = []
        for launch in range(1, planned + 1):
            values.append(generator.gauss(0, 0.005))
            level = ours.decision_level(launch, planned, alpha)
            if launch in ours.look_schedule(planned) and ours.p_value(values) < 1 - level:
                alarms += 1
                break
    # Three standard errors above the promise; the naive rule (look after every launch) gives three times it.
    assert alarms / runs <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


def test_benjamini_hochberg_is_scipys() -> None:
    p_values = [0.001, 0.6, 0.02, 0.04, 0.03, 0.9, 1.0, 0.001]
    assert ours.benjamini_hochberg(p_values) == pytest.approx(list(stats.false_discovery_control(p_values)))
    assert ours.benjamini_hochberg([]) == []


def test_false_alarms_count_only_cells_with_an_interval() -> None:
    cells = [[0.1, 0.1001, 0.0999, 0.1], [0.001, -0.001, 0.002, -0.002], [0.5]]
    assert ours.false_alarms(cells, 0.01) == (1, 2)


def test_the_smallest_detectable_change_is_found_as_often_as_it_says() -> None:
    generator = random.Random(7)
    scatter, launches, alpha = 0.005, 8, 0.01
    controls = [[generator.gauss(0, scatter) for _ in range(launches)] for _ in range(400)]
    change = ours.smallest_detectable_change(controls, launches, alpha)
    assert change is not None
    found = sum(
        ours.p_value([generator.gauss(math.log1p(change), scatter) for _ in range(launches)]) < alpha
        for _ in range(2000)
    )
    assert 0.93 < found / 2000 < 0.99


def test_without_launches_nothing_is_detectable() -> None:
    assert ours.smallest_detectable_change([], 8, 0.01) is None
    assert ours.smallest_detectable_change([[0.1]], 1, 0.01) is None


@given(st.floats(0.2, 3), st.floats(1e-9, 1e3))
def test_the_exponent_of_an_exact_power_law_is_found(exponent: float, scale: float) -> None:
    lengths = [128.0, 512.0, 1000.0, 4096.0]
    slope, low, high = ours.fit_exponent(lengths, [scale * length**exponent for length in lengths])
    assert slope == pytest.approx(exponent)
    assert low <= slope + 1e-9 and slope <= high + 1e-9


def test_two_lengths_give_no_exponent() -> None:
    with pytest.raises(ValueError, match="at least 3 lengths"):
        ours.fit_exponent([128, 256, 256], [1, 2, 2])
