"""Charts whose points tell their values, for the page: Bokeh's models as data, and Bokeh's own script.

Colours are the placeholders of `reports.pictures.drawing`: the page puts in those of its light or dark
scheme. Nothing here needs a script to be compiled from text, which the page's policy forbids.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bokeh.embed import json_item
from bokeh.models import (
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    HSpan,
    MultiLine,
    NumeralTickFormatter,
    Scatter,
    Segment,
    Step,
    TapTool,
)
from bokeh.models.annotations import Label
from bokeh.plotting import figure
from bokeh.util.paths import bokehjs_path

from reports import formatting
from reports.pictures.charts import Chart, Point
from reports.pictures.drawing import apart
from reports.pictures.palette import GRID, MUTED, hue
from reports.writers.json_numbers import rounded
from reports.writers.raw import address

_HEIGHT = 320
_STROKE: Any = {"line_color": "colour", "line_alpha": "alpha"}
_MARKERS = {"torch": "circle", "keras": "square"}
_FONT = "system-ui, 'Liberation Sans', Arial, sans-serif"


@functools.cache
def script() -> str:
    """Bokeh's script as its package ships it, without the reference to its source map."""
    text = (Path(bokehjs_path()) / "js" / "bokeh.min.js").read_text(encoding="utf-8")
    return text.partition("\n//# sourceMappingURL")[0].replace("\r\n", "\n")


def item(chart: Chart) -> dict[str, Any]:
    """What `Bokeh.embed.embed_item` draws."""
    scale: Any = "log" if chart.logarithmic else "linear"
    drawn = figure(
        height=_HEIGHT,
        sizing_mode="stretch_width",
        x_axis_type=scale,
        y_axis_type=scale,
        toolbar_location=None,
        tools=[],
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border_right=12,
        title=chart.y_title,
        x_axis_label=chart.x_title,
    )
    if len(chart.front) > 1:
        xs, ys = [point.x for point in chart.front], [point.y for point in chart.front]
        step = Step(x="x", y="y", mode="after", line_color=MUTED, line_dash="dotted")
        _add(drawn, {"x": xs, "y": ys}, step)
    if not chart.dots:
        _add(
            drawn,
            _joined(chart),
            MultiLine(xs="xs", ys="ys", line_width="width", line_dash="dash", **_STROKE),
        )
    _add(drawn, _spread(chart), Segment(x0="x", y0="low", x1="x", y1="high", line_width=1.2, **_STROKE))
    size = 9 if chart.dots else 6
    dots = Scatter(
        x="x", y="y", marker="marker", size=size, fill_color="colour", fill_alpha="alpha", **_STROKE
    )
    points = _add(drawn, _told(chart), dots)
    _levels(drawn, chart)
    told = [("of", "@name"), ("at", "@where"), ("value", "@told"), ("interval", "@interval")]
    drawn.add_tools(HoverTool(tooltips=told, renderers=[points]), TapTool(renderers=[points]))
    _dress(drawn, chart)
    return dict(rounded(dict(json_item(drawn))))


def _levels(drawn: Any, chart: Chart) -> None:
    """Lines across, each with its name at the left end."""
    if not chart.levels:
        return
    across = HSpan(y="y", line_color=MUTED, line_dash="dotted")
    _add(drawn, {"y": list(chart.levels.values())}, across)
    for name, level in chart.levels.items():
        label: Any = {"text_color": MUTED, "text_font": _FONT, "text_font_size": "11px"}
        drawn.add_layout(Label(x=4, x_units="screen", y=level, y_offset=1, text=name, **label))


def _add(drawn: Any, columns: Mapping[str, Sequence[Any]], glyph: Any) -> Any:
    """The glyph over its columns; choosing one of its points fades none of the others."""
    data = rounded({name: list(column) for name, column in columns.items()})
    return drawn.add_glyph(ColumnDataSource(data), glyph, nonselection_glyph=None, muted_glyph=None)


def _joined(chart: Chart) -> dict[str, list[Any]]:
    """Columns with a row a line."""
    return {
        "name": [line.label for line in chart.lines],
        "xs": [[point.x for point in line.points] for line in chart.lines],
        "ys": [[point.y for point in line.points] for line in chart.lines],
        "width": [2.4 if line.reference else 1.5 for line in chart.lines],
        "dash": ["dashed" if line.framework == "keras" else "solid" for line in chart.lines],
        "colour": [hue(line) for line in chart.lines],
        "alpha": [1] * len(chart.lines),
    }


