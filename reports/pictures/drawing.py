"""Line and scatter plots as inline SVG that follows the page's colours, in light and in dark.

matplotlib draws with placeholder colours, which are then exchanged for the page's CSS variables; text
stays text. Figures are made without pyplot, so no global state is touched.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import pandas
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from reports import formatting
from reports.pictures import labels
from reports.pictures.charts import Chart, Drawing, Line, Point
from reports.pictures.labels import Box
from reports.pictures.palette import GRID, INK, MUTED, SERIES_COLOURS, VARIABLES, hue

SMALL = 1e-3
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_INCHES = (4.4, 3.3)
_LONGEST_LABEL = 28
_UNSAID = {"Date": None, "Creator": None, "Format": None, "Type": None}
_MARKERS = {"torch": "o", "keras": "s"}


def _shown(label: str) -> str:
    """The label, cut where it would take the room of the plot."""
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def curves(lines: Sequence[Line], *, name: str, unit: str, y_title: str) -> Drawing:
    """Cost over length on two logarithmic axes, each line named at its right end."""
    with matplotlib.rc_context(seaborn.axes_style("whitegrid") | STYLE):
        figure, axes = _empty()
        for line in lines:
            _curve(axes, line)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        _length_axis(axes, sorted({point.x for line in lines for point in line.points}))
        _cost_axis(axes, unit)
        axes.set_xlabel("length, tokens")
        axes.set_title(y_title, loc="left", fontsize=9, color=MUTED)
        _end_labels(axes, lines)
        chart = Chart(
            lines=tuple(lines), x_title="length, tokens", y_title=y_title, unit=unit, logarithmic=True
        )
        return Drawing(svg=as_markup(figure, name), chart=chart)


def series(lines: Sequence[Line], *, name: str, x_title: str, y_title: str) -> Drawing:
    """Values over steps or budgets on two plain axes, each line named at its right end."""
    with matplotlib.rc_context(seaborn.axes_style("whitegrid") | STYLE):
        figure, axes = _empty()
        for line in lines:
            _curve(axes, line)
        axes.xaxis.grid(False)
        axes.yaxis.grid(True, linewidth=0.5)
        axes.set_xlabel(x_title)
        axes.set_ylabel("")
        axes.set_title(y_title, loc="left", fontsize=9, color=MUTED)
        _end_labels(axes, lines)
        chart = Chart(lines=tuple(lines), x_title=x_title, y_title=y_title)
        return Drawing(svg=as_markup(figure, name), chart=chart)


def in_plots(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines of one drawing, or of several where there are more than can be told apart: the references
    stand in each, with as many others as there are colours left."""
    references = [line for line in lines if line.reference]
    others = [line for line in lines if not line.reference]
    room = max(1, SERIES_COLOURS - len(references))
    return [references + others[at : at + room] for at in range(0, max(1, len(others)), room)]


def _empty(width: float = 0.6) -> tuple[Figure, Axes]:
    """A drawing whose axes leave room for names at their right; 1 point is 1 unit of `transData`."""
    figure = Figure(figsize=_INCHES, dpi=72, layout=None)
    FigureCanvasSVG(figure)
    axes = figure.add_axes((0.12, 0.14, width, 0.77))
    return figure, axes


def _curve(axes: Axes, line: Line) -> None:
    table = pandas.DataFrame(
        {"x": [point.x for point in line.points], "y": [point.y for point in line.points]}
    )
    style: dict[str, Any] = {"linestyle": "--" if line.framework == "keras" else "-"}
    style |= {"marker": _MARKERS.get(line.framework, "D"), "markersize": 4, "markeredgewidth": 0}
    width = 2.2 if line.reference else 1.4
    seaborn.lineplot(
        data=table,
        x="x",
        y="y",
        ax=axes,
        color=hue(line),
        linewidth=width,
        legend=False,
        errorbar=None,
        **style,
    )
    _intervals(axes, line)


def _intervals(axes: Axes, line: Line) -> None:
    for point in line.points:
        if point.low is not None and point.high is not None and point.low > 0:
            axes.plot([point.x, point.x], [point.low, point.high], color=hue(line), linewidth=1.0)


def apart(lengths: Sequence[float]) -> list[float]:
    """The lengths without those whose ticks would overlap; powers of two go before others."""
    shown: list[float] = []
    for length in sorted(lengths, key=lambda value: (value != 2 ** round(math.log2(value)), value)):
        if all(abs(math.log2(length) - math.log2(other)) > 0.6 for other in shown):
            shown.append(length)
    return sorted(shown)


def _length_axis(axes: Axes, lengths: Sequence[float]) -> None:
    """Ticks at the lengths measured, leaving out those that would overlap."""
    axes.xaxis.set_major_locator(FixedLocator(apart(lengths)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: formatting.length(value)))


def _cost_axis(axes: Axes, unit: str) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formatting.tick(value, unit)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.grid(True, which="major", linewidth=0.5)
    axes.xaxis.grid(False)
    axes.set_ylabel("")


