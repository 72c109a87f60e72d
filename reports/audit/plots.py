"""Two figures: energy against score with the front that nothing beats, and carbon (or energy) over length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reports import formatting
from reports.audit.asked import Asked
from reports.audit.cases import EACH
from reports.audit.dossier import Dossier, Weighed, shown
from reports.audit.prices import Price, price
from reports.audit.readings import Reading
from reports.content import Block, Paragraph, Plot, Section
from reports.pareto import front
from reports.pictures.charts import Line, Point
from reports.pictures.drawing import curves, in_plots, scatter
from reports.pictures.palette import colours


def plots(dossier: Dossier) -> Section:
    """Both figures, as far as their data were measured."""
    names = [reading.implementation for reading in dossier.readings]
    names.sort(
        key=lambda name: not any(r.implementation == name and r.role == "reference" for r in dossier.readings)
    )
    palette = colours([name.rpartition("@")[0] for name in names])
    blocks: list[Block] = [*_against_score(dossier, palette), *_over_length(dossier, palette)]
    if not blocks:
        blocks.append(Paragraph(text="Nothing to draw: no energy beside a score, and none at two lengths."))
    return Section(name="plots", title="Energy against score, and over length", blocks=tuple(blocks))


def _against_score(dossier: Dossier, palette: Mapping[str, int]) -> Iterator[Block]:
    for one in dossier.weighed:
        scored = [price for name, price in one.prices.items() if name in one.case.scores]
        if scored:
            yield _front(dossier.asked, one, scored, palette)


def _front(asked: Asked, one: Weighed, scored: Sequence[Price], palette: Mapping[str, int]) -> Plot:
    case, each = one.case, EACH[asked.unit]
    metric = case.scores[scored[0].name]
    lines = [_dot(one, price, palette) for price in scored]
    ranked = all(price.reading.read for price in scored)
    places = (
        front([line.points[0].x for line in lines], [line.points[0].y for line in lines], metric.better)
        if ranked
        else ()
    )
    tiers = formatting.listed(list(dict.fromkeys(price.reading.method for price in scored)))
    drawn = scatter(
        lines,
        {},
        name=f"audit {case.environment_id} {case.title}",
        x_title=f"joules of {each}",
        y_title=f"{metric.metric}, with interval over seeds; energy {tiers}",
        front=[lines[place].points[0] for place in places],
    )
    told = [
        f"{line.label} {line.points[0].y:.3g} at {shown(p.estimate(p.joules), 'J')[0]}"
        for line, p in zip(lines, scored, strict=True)
    ]
    names = formatting.listed([lines[place].label for place in places])
    words = (
        f"Nothing beats {names} on both (dotted)."
        if ranked
        else "No front is drawn: energy was not read from a meter."
    )
    return Plot(
        title=f"{case.title}: {metric.metric} against energy",
        svg=drawn.svg,
        chart=drawn.chart,
        description=f"{words} {'; '.join(told)}.",
    )


def _dot(one: Weighed, price: Price, palette: Mapping[str, int]) -> Line:
    score = one.case.score(price.name)
    assert score is not None
    point = Point(x=price.estimate(price.joules).mean, y=score.mean, low=score.low, high=score.high)
    return _line(price.name, palette, (point,), reference=price.name == one.case.reference)


def _line(name: str, palette: Mapping[str, int], points: tuple[Point, ...], *, reference: bool) -> Line:
    variant, _, framework = name.rpartition("@")
    return Line(
        label=name, framework=framework, colour=palette.get(variant), points=points, reference=reference
    )


def _over_length(dossier: Dossier, palette: Mapping[str, int]) -> Iterator[Block]:
    for (environment, series, framework), curve in dossier.curves.items():
        lines = list(_curves(dossier, curve, palette))
        lengths = {point.x for line in lines for point in line.points}
        if len(lengths) < 2:
            continue
        unit = "g" if dossier.asked.intensity else "J"
        what = "operational grams CO2e a call" if dossier.asked.intensity else "gross joules a call"
        tiers = formatting.listed(list(dict.fromkeys(r.method for at in curve.values() for r in at.values())))
        several = in_plots(lines)
        for number, some in enumerate(several, 1):
            part = f" ({number} of {len(several)})" if len(several) > 1 else ""
            drawn = curves(
                some,
                name=f"audit {environment} {series} {framework} {number}",
                unit=unit,
                y_title=f"{what}, {tiers}",
            )
            yield Plot(
                title=f"{series} on {framework}: {what}{part}",
                svg=drawn.svg,
                chart=drawn.chart,
                description=f"Made-up work, {tiers}. " + "; ".join(_told(line, unit) for line in some) + ".",
            )


def _curves(
    dossier: Dossier, curve: Mapping[str, Mapping[int, Reading]], palette: Mapping[str, int]
) -> Iterator[Line]:
    asked, level = dossier.asked, 1 - dossier.results.alpha
    for name, at in curve.items():
        points = []
        for length, reading in sorted(at.items()):
            one = price(reading, asked, "training", level)
            estimate = one.estimate(one.operational or one.joules)
            points.append(Point(x=length, y=estimate.mean, low=estimate.low, high=estimate.high))
        reference = any(reading.role == "reference" for reading in at.values())
        yield _line(name, palette, tuple(points), reference=reference)


def _told(line: Line, unit: str) -> str:
    ends = (line.points[0], line.points[-1])
    texts = [f"{formatting.quantity(end.y, unit)} at {formatting.length(end.x)}" for end in ends]
    return f"{line.label} {formatting.listed(list(dict.fromkeys(texts)))}"
