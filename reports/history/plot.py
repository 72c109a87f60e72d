"""Nightly series as a drawing: the nights, the level between steps, steps and changes of the environment."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any

import matplotlib
import matplotlib.dates
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports import formatting
from reports.history.series import Series
from reports.pictures import labels, palette
from reports.pictures.drawing import STYLE, as_markup
from reports.pictures.palette import MUTED

_INCHES = (4.4, 3.0)
_ROOM = (0.12, 0.14, 0.6, 0.72)
_LONGEST = 24
SECONDS_A_DAY = 86_400
_DATES: Any = matplotlib.dates  # its functions carry no types


def draw(series: Sequence[Series], colours: Sequence[int], moments: Sequence[str], *, name: str) -> str:
    """The series of one metric and work, each in its colour; `moments` are when environments changed."""
    with matplotlib.rc_context(seaborn.axes_style("whitegrid") | STYLE):
        figure = Figure(figsize=_INCHES, dpi=72, layout=None)
        FigureCanvasSVG(figure)
        axes = figure.add_axes(_ROOM)
        for moment in moments:
            axes.axvline(_day(moment), color=MUTED, linewidth=0.8, linestyle=":")
        for one, colour in zip(series, colours, strict=True):
            _nights(axes, one, palette.colour(colour))
        _axes(axes, series[0])
        _steps(axes, series, colours)
        _names(axes, series, colours)
        return as_markup(figure, name)


def _day(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() / SECONDS_A_DAY


def _nights(axes: Axes, series: Series, colour: str) -> None:
    days = [_day(night.started_at) for night in series.nights]
    values = [night.value for night in series.nights]
    axes.plot(days, values, ".", color=colour, markersize=4, alpha=0.55)
    bounds = [0, *(change.first for change in series.changes), len(values)]
    for start, stop in itertools.pairwise(bounds):
        if start < stop:
            level = median(values[start:stop])
            axes.plot([days[start], days[stop - 1]], [level, level], color=colour, linewidth=1.8)


def _axes(axes: Axes, series: Series) -> None:
    locator = _DATES.AutoDateLocator(maxticks=5)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(_DATES.ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formatting.tick(value, series.unit)))
    axes.xaxis.grid(False)
    axes.yaxis.grid(True, linewidth=0.5)


def _steps(axes: Axes, series: Sequence[Series], colours: Sequence[int]) -> None:
    """A line at each step with its commit above the plot; of steps with one commit, the first is named."""
    seen: list[float] = []
    for one, colour in zip(series, colours, strict=True):
        for change in one.steps:
            day = _day(one.nights[change.first].started_at)
            axes.axvline(day, color=palette.colour(colour), linewidth=1.0, linestyle="--")
            at = axes.transData.transform((day, 0))[0]
            if all(abs(at - other) > labels.width("0" * 9) for other in seen):
                seen.append(at)
                axes.annotate(
                    change.commit[:8] or "unknown", (day, 1.0), xycoords=("data", "axes fraction"),
                    xytext=(0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=8,
                    color=MUTED,
                )  # fmt: skip


def _names(axes: Axes, series: Sequence[Series], colours: Sequence[int]) -> None:
    heights = [axes.transData.transform((0, one.nights[-1].value))[1] for one in series]
    places = labels.spread([float(height) for height in heights])
    for one, colour, place in zip(series, colours, places, strict=True):
        text = one.implementation
        text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
        height = axes.transData.inverted().transform((0, place))[1]
        axes.annotate(
            text, (1.0, height), xycoords=("axes fraction", "data"), xytext=(6, 0),
            textcoords="offset points", ha="left", va="center", color=palette.colour(colour),
            annotation_clip=False,
        )  # fmt: skip
