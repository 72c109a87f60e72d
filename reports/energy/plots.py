"""Energy drawn: against what was learnt, with the front that nothing beats, and over length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.tiers import READ
from reports import formatting
from reports.content import Block, Plot
from reports.directions import better
from reports.energy.pairs import HEADLINE, NOTHING_NEW
from reports.estimates import Figure
from reports.evidence import Evidence
from reports.learnt.accuracy import baselines, main_metric
from reports.pareto import front
from reports.pictures.charts import Line, Point
from reports.pictures.drawing import scatter
from reports.pictures.palette import colours
from reports.scaling import length_plot, over_lengths

# What an answer costs is told by the item, as batches may differ; a training by the whole.
_PRICES = {
    "training_run": (HEADLINE, "to train", "joules of one whole training"),
    "forward": ("joules_per_item", "to answer", "joules an item answered"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A drawing of score over energy, and what stands on its front as plain data."""

    plot: Plot
    data: dict[str, Any]


def worth(evidence: Evidence) -> Iterator[Front]:
    """For each task, environment and call that was metered beside a score: a drawing."""
    energies = [f for f in evidence.figures if f.suite == "task_energy" and f.estimate is not None]
    places = dict.fromkeys((figure.environment_id, figure.subject) for figure in energies)
    for environment, subject in places:
        task, _, call = subject.rpartition("/")
        price = _PRICES.get(call)
        scores = [f for f in evidence.figures if f.suite == "accuracy" and f.subject == task]
        metric = main_metric(scores, list(evidence.results.score_margins))
        if price is None or metric is None:
            continue
        costs = {
            figure.implementation: figure
            for figure in energies
            if (figure.environment_id, figure.subject, figure.metric) == (environment, subject, price[0])
        }
        pairs = [
            (score, costs[score.implementation])
            for score in scores
            if score.metric == metric
            and score.environment_id == environment
            and score.implementation in costs
            and score.estimate is not None
        ]
        if pairs:
            place = f" on {environment}" if evidence.results.mixed else ""
            yield _front(evidence, (task, metric, call, place), pairs)


def _front(
    evidence: Evidence, names: tuple[str, str, str, str], pairs: Sequence[tuple[Figure, Figure]]
) -> Front:
    task, metric, call, place = names
    _, short, what = _PRICES[call]
    direction = better("accuracy", metric)
    ranked = all(cost.method in READ for _, cost in pairs)
    points = [(cost.estimate or 0.0, score.estimate or 0.0) for score, cost in pairs]
    places = front([x for x, _ in points], [y for _, y in points], direction) if ranked else ()
    methods = formatting.listed(list(dict.fromkeys(cost.method for _, cost in pairs)))
    unit = "" if pairs[0][0].unit == "fraction" else f", {pairs[0][0].unit}"
    less = ", less is better" if direction == "lower" else ""
    drawn = scatter(
        [_line(score, cost, colours(evidence.variants)) for score, cost in pairs],
        baselines(evidence.figures, task, metric),
        name=f"energy {task} {metric} {call}{place}",
        x_title=f"{what} ({methods})",
        y_title=f"{metric}{unit}{less}, with interval over seeds",
        front=[Point(x=points[index][0], y=points[index][1]) for index in places],
    )
    names_on = [pairs[index][0].implementation for index in places]
    told = [
        f"{score.implementation} {formatting.quantity(score.estimate, score.unit)} at "
        f"{formatting.quantity(cost.estimate, cost.unit)}"
        for score, cost in pairs
    ]
    data = {
        "subject": task,
        "metric": metric,
        "phase": call,
        "environment": pairs[0][0].environment_id,
        "ranked": ranked,
        "front": names_on,
        "points": [_as_data(score, cost) for score, cost in pairs],
    }
    description = f"{_on_front(names_on, ranked)} {'; '.join(told)}."
    return Front(
        plot=Plot(
            title=f"{task}: {metric}, energy {short}{place}",
            svg=drawn.svg,
            chart=drawn.chart,
            description=description,
        ),
        data=data,
    )


def _on_front(names: Sequence[str], ranked: bool) -> str:
    if not ranked:
        return f"No front is drawn: some joules are modelled or assumed, and {NOTHING_NEW}."
    return f"By estimates alone nothing beats {formatting.listed(names)} on both (dotted)."


def _line(score: Figure, cost: Figure, palette: Any) -> Line:
    return Line(
        label=score.implementation,
        framework=score.implementation.rpartition("@")[2],
        colour=palette.get(score.variant),
        points=(
            Point(
                x=cost.estimate or 0.0,
                y=score.estimate or 0.0,
                low=score.low,
                high=score.high,
                source=score,
            ),
        ),
        reference=score.role == "reference",
    )


def _as_data(score: Figure, cost: Figure) -> dict[str, Any]:
    return {
        "implementation": score.implementation,
        "score": score.estimate,
        "joules": cost.estimate,
        "low": cost.low,
        "high": cost.high,
        "method": cost.method,
    }


def growth(evidence: Evidence) -> Iterator[Block]:
    """Gross energy of a call over length, a plot a kind of work: what was read and what was not stay apart,
    as a line below another would be taken for less energy."""
    palette = colours(evidence.variants)
    for tier in ((*READ,), ("modelled",), ("assumed",)):
        mine = [figure for figure in evidence.figures if figure.suite == "energy" and figure.method in tier]
        told = formatting.listed(sorted({figure.method for figure in mine}))
        cost = (f"energy, {told}", f"gross energy of one call, {told}", "J")
        for (suite, series, environment), lines in over_lengths(mine, (HEADLINE,)).items():
            place = f" on {environment}" if evidence.results.mixed else ""
            yield length_plot(f"{suite} {tier[0]}", series, place, cost, lines, palette)