def _end_labels(axes: Axes, lines: Sequence[Line]) -> None:
    """Names at the right edge, at the height where each line ends, pushed apart where they would overlap."""
    transform = axes.transData.inverted()
    ends = []
    for line in lines:
        last = max(line.points, key=lambda point: point.x)
        ends.append((axes.transData.transform((last.x, last.y)), line))
    right = axes.transData.transform((axes.get_xlim()[1], axes.get_ylim()[0]))[0]
    heights = labels.spread([float(end[1]) for end, _ in ends])
    for ((x, y), line), height in zip(ends, heights, strict=True):
        place = transform.transform((right + 8, height))
        start, stop = transform.transform((x + 3, y)), transform.transform((right + 5, height))
        axes.plot(
            [start[0], stop[0]], [start[1], stop[1]], color=GRID, linewidth=0.6, clip_on=False, zorder=0
        )
        axes.text(
            place[0],
            place[1],
            _shown(line.label),
            color=hue(line),
            va="center",
            ha="left",
            clip_on=False,
        )


def scatter(
    lines: Sequence[Line],
    levels: Mapping[str, float],
    *,
    name: str,
    x_title: str,
    y_title: str,
    front: Sequence[Point] = (),
) -> Drawing:
    """One named point an implementation with its interval; `levels` are the trivial answers, drawn across.

    `front` are the points that nothing beats, the cheapest first: a dotted stair leads from one to the next.
    """
    with matplotlib.rc_context(seaborn.axes_style("whitegrid") | STYLE):
        figure, axes = _empty(width=0.84)
        if len(front) > 1:
            xs, ys = [point.x for point in front], [point.y for point in front]
            axes.step(xs, ys, where="post", color=MUTED, linewidth=1.0, linestyle=":", zorder=1)
        for line in lines:
            _dot(axes, line)
        axes.margins(0.12)
        if max(abs(line.points[0].x) for line in lines) < SMALL:
            # Microjoules with all their zeros would run into one another.
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
            axes.xaxis.set_major_formatter(EngFormatter())
        axes.xaxis.grid(False)
        axes.yaxis.grid(True, linewidth=0.5)
        axes.set_xlabel(x_title)
        axes.set_ylabel("")
        axes.set_title(y_title, loc="left", fontsize=9, color=MUTED)
        for level in levels.values():
            axes.axhline(level, color=MUTED, linewidth=0.8, linestyle=":")
        _place_labels(axes, lines, [_level_label(axes, label, level) for label, level in levels.items()])
        chart = Chart(
            lines=tuple(lines),
            x_title=x_title,
            y_title=y_title,
            dots=True,
            levels=levels,
            front=tuple(front),
        )
        return Drawing(svg=as_markup(figure, name), chart=chart)


def _dot(axes: Axes, line: Line) -> None:
    point = line.points[0]
    marker = _MARKERS.get(line.framework, "D")
    seaborn.scatterplot(
        x=[point.x],
        y=[point.y],
        ax=axes,
        color=hue(line),
        s=42,
        linewidth=0,
        legend=False,
        marker=marker,
    )
    _intervals(axes, line)


def _level_label(axes: Axes, label: str, level: float) -> Box:
    """The name of a trivial answer at the right end of its line, above it; answers the room it takes."""
    right, height = axes.transData.transform((axes.get_xlim()[1], level))
    axes.annotate(
        label, (1.0, level), xycoords=("axes fraction", "data"), xytext=(0, 2), textcoords="offset points",
        ha="right", va="bottom", color=MUTED, fontsize=8,
    )  # fmt: skip
    return right - labels.width(label), height, right, height + labels.TEXT_HEIGHT


def _place_labels(axes: Axes, lines: Sequence[Line], taken: list[Box]) -> None:
    """A name beside each point, at the first of some places that covers nothing, else the least covered."""
    for line in lines:
        point = line.points[0]
        x, y = axes.transData.transform((point.x, point.y))
        ends = [end if end is not None else point.y for end in (point.low, point.high)]
        bottom, top = (axes.transData.transform((point.x, end))[1] for end in ends)
        taken += [(x - 4, y - 4, x + 4, y + 4), (x - 1, bottom, x + 1, top)]
    for line in lines:
        place = axes.transData.transform((line.points[0].x, line.points[0].y))
        box = labels.beside((place[0], place[1]), _shown(line.label), taken, axes.bbox.x1)
        taken.append(box)
        left, middle = axes.transData.inverted().transform((box[0], (box[1] + box[3]) / 2))
        axes.text(left, middle, _shown(line.label), color=hue(line), va="center", ha="left", clip_on=False)


def as_markup(figure: Figure, name: str) -> str:
    """The drawing as markup to be put into a page: no prolog, no clashing ids, the page's own colours."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", bbox_inches="tight", pad_inches=0.05, metadata=_UNSAID)
    markup = file.getvalue()
    markup = markup[markup.index("<svg") :]
    for placeholder, variable in VARIABLES.items():
        markup = markup.replace(placeholder, variable)
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{_identifier(name)}-", markup)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
