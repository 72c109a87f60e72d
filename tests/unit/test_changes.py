"""Change points on synthetic series from fixed seeds: what must be found, and what must not be called."""

import sys
from pathlib import Path

import numpy as np
import pytest

from bench.changes import Night, changes, find_steps

PROOF = Path(__file__).parent.parent / "proof"


def noise(kind: str, series: int, nights: int) -> "np.ndarray":
    """The proof's noise, from a fixed seed."""
    sys.path.insert(0, str(PROOF))
    try:
        import simulated_noise
    finally:
        sys.path.remove(str(PROOF))
    return simulated_noise.noise(kind, series, nights, np.random.default_rng(17))


@pytest.mark.parametrize(
    "kind", ["gaussian", "t3", "AR(1) 0.3", "AR(1) 0.6", "spikes 2%", "spikes 5%"]
)  # fmt: skip
def test_ninety_quiet_nights_raise_next_to_no_alarm(kind: str) -> None:
    found = find_steps(0.006 * noise(kind, 300, 90))
    assert sum(bool(steps) for steps in found) <= 6


def test_a_step_of_2_percent_in_noise_of_0_6_percent_is_found_within_days_where_it_happened() -> None:
    values = 0.006 * noise("gaussian", 200, 180)
    values[:, 170:] += np.log(1.02)
    first = [steps[0] for steps in find_steps(values) if steps]
    assert np.mean([step.found <= 173 for step in first]) > 0.85
    assert np.mean([abs(step.at - 170) <= 1 for step in first]) > 0.95
    assert np.mean([step.size for step in first]) == pytest.approx(np.log(1.02), rel=0.1)


def test_a_large_step_is_found_by_its_third_night_whatever_has_been_estimated() -> None:
    values = 0.006 * noise("gaussian", 50, 60)
    values[:, 50:] += 0.5
    assert {steps[0].found for steps in find_steps(values)} <= {51, 52}


def test_two_spikes_in_a_row_are_no_step() -> None:
    values = 0.006 * noise("gaussian", 200, 60)
    values[:, 50:52] += 0.06
    assert sum(bool(steps) for steps in find_steps(values)) <= 10


def test_what_moves_with_the_environment_is_told_and_never_called_a_step() -> None:
    values = 0.006 * noise("gaussian", 100, 80)
    values[:, 40:] += 0.03
    found = find_steps(values, [[40]] * 100)
    assert all(steps[0].marked and steps[0].at == 40 for steps in found)
    assert np.mean([steps[0].size for steps in found]) == pytest.approx(0.03, rel=0.1)
    assert sum(len(steps) > 1 for steps in found) <= 2


def test_a_step_soon_after_a_marked_night_is_found_since_the_noise_is_known() -> None:
    values = 0.006 * noise("gaussian", 100, 80)
    values[:, 60:] += 0.03
    values[:, 70:] += 0.05
    found = find_steps(values, [[60]] * 100)
    assert sum([step.at for step in steps] == [60, 70] for steps in found) >= 90


def test_two_steps_are_two_steps_and_there_and_back_is_told_as_such() -> None:
    values = 0.006 * noise("gaussian", 50, 110)
    values[:, 50:80] += 0.05
    found = find_steps(values)
    assert sum([step.at for step in steps] == [50, 80] for steps in found) >= 44


def test_a_night_decides_with_what_is_known_that_night() -> None:
    values = 0.006 * noise("spikes 2%", 30, 100)
    values[:, 60:] += 0.04
    for series in values:
        for step in find_steps([series])[0][:1]:
            assert find_steps([series[: step.found + 1]])[0] == [step]
            assert find_steps([series[: step.found]])[0] == []


def test_series_are_judged_alike_alone_and_beside_others() -> None:
    values = [*(0.006 * noise("gaussian", 5, 90)), noise("gaussian", 1, 70)[0]]
    values[1][50:] += 0.05
    assert find_steps(values) == [find_steps([series])[0] for series in values]


def test_a_series_that_never_moved_has_a_step_only_beyond_the_smallest() -> None:
    values = [1.0] * 40 + [1.01] * 5
    assert [step.at for step in find_steps([values], smallest=0.005)[0]] == [40]
    assert find_steps([values], smallest=0.02) == [[]]
    assert find_steps([[1.0] * 40, [], [2.0]], smallest=0.005) == [[], [], []]


def test_a_missing_value_is_refused_rather_than_filled_in() -> None:
    with pytest.raises(ValueError, match="left out"):
        find_steps([[1.0, float("nan")]])


def _nights(values: list[float], upgraded: int = 1000) -> list[Night]:
    return [
        Night(
            value=value,
            started_at=f"night {i}",
            commit=f"{i:040d}",
            environment="new" if i >= upgraded else "old",
        )
        for i, value in enumerate(values)
    ]


def test_a_change_says_which_way_how_much_and_between_which_commits() -> None:
    slower, faster = _nights([1.0] * 40 + [1.03] * 4), _nights([1.0] * 40 + [0.95] * 4)
    upgraded = _nights([1.0] * 40 + [1.03] * 4, upgraded=40)
    worse, better, marked = changes(
        [slower, faster, upgraded], better=["lower"] * 3, ratios=[True] * 3, smallest=[0.005] * 3
    )
    assert [change.kind for change in worse + better + marked] == ["worse", "better", "environment"]
    assert worse[0].change == pytest.approx(0.03)
    assert (worse[0].after_commit, worse[0].commit) == (f"{39:040d}", f"{40:040d}")
    assert (worse[0].first, worse[0].found) == (40, 42)
    (lost,) = changes([_nights([0.7] * 40 + [0.69] * 4)], better=["higher"], ratios=[False], smallest=[0.002])
    assert (lost[0].kind, lost[0].change) == ("worse", pytest.approx(-0.01))
