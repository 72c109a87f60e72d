"""Statistics over examples that two models share, on synthetic samples with known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.paired import bootstrap, judge_pairs, mcnemar, share_difference, wilson

counts = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(counts)
def test_mcnemars_p_is_the_binomial_tests(pair: tuple[int, int]) -> None:
    first, second = pair
    if first + second:
        assert mcnemar(first, second) == pytest.approx(stats.binomtest(first, first + second).pvalue)
    else:
        assert mcnemar(first, second) == 1.0


def differing(chance: np.random.Generator, runs: int, tried: int, first: float, second: float) -> np.ndarray:
    """Examples that only one of two models has right, in `runs` made-up test sets, ``[runs, 2]``."""
    return chance.multinomial(tried, [first, second, 1 - first - second], size=runs)[:, :2]


@pytest.mark.parametrize(("tried", "share"), [(101, 0.1), (499, 0.02), (997, 0.1)])
def test_two_equal_models_are_called_different_no_more_often_than_allowed(tried: int, share: float) -> None:
    """Type I error: 4,000 test sets each, so that 5% scatters by 0.34 points."""
    found = differing(np.random.default_rng(tried), 4000, tried, share, share)
    raised = np.mean([mcnemar(int(first), int(second)) <= 0.05 for first, second in found])
    assert 0.005 < raised < 0.06


@pytest.mark.parametrize(("tried", "points"), [(155, 0.10), (626, 0.05)])
def test_power_at_a_fifth_of_discordant_examples(tried: int, points: float) -> None:
    """155 examples find ten points, 626 find five, four times out of five; the exact test a little less."""
    found = differing(np.random.default_rng(tried), 4000, tried, 0.1 + points / 2, 0.1 - points / 2)
    power = np.mean([mcnemar(int(first), int(second)) <= 0.05 for first, second in found])
    assert 0.70 < power < 0.84


def test_a_quarter_of_the_examples_does_not_find_ten_points() -> None:
    found = differing(np.random.default_rng(3), 4000, 39, 0.15, 0.05)
    assert np.mean([mcnemar(int(first), int(second)) <= 0.05 for first, second in found]) < 0.3


@given(st.integers(1, 400), st.data(), st.sampled_from([0.9, 0.95, 0.99]))
def test_wilsons_interval_is_scipys(tried: int, data: st.DataObject, level: float) -> None:
    right = data.draw(st.integers(0, tried))
    expected = stats.binomtest(right, tried).proportion_ci(level, method="wilson")
    assert wilson(right, tried, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_nothing_tried_has_no_share() -> None:
    with pytest.raises(ValueError, match="at least 1 example"):
        wilson(0, 0, 0.95)
    with pytest.raises(ValueError, match="cannot differ"):
        share_difference(0, 0, 0, 0.95)
    with pytest.raises(ValueError, match="cannot differ"):
        share_difference(7, 5, 11, 0.95)
    with pytest.raises(ValueError, match="at least 1 example"):
        bootstrap([], 0.95)


@pytest.mark.parametrize("tried", [20, 101, 499])
def test_without_a_differing_example_the_interval_is_as_wide_as_the_examples_are_few(tried: int) -> None:
    z = float(stats.norm.ppf(0.975))
    end = z * z / (tried + z * z)
    assert share_difference(0, 0, tried, 0.95) == pytest.approx((0, -end, end))


@given(counts, st.sampled_from([0.9, 0.95, 0.99]))
def test_the_score_interval_turns_with_the_arms_and_excludes_zero_as_mcnemars_chi_squared(
    pair: tuple[int, int], level: float
) -> None:
    first, second = pair
    mean, low, high = share_difference(first, second, 131, level)
    assert -1 <= low <= mean <= high <= 1
    assert share_difference(second, first, 131, level) == pytest.approx((-mean, -high, -low))
    if first + second:
        statistic = abs(first - second) / (first + second) ** 0.5
        quantile = float(stats.norm.ppf(0.5 + level / 2))
        if abs(statistic - quantile) > 1e-6:
            assert (low > 0 or high < 0) == (statistic > quantile)


@pytest.mark.parametrize(("first", "second"), [(0.15, 0.05), (0.02, 0.02), (0.0, 0.03)])
def test_the_score_interval_holds_the_true_difference_nineteen_times_of_twenty(
    first: float, second: float
) -> None:
    found = differing(np.random.default_rng(11), 2000, 149, first, second)
    ends = [share_difference(int(one), int(other), 149, 0.95)[1:] for one, other in found]
    held = np.mean([low <= first - second <= high for low, high in ends])
    assert 0.93 < held < 0.98


def test_the_bootstrap_is_seeded_and_holds_the_mean_nineteen_times_of_twenty() -> None:
    chance = np.random.default_rng(5)
    samples = [chance.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=211) for _ in range(400)]
    found = [bootstrap(sample.tolist(), 0.95) for sample in samples]
    assert 0.91 < np.mean([low <= 0.1 <= high for _, low, high in found]) < 0.98
    assert found[0][0] == pytest.approx(samples[0].mean())
    assert bootstrap(samples[0].tolist(), 0.95) == found[0]
    assert bootstrap(samples[0].tolist(), 0.95, seed=1) != found[0]


def test_the_bootstrap_is_as_wide_as_the_normal_interval_of_many_examples() -> None:
    values = np.random.default_rng(7).normal(3, 2, size=997)
    _, low, high = bootstrap(values.tolist(), 0.95)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 997**0.5, rel=0.06)


@pytest.mark.parametrize(
    ("only_it", "only_reference", "tried", "word"),
    [
        (30, 8, 500, "better"),
        (8, 30, 500, "worse"),
        (1, 1, 500, "same"),
        (0, 0, 500, "same"),
        (0, 0, 100, "undecided"),
        (12, 9, 500, "undecided"),
    ],
)
def test_the_word_on_a_pair(only_it: int, only_reference: int, tried: int, word: str) -> None:
    verdict = judge_pairs(only_it, only_reference, tried, level=0.95, margin=0.02)
    assert verdict.word == word
    assert verdict.ratio == pytest.approx((only_it - only_reference) / tried)
    assert bool(verdict.reason) == (word == "undecided")


def test_equal_models_are_hardly_ever_called_the_same_on_too_few_examples() -> None:
    """At a true difference as large as the margin, `same` is an error: one side at 5% a side at most."""
    found = differing(np.random.default_rng(13), 2000, 800, 0.03, 0.01)
    words = [judge_pairs(int(a), int(b), 800, level=0.95, margin=0.02).word for a, b in found]
    assert words.count("same") / len(words) < 0.04
