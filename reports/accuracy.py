"""What each variant learnt on each task: scores over seeds beside trivial answers, and the data's source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from reports import formatting
from reports.comparisons import Comparison
from reports.content import Block, Cell, Column, Group, Items, Paragraph, Section, Table
from reports.directions import is_control
from reports.estimates import Figure, is_score
from reports.evidence import Evidence
from reports.examples import Paired, examples, paired
from reports.figures import figure_cell
from reports.outdone import outdone
from reports.verdicts import verdict_cell

_ROLES = {"reference": 0, "candidate": 1, "baseline": 2}
# What a row says of its own training stands in the view `training`, what it says of its size in its cell.
_UNSAID = {
    "task", "architecture", "phase", "query_length", "key_length", "items", "tokens", "scored", "diverged",
    "every", "parts", "conditions", "cause", "parameters_off", "parameters_matched", "feed_forward_width",
}  # fmt: skip
Pairs: TypeAlias = Mapping[tuple[str, str], Paired]
"""By environment and implementation."""
_CAPTION = "Mean over seeds with its interval. One budget for all variants; baselines are trivial answers."
_READING = (
    "A verdict's unit is the seed. Beside it stands where the trained models differ example by example: how "
    "many test examples only one of the two has right at their first seed, with McNemar's exact p, and the "
    "difference with its bootstrap interval over examples, all seeds averaged."
)


def render(evidence: Evidence) -> Section:
    """A table a task, what outdoes every variant beside it, and its data below."""
    figures = [figure for figure in evidence.figures if figure.suite == "accuracy"]
    subjects = list(dict.fromkeys(figure.subject for figure in figures))
    blocks: list[Block] = []
    data: dict[str, Any] = {}
    for subject in subjects:
        mine = [figure for figure in figures if figure.subject == subject]
        rivals = list(_outdone(evidence, subject, mine))
        pairs = _pairs(evidence, subject, mine)
        warnings = [Paragraph(text=text, warning=True) for text in rivals]
        told = (*warnings, _table(subject, mine, evidence, pairs), *_data(evidence, subject))
        blocks.append(Group(title=subject, blocks=told, opened=True))
        paired_data = [_pair_data(key, pair, evidence) for key, pair in pairs.items()]
        data[subject] = {**_details(evidence, subject), "outdone": rivals, "pairs": paired_data}
    blocks.insert(0, Paragraph(text=_READING if blocks else "No task was measured."))
    return Section(name="accuracy", title="Scores on each task", blocks=tuple(blocks), data=data)


def main_metric(figures: Sequence[Figure], margins: Sequence[str]) -> str | None:
    """The first score that is judged, or the first score where none is."""
    scores = list(dict.fromkeys(figure.metric for figure in figures if is_score(figure.metric)))
    return next((metric for metric in scores if metric in margins), scores[0] if scores else None)


def _outdone(evidence: Evidence, subject: str, figures: Sequence[Figure]) -> Iterator[str]:
    metric = main_metric(figures, list(evidence.results.score_margins))
    for environment in dict.fromkeys(figure.environment_id for figure in figures):
        for found in outdone(figures, subject, metric or "", environment):
            place = f" (on {environment})" if evidence.results.mixed else ""
            yield f"{found.sentence[:-1]}{place}."


def _table(subject: str, figures: Sequence[Figure], evidence: Evidence, pairs: Pairs) -> Table:
    scores = list(dict.fromkeys(figure.metric for figure in figures if is_score(figure.metric)))
    judged = [metric for metric in scores if metric in evidence.results.score_margins]
    titles = [Column(title="implementation"), Column(title="role")]
    titles += [Column(title=f"{metric} against reference") for metric in judged]
    counted = any(pair.p is not None for pair in pairs.values())
    titles += [Column(title="right alone: it, reference" if counted else "difference over examples")]
    titles += [Column(title=metric.replace("_", " "), numeric=True) for metric in scores]
    sizes = [name for name in ("parameters", "learning_rate") if any(f.metric == name for f in figures)]
    titles += [Column(title=name.replace("_", " "), numeric=True) for name in sizes]
    compared = {
        (c.environment_id, c.implementation, c.metric): c
        for c in evidence.comparisons
        if c.subject == subject
    }
    keys = sorted(
        dict.fromkeys((figure.environment_id, figure.implementation, figure.role) for figure in figures),
        key=lambda key: _ROLES.get(key[2], 3),
    )
    rows = []
    for environment, name, role in keys:
        mine = [
            f for f in figures if (f.environment_id, f.implementation, f.role) == (environment, name, role)
        ]
        told = "control" if is_control(mine[0].variant) else role
        note = (f"on {environment}",) if evidence.results.mixed else ()
        rows.append(
            (
                Cell(text=name, notes=note),
                Cell(text=told),
                *(_verdict(compared.get((environment, name, metric)), role) for metric in judged),
                _pair(pairs.get((environment, name)), role, evidence, figures),
                *(_score(mine, metric) for metric in scores),
                *(_CELLS[name](evidence, mine) for name in sizes),
            )
        )
    return Table(caption=_CAPTION, columns=tuple(titles), rows=tuple(rows))


def _verdict(comparison: Comparison | None, role: str) -> Cell:
    if comparison is not None:
        return verdict_cell(comparison)
    return Cell(word=role if role in ("reference", "baseline") else "not measured")


def _pairs(evidence: Evidence, subject: str, figures: Sequence[Figure]) -> Pairs:
    """Each candidate beside the reference of its framework on the test examples of the task's main score."""
    metric = main_metric(figures, list(evidence.results.score_margins))
    rows = evidence.results.select("accuracy", metric or "")
    rows = rows[(rows["subject"] == subject) & (rows["status"] == "ok")]
    found = {}
    for (environment, _), group in rows.groupby(["environment_id", "framework"], sort=False):
        reference = examples(group[group["role"] == "reference"])
        candidates = group[group["role"] == "candidate"]
        for name, mine in candidates.groupby("implementation", sort=False):
            pair = paired(examples(mine), reference)
            if pair is not None:
                found[environment, name] = pair
    return found


