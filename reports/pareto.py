"""Which points nothing else beats on both counts: the front that Pareto's comparison leaves.

It goes by estimates alone. Whether two points of the front differ is for the verdicts to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.schema import Better


def front(
    costs: Sequence[float], worths: Sequence[float], better_worth: Better = "higher"
) -> tuple[int, ...]:
    """Places of the points that no other beats, the cheapest first.

    Less cost is better; `better_worth` says which way the worth is. A point is beaten by one that is no
    dearer and no worse, and differs in either; of equal points all stand. Raises ValueError where there
    are not as many costs as worths, or one of them is not a number.
    """
    if len(costs) != len(worths):
        raise ValueError(f"every point needs a cost and a worth, got {len(costs)} and {len(worths)}")
    if any(number != number for number in (*costs, *worths)):
        raise ValueError("a point that is not a number can neither beat nor be beaten")
    sign = 1.0 if better_worth == "higher" else -1.0
    points = [(cost, -sign * worth) for cost, worth in zip(costs, worths, strict=True)]
    unbeaten = [place for place, point in enumerate(points) if not any(_beats(o, point) for o in points)]
    return tuple(sorted(unbeaten, key=lambda place: (points[place], place)))


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]
