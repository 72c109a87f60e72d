"""The front of cost and worth, against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.pareto import front

FEW = st.integers(0, 5).map(float)
POINTS = st.lists(st.tuples(FEW, FEW), min_size=1, max_size=9)


def test_what_costs_more_and_is_worth_less_is_left_out() -> None:
    costs, scores = [3.0, 1.0, 2.0, 4.0], [0.9, 0.5, 0.4, 0.9]
    assert front(costs, scores) == (1, 0)
    assert front(costs, scores, "lower") == (1, 2)


def test_equal_points_stand_beside_each_other() -> None:
    assert front([2.0, 1.0, 1.0], [7.0, 7.0, 7.0]) == (1, 2)


def test_nothing_has_no_front() -> None:
    assert front([], []) == ()


@pytest.mark.parametrize(("costs", "worths"), [([1.0], []), ([float("nan")], [1.0]), ([1.0], [float("nan")])])
def test_points_that_are_none_are_refused(costs: list[float], worths: list[float]) -> None:
    with pytest.raises(ValueError, match=r"cost and a worth|not a number"):
        front(costs, worths)


@given(POINTS)
def test_along_the_front_worth_never_falls_and_every_other_point_is_beaten_by_it(
    points: list[tuple[float, float]],
) -> None:
    costs, worths = [point[0] for point in points], [point[1] for point in points]
    places = front(costs, worths)
    assert places
    along = [points[place] for place in places]
    assert along == sorted(along)
    for place, (cost, worth) in enumerate(points):
        beaten = any(c <= cost and w >= worth and (c, w) != (cost, worth) for c, w in along)
        assert beaten == (place not in places)
