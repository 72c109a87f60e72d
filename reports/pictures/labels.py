"""Where the names in a drawing go, so that none covers another: geometry in points, no drawing."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]

TEXT_HEIGHT = 11.0
_LETTER_WIDTH = 5.4
_RISES = (0.0, 9.0, -9.0, 18.0, -18.0, 28.0, -28.0, 40.0, -40.0)
_GAP = 7.0
_COVERING = 5.0


def spread(heights: Sequence[float], gap: float = TEXT_HEIGHT) -> list[float]:
    """The heights moved as little as needed, in their order, so that neighbours are `gap` apart."""
    blocks: list[list[int]] = []
    for index in sorted(range(len(heights)), key=heights.__getitem__):
        blocks.append([index])
        while len(blocks) > 1 and _bottom(blocks[-1], heights, gap) - _top(blocks[-2], heights, gap) < gap:
            last = blocks.pop()
            blocks[-1] += last
    placed = list(heights)
    for block in blocks:
        for rank, index in enumerate(block):
            placed[index] = _bottom(block, heights, gap) + rank * gap
    return placed


def _bottom(block: Sequence[int], heights: Sequence[float], gap: float) -> float:
    return fmean(heights[index] for index in block) - (len(block) - 1) / 2 * gap


def _top(block: Sequence[int], heights: Sequence[float], gap: float) -> float:
    return _bottom(block, heights, gap) + (len(block) - 1) * gap


def width(label: str) -> float:
    """Roughly how wide a label is."""
    return _LETTER_WIDTH * len(label)


def beside(point: tuple[float, float], label: str, taken: Sequence[Box], right: float) -> Box:
    """The place of a label beside its point (x, y): it covers as little as can be of what is `taken`,
    stays left of `right`, and is near."""
    x, y = point
    places = [_place(x, y + rise, width(label), side) for rise in _RISES for side in (1, -1)]
    prices = [
        _COVERING * sum(overlap(place, other) for other in taken)
        + _outside(place, right)
        + abs((place[1] + place[3]) / 2 - y)
        for place in places
    ]
    return places[prices.index(min(prices))]


def _place(x: float, y: float, wide: float, side: int) -> Box:
    left = x + _GAP if side > 0 else x - _GAP - wide
    return left, y - TEXT_HEIGHT / 2, left + wide, y + TEXT_HEIGHT / 2


def overlap(first: Box, second: Box) -> float:
    """The area that two boxes (left, bottom, right, top) share."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    upward = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, across) * max(0.0, upward)


def _outside(box: Box, right: float) -> float:
    """A price for leaving the drawing, far above that of covering something."""
    return 1e6 * (max(0.0, box[2] - right - 12) + max(0.0, -box[0]))