def _pair(pair: Paired | None, role: str, evidence: Evidence, figures: Sequence[Figure]) -> Cell:
    if pair is None:
        return Cell(word=role if role in ("reference", "baseline") else "not paired")
    metric = main_metric(figures, list(evidence.results.score_margins))
    unit = next(figure.unit for figure in figures if figure.metric == metric)
    level = 1 - evidence.results.score_alpha
    text, interval = formatting.with_bounds(*pair.interval(level), unit, signed=True)
    if pair.p is None:
        return Cell(text=text, notes=(f"({interval})", "over examples"))
    counts = f"{pair.only_it}, {pair.only_reference}"
    return Cell(text=counts, notes=(f"p {pair.p:.2g}", f"{text} over examples", f"({interval})"))


def _score(mine: Sequence[Figure], metric: str) -> Cell:
    """What was measured, with a warning where other seeds have no score."""
    found = [figure for figure in mine if figure.metric == metric]
    fine = [figure for figure in found if figure.estimate is not None]
    cell = figure_cell(next(iter(fine or found), None), "seed")
    lost = [figure for figure in found if figure.estimate is None] if fine else []
    if not lost:
        return cell
    missing = f"{lost[0].status} at {formatting.plural(sum(figure.launches for figure in lost), 'seed')}"
    return replace(cell, mark="; ".join(filter(None, (cell.mark, missing))))


def _pair_data(key: tuple[str, str], pair: Paired, evidence: Evidence) -> dict[str, Any]:
    difference, low, high = pair.interval(1 - evidence.results.score_alpha)
    return {
        "environment": key[0],
        "implementation": key[1],
        "only_it": pair.only_it,
        "only_reference": pair.only_reference,
        "mcnemar_p": pair.p,
        "difference": difference,
        "low": low,
        "high": high,
        "examples": len(pair.differences),
        "seeds": len(pair.trainings),
    }


def _size(evidence: Evidence, mine: Sequence[Figure]) -> Cell:
    """How many numbers were trained, and why they are not as many as the reference's where they are not."""
    if mine[0].role == "baseline":
        return Cell(word="baseline")
    cell = _score(mine, "parameters")
    for details in _rows(evidence, mine[0], "parameters")["details"]:
        fits, _, why = details.get("parameters_matched", "").partition(": ")
        if fits == "no":
            notes = (f"not matched: {details.get('parameters_off', 'size not told')}", *filter(None, [why]))
            return replace(cell, notes=notes)
    return cell


def _rate(evidence: Evidence, mine: Sequence[Figure]) -> Cell:
    """The learning rate that was chosen; several runs may have chosen several."""
    if mine[0].role == "baseline":
        return Cell(word="baseline")
    chosen = {value for values in _rows(evidence, mine[0], "learning_rate")["values"] for value in values}
    return (
        Cell(text=", ".join(f"{rate:g}" for rate in sorted(chosen)))
        if chosen
        else _score(mine, "learning_rate")
    )


def _rows(evidence: Evidence, figure: Figure, metric: str) -> Any:
    """All measurements of a metric of the figure's implementation and task."""
    rows = evidence.results.select("accuracy", metric)
    for name in ("environment_id", "subject", "implementation"):
        rows = rows[rows[name] == getattr(figure, name)]
    return rows


_CELLS = {"parameters": _size, "learning_rate": _rate}


def _details(evidence: Evidence, subject: str) -> dict[str, list[str]]:
    """What the measurements of a task say of their data and model, each with all texts it was given."""
    rows = evidence.results.select("accuracy")
    found: dict[str, dict[str, None]] = {}
    for details in rows[rows["subject"] == subject]["details"]:
        for name, text in details.items():
            if name not in _UNSAID:
                found.setdefault(name, {})[str(text)] = None
    return {name: list(texts) for name, texts in sorted(found.items())}


def _data(evidence: Evidence, subject: str) -> Iterator[Block]:
    details = _details(evidence, subject)
    if details:
        yield Items(items=tuple((name.replace("_", " "), _joined(texts)) for name, texts in details.items()))


def _joined(texts: Sequence[str]) -> str:
    shown = list(texts[:6])
    more = [f"{len(texts) - 6} more"] if len(texts) > 6 else []
    return formatting.listed([*shown, *more])


def baselines(figures: Sequence[Figure], subject: str, metric: str) -> dict[str, float]:
    """The trivial answers' scores on a task, by name."""
    found: dict[str, Any] = {}
    for figure in figures:
        if (figure.role, figure.subject, figure.metric) == (
            "baseline",
            subject,
            metric,
        ) and figure.estimate is not None:
            found[figure.variant] = figure.estimate
    return found
