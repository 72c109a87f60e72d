"""What a drawing shows, as data: lines of points with their intervals, and how the axes are to be read.

`reports.pictures.drawing` makes the picture of it that needs no script and is printed,
`reports.pictures.interactive` the one whose points tell their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reports.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point with its interval; `low` and `high` are None where there is none. `source` is the figure that
    it stands for, where it is one of the page's."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    source: Figure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One implementation's points, with the colour of its variant; without one it is drawn muted."""

    label: str
    framework: str
    colour: int | None
    points: tuple[Point, ...]
    reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`unit` is that of the upright axis. `logarithmic` axes are lengths in tokens against a cost; `dots`
    are not joined; `levels` are lines across, by name."""

    lines: tuple[Line, ...]
    x_title: str
    y_title: str
    unit: str = ""
    logarithmic: bool = False
    dots: bool = False
    levels: Mapping[str, float] = field(default_factory=dict)
    front: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart and its picture as inline SVG."""

    svg: str
    chart: Chart
