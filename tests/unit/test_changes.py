"""Change points on synthetic series from fixed seeds: what must be found, and what must not be called."""

import sys
from pathlib import Path

import numpy as np
import pytest

from bench.changes import Night, Step, changes, find_steps
from bench.changes.pools import shape

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


def _pool(values: "np.ndarray", members: int = 30, **given: object) -> list[list[Step]]:
    pools = [i // members for i in range(len(values))]
    return find_steps(values, pools=pools, **given)  # type: ignore[arg-type]


def test_a_pool_of_fewer_than_five_says_nothing_and_one_without_a_pool_is_judged_alone() -> None:
    values = 0.006 * noise("gaussian", 4, 120)
    values[:, 100:] += 0.015
    assert _pool(values) == find_steps(values)
    many = 0.006 * noise("gaussian", 30, 120)
    many[:, 100:] += 0.012
    assert find_steps(many, pools=[None] * 30) == find_steps(many)
    assert _pool(many) != find_steps(many)


@pytest.mark.parametrize(
    "kind", ["gaussian", "t3", "AR(1) 0.3", "AR(1) 0.6", "spikes 2%", "spikes 5%"]
)  # fmt: skip
def test_ninety_quiet_nights_of_a_pool_raise_next_to_no_alarm(kind: str) -> None:
    found = _pool(0.006 * noise(kind, 300, 90))
    assert sum(bool(steps) for steps in found) <= 6


def test_a_member_that_wanders_among_independent_ones_keeps_its_own_measure() -> None:
    values = 0.006 * noise("gaussian", 400, 90)
    values[::10] = 0.006 * noise("AR(1) 0.6", 40, 90)
    assert sum(map(bool, _pool(values, 10)[::10])) <= 2


def test_a_pool_finds_steps_that_its_members_alone_miss() -> None:
    values = 0.02 * noise("gaussian", 240, 98)
    values[::6, 90:] += np.log(1.04)
    together, alone = _pool(values)[::6], find_steps(values)[::6]
    assert sum(map(bool, together)) >= 30
    assert sum(map(bool, together)) >= sum(map(bool, alone)) + 3


def test_a_night_knows_of_its_pool_what_was_known_that_night() -> None:
    values = 0.006 * noise("spikes 2%", 30, 100)
    values[:6, 60:] += 0.03
    whole = _pool(values)
    for night in (62, 64, 69):
        known = _pool(values[:, :night])
        first = [[step for step in steps[:1] if step.found < night] for steps in whole]
        assert [steps[:1] for steps in known] == first


def test_members_of_a_pool_may_come_late_miss_nights_and_change_with_their_environment() -> None:
    values = 0.006 * noise("gaussian", 12, 120)
    nights = [list(range(120)) for _ in values]
    nights[0], nights[1] = nights[0][50:], nights[1][::2]
    series = [row[mine] for row, mine in zip(values, nights, strict=True)]
    series[0][50:] += 0.03
    found = _pool(series, nights=nights, marks=[[30], [], *[[80]] * 10])  # type: ignore[arg-type]
    assert [step.at for step in found[0] if not step.marked] == [50]
    assert all(step.marked for steps in found[1:] for step in steps)


def test_a_pool_tells_correlation_outliers_and_how_many_members_it_is_worth() -> None:
    marks = np.zeros((30, 150), dtype=int)
    told = {kind: shape(noise(kind, 30, 150), marks) for kind in ("gaussian", "AR(1) 0.6", "spikes 5%")}
    assert told["gaussian"].correlation[-1] == pytest.approx(0, abs=0.05)
    assert told["AR(1) 0.6"].correlation[-1] == pytest.approx(0.6, abs=0.06)
    assert told["spikes 5%"].outliers[-1] == pytest.approx(0.04, abs=0.015)
    assert told["gaussian"].outliers[-1] < 0.003
    assert told["gaussian"].worth[-1] > 20
    assert shape(noise("gaussian", 30, 150) + noise("gaussian", 1, 150), marks).worth[-1] < 6
    halves = np.concatenate([noise("gaussian", 15, 150), noise("AR(1) 0.6", 15, 150)])
    assert shape(halves, marks).between[-1] > 0.05 > 5 * told["AR(1) 0.6"].between[-1]


def _nights(values: list[float], upgraded: int = 1000) -> list[Night]:
    return [
        Night(
            value=value,
            started_at=f"night {i:03d}",
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


def test_what_most_ratios_to_one_reference_do_together_is_the_references() -> None:
    values = 1 + 0.006 * noise("gaussian", 12, 90)
    values[:, 60:] *= 0.95
    values[3, 60:] *= 1.05**2
    values[4, 75:] *= 1.05
    nights = [_nights(list(row)) for row in values]
    given = {"better": ["lower"] * 12, "ratios": [True] * 12, "smallest": [0.005] * 12}
    told = changes(nights, references=["softmax"] * 12, **given)  # type: ignore[arg-type]
    kinds = [[change.kind for change in one] for one in told]
    assert kinds[3] == ["worse"]
    assert kinds[4] == ["reference", "worse"]
    assert all(one == ["reference"] for i, one in enumerate(kinds) if i not in (3, 4))
    few = changes(nights[4:8], references=["softmax"] * 4, **{k: v[:4] for k, v in given.items()})  # type: ignore[arg-type]
    assert [one[0].kind for one in few] == ["better"] * 4
    apart = changes(nights, references=range(12), **given)  # type: ignore[arg-type]
    assert apart[0][0].kind == "better"
