"""How time and memory grow with length: a plot a kind of work, and the fitted exponents.

An exponent is the slope of log cost over log length, over all lengths measured: a layer's projections
grow as n, so short lengths pull the exponent of an n² attention below 2.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, TypeAlias

from bench.statistics import fit_exponent
from reports import formatting
from reports.content import Block, Cell, Paragraph, Plot, Section, Table, columns
from reports.estimates import Figure
from reports.evidence import Evidence
from reports.pictures.charts import Line, Point
from reports.pictures.drawing import curves
from reports.pictures.palette import colours

Cost: TypeAlias = tuple[str, str, str]
_COSTS: dict[str, Cost] = {
    "latency_p50": ("time", "median time of one call", "s"),
    "peak_bytes": ("memory", "peak memory over the baseline", "B"),
}
_FEWEST_LENGTHS = 3


def render(evidence: Evidence) -> Section:
    """Plots first, then the exponents."""
    palette = colours(evidence.variants)
    blocks: list[Block] = []
    data: list[dict[str, Any]] = []
    for (suite, series, environment), lines in over_lengths(evidence.figures, _COSTS).items():
        place = f" on {environment}" if evidence.results.mixed else ""
        cost = _COSTS[next(iter(lines.values()))[0].metric]
        blocks.append(length_plot(suite, series, place, cost, lines, palette))
        data.extend(_exponent(figures) for figures in lines.values())
    if data:
        blocks.append(_exponents(data, evidence.results.mixed))
    else:
        blocks.append(Paragraph(text="No work was measured at more than one length."))
    return Section(name="scaling", title="How cost grows with length", blocks=tuple(blocks), data=data)


def over_lengths(
    figures: Sequence[Figure], metrics: Container[str]
) -> dict[tuple[str, str, str], dict[str, list[Figure]]]:
    """Figures at two lengths or more: by suite, kind of work and environment, then by implementation."""
    found: dict[tuple[str, str, str], dict[str, list[Figure]]] = {}
    for figure in figures:
        if (
            figure.metric in metrics
            and figure.suite != "crossing"
            and figure.estimate is not None
            and figure.length
        ):
            lines = found.setdefault((figure.suite, figure.series, figure.environment_id), {})
            lines.setdefault(figure.implementation, []).append(figure)
    return {key: lines for key, lines in found.items() if any(len(line) > 1 for line in lines.values())}


def length_plot(
    suite: str, series: str, place: str, cost: Cost, lines: dict[str, list[Figure]], palette: Any
) -> Plot:
    """The curves of one kind of work; `cost` is its short name, what it is, and its unit."""
    curved = [_line(name, figures, palette) for name, figures in lines.items()]
    short, what, unit = cost
    drawn = curves(curved, name=f"scaling {suite} {series}{place}", unit=unit, y_title=f"{what}, log scale")
    ends = [f"{name} {_end(figures)}" for name, figures in lines.items()]
    return Plot(
        title=f"{series}: {short}{place}",
        svg=drawn.svg,
        chart=drawn.chart,
        description=f"At the longest length of each: {'; '.join(ends)}.",
    )


def _end(figures: Sequence[Figure]) -> str:
    last = max(figures, key=lambda figure: figure.length)
    return f"{formatting.quantity(last.estimate, last.unit)} at {formatting.length(last.length)} tokens"


def _line(name: str, figures: Sequence[Figure], palette: Any) -> Line:
    ordered = sorted(figures, key=lambda figure: figure.length)
    points = tuple(
        Point(x=float(figure.length), y=figure.estimate, low=figure.low, high=figure.high, source=figure)
        for figure in ordered
        if figure.estimate is not None
    )
    return Line(
        label=name,
        framework=name.rpartition("@")[2],
        colour=palette.get(ordered[0].variant),
        points=points,
        reference=ordered[0].role == "reference",
    )


def _exponent(figures: Sequence[Figure]) -> dict[str, Any]:
    first = figures[0]
    points = sorted((figure.length, figure.estimate) for figure in figures if figure.estimate is not None)
    lengths = [float(length) for length, _ in points]
    entry: dict[str, Any] = {
        "implementation": first.implementation,
        "suite": first.suite,
        "series": first.series,
        "unit": first.unit,
        "lengths": [length for length, _ in points],
        "method": first.method,
        "environment": first.environment_id,
        "exponent": None,
        "low": None,
        "high": None,
        "reason": f"needs {_FEWEST_LENGTHS} lengths, has {len(points)}",
    }
    if len(points) >= _FEWEST_LENGTHS:
        exponent, low, high = fit_exponent(lengths, [cost for _, cost in points])
        entry |= {"exponent": exponent, "low": low, "high": high, "reason": ""}
    return entry


def _exponents(entries: Sequence[dict[str, Any]], mixed: bool) -> Table:
    works = list(dict.fromkeys((entry["series"], entry["unit"]) for entry in entries))
    found = {(e["environment"], e["implementation"], e["series"], e["unit"]): e for e in entries}
    rows = tuple(
        (
            Cell(text=name, notes=(f"on {environment}",) if mixed else ()),
            *(_fitted(found.get((environment, name, *work))) for work in works),
        )
        for environment, name in dict.fromkeys((e["environment"], e["implementation"]) for e in entries)
    )
    heads = [f"{'memory' if unit == 'B' else 'time'}, {series} #" for series, unit in works]
    caption = (
        "Cost exponents: cost grows as length to this power, fitted over all lengths measured, with the 95% "
        "interval of the fit. Fixed costs and projections (they grow as n) pull it below the attention's own."
    )
    return Table(caption=caption, columns=columns("implementation", *heads), rows=rows)


def _fitted(entry: dict[str, Any] | None) -> Cell:
    if entry is None:
        return Cell(word="not measured")
    if entry["exponent"] is None:
        return Cell(word="below_resolution", notes=(entry["reason"],))
    lengths = entry["lengths"]
    span = f"{formatting.length(lengths[0])} to {formatting.length(lengths[-1])}, {entry['method']}"
    interval = f"({entry['low']:.2f} to {entry['high']:.2f})"
    return Cell(text=f"{entry['exponent']:.2f}", notes=(interval, span), number=entry["exponent"])