def _spread(chart: Chart) -> dict[str, list[Any]]:
    """Columns with a row an interval."""
    found = [
        (line.label, point.x, point.low, point.high, hue(line), 1)
        for line in chart.lines
        for point in line.points
        if point.low is not None and point.high is not None and (point.low > 0 or not chart.logarithmic)
    ]
    names = ("name", "x", "low", "high", "colour", "alpha")
    return {name: [row[place] for row in found] for place, name in enumerate(names)}


def _markers(chart: Chart) -> list[str]:
    """One a line: the framework's, or another where its colour was taken by a line before."""
    taken: set[tuple[int | None, str]] = set()
    found = []
    for line in chart.lines:
        marker = _MARKERS.get(line.framework, "diamond")
        found.append("triangle" if (line.colour, marker) in taken else marker)
        taken.add((line.colour, marker))
    return found


def _told(chart: Chart) -> dict[str, list[Any]]:
    """Columns with a row a point: where it lies, and what it tells."""
    found = [
        (
            line.label,
            point.x,
            point.y,
            _where(point, chart),
            *_texts(point, chart),
            address(point.source) if point.source else "",
            marker,
            hue(line),
            1,
        )
        for line, marker in zip(chart.lines, _markers(chart), strict=True)
        for point in line.points
    ]
    names = ("name", "x", "y", "where", "told", "interval", "cell", "marker", "colour", "alpha")
    return {name: [row[place] for row in found] for place, name in enumerate(names)}


def _where(point: Point, chart: Chart) -> str:
    """The place on the lower axis: 1,024 tokens, or 0.25 with the axis's title."""
    if chart.logarithmic:
        return f"{formatting.length(point.x)} tokens"
    return f"{point.x:,.4g} ({chart.x_title})"


def _texts(point: Point, chart: Chart) -> tuple[str, str]:
    unit = chart.unit or (point.source.unit if point.source else "")
    if not unit:
        return f"{point.y:,.4g}", "none"
    told, interval = formatting.with_bounds(point.y, point.low, point.high, unit)
    return told, interval.removeprefix("no interval") or "none"


def _dress(drawn: Any, chart: Chart) -> None:
    """Axes and grid in the page's colours, ticks where lengths were measured."""
    drawn.title.update(text_color=MUTED, text_font=_FONT, text_font_size="12px", text_font_style="normal")
    for axis in drawn.axis:
        axis.update(
            axis_line_color=GRID,
            major_tick_line_color=GRID,
            minor_tick_line_color=None,
            major_label_text_color=MUTED,
            major_label_text_font=_FONT,
            major_label_text_font_size="12px",
            axis_label_text_color=MUTED,
            axis_label_text_font=_FONT,
            axis_label_text_font_size="12px",
            axis_label_text_font_style="normal",
        )
    drawn.xgrid.grid_line_color = None
    drawn.ygrid.grid_line_color = GRID
    if chart.logarithmic:
        lengths = sorted({point.x for line in chart.lines for point in line.points})
        costs = [point.y for line in chart.lines for point in line.points]
        _ticks(drawn.xaxis, apart(lengths), [formatting.length(length) for length in apart(lengths)])
        ticks = _decades(min(costs), max(costs))
        _ticks(drawn.yaxis, ticks, [formatting.tick(tick, chart.unit) for tick in ticks])
    elif all(point.x == int(point.x) for line in chart.lines for point in line.points):
        drawn.xaxis.formatter = NumeralTickFormatter(format="0,0")


def _ticks(axis: Any, ticks: Sequence[float], texts: Sequence[str]) -> None:
    axis.ticker = FixedTicker(ticks=list(ticks))
    axis.major_label_overrides = dict(zip(ticks, texts, strict=True))


def _decades(least: float, most: float) -> list[float]:
    """1, 10, 100, …; with 2 and 5 between where the range holds fewer than three of them."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    ticks = [10.0**power for power in powers if least / 2 <= 10.0**power <= most * 2]
    if len(ticks) > 2:
        return ticks
    return [
        float(f"{step}e{power}")
        for power in powers
        for step in (1, 2, 5)
        if least / 2 <= step * 10.0**power <= most * 2
    ]
