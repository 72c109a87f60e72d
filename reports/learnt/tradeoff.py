"""Score against cost: what a variant learnt, over what its training took, one plot a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reports import formatting
from reports.content import Block, Paragraph, Plot, Section
from reports.directions import better
from reports.estimates import Figure, is_score
from reports.evidence import Evidence
from reports.learnt.accuracy import baselines
from reports.pictures.charts import Line, Point
from reports.pictures.drawing import scatter
from reports.pictures.palette import colours

_COST = "training_seconds"


def render(evidence: Evidence) -> Section:
    """A plot for each task's judged metric; tasks without training times are named."""
    blocks: list[Block] = []
    data: list[dict[str, Any]] = []
    palette = colours(evidence.variants)
    for subject, metric in _tasks(evidence):
        for environment in dict.fromkeys(figure.environment_id for figure in evidence.figures):
            pairs = list(_pairs(evidence.figures, subject, metric, environment))
            if pairs:
                place = f" on {environment}" if evidence.results.mixed else ""
                blocks.append(_plot(evidence, (subject, metric, place), pairs, palette))
                data.extend(_as_data(score, cost) for score, cost in pairs)
    if not blocks:
        blocks.append(Paragraph(text="No task was measured together with its training time."))
    else:
        text = (
            "Up is better (down where the axis says so), left is cheaper. Training seconds are "
            "those of a whole run, not of interleaved calls: compare speed in the verdict table."
        )
        if any(figure.suite == "task_energy" for figure in evidence.figures):
            text += " Scores over energy stand under “Energy, and how it is known”."
        blocks.insert(0, Paragraph(text=text))
    return Section(name="tradeoff", title="Score against cost", blocks=tuple(blocks), data=data)


def _tasks(evidence: Evidence) -> list[tuple[str, str]]:
    """Tasks with the metric that is judged, or with the first score where none is."""
    scores = [
        f for f in evidence.figures if f.suite == "accuracy" and is_score(f.metric) and f.estimate is not None
    ]
    margins = evidence.results.score_margins
    found: dict[str, str] = {}
    for figure in sorted(scores, key=lambda figure: figure.metric not in margins):
        found.setdefault(figure.subject, figure.metric)
    return list(found.items())


def _pairs(
    figures: Sequence[Figure], subject: str, metric: str, environment: str
) -> Iterator[tuple[Figure, Figure]]:
    mine = [
        f
        for f in figures
        if f.subject == subject and f.environment_id == environment and f.estimate is not None
    ]
    costs = {figure.implementation: figure for figure in mine if figure.metric == _COST}
    for figure in mine:
        if figure.metric == metric and figure.role != "baseline" and figure.implementation in costs:
            yield figure, costs[figure.implementation]


def _plot(
    evidence: Evidence, names: tuple[str, str, str], pairs: Sequence[tuple[Figure, Figure]], palette: Any
) -> Plot:
    subject, metric, place = names
    lines = [_line(score, cost, palette) for score, cost in pairs]
    unit = pairs[0][0].unit
    shown = metric if unit == "fraction" else f"{metric}, {unit}"
    shown += ", less is better" if better("accuracy", metric) == "lower" else ""
    drawn = scatter(
        lines,
        baselines(evidence.figures, subject, metric),
        name=f"tradeoff {subject} {metric}{place}",
        x_title="training time, seconds",
        y_title=f"{shown}, with interval over seeds",
    )
    told = [
        f"{score.implementation} {formatting.quantity(score.estimate, score.unit)} in "
        f"{formatting.quantity(cost.estimate, cost.unit)}"
        for score, cost in pairs
    ]
    return Plot(
        title=f"{subject}: {metric}{place}",
        svg=drawn.svg,
        chart=drawn.chart,
        description=f"{'; '.join(told)}.",
    )


def _line(score: Figure, cost: Figure, palette: Any) -> Line:
    assert score.estimate is not None and cost.estimate is not None
    return Line(
        label=score.implementation,
        framework=score.implementation.rpartition("@")[2],
        colour=palette.get(score.variant),
        points=(Point(x=cost.estimate, y=score.estimate, low=score.low, high=score.high, source=score),),
        reference=score.role == "reference",
    )


def _as_data(score: Figure, cost: Figure) -> dict[str, Any]:
    return {
        "implementation": score.implementation,
        "subject": score.subject,
        "metric": score.metric,
        "score": score.estimate,
        "score_low": score.low,
        "score_high": score.high,
        "unit": score.unit,
        "training_seconds": cost.estimate,
        "method": cost.method,
        "environment": score.environment_id,
    }
