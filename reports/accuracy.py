"""What each variant learnt on each task: scores over seeds beside trivial answers, and the data's source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reports import formatting
from reports.comparisons import Comparison
from reports.content import Block, Cell, Column, Group, Items, Paragraph, Section, Table
from reports.estimates import Figure, is_score
from reports.evidence import Evidence
from reports.figures import figure_cell
from reports.verdicts import verdict_cell

_ROLES = {"reference": 0, "candidate": 1, "baseline": 2}
_WORK = {"architecture", "phase", "query_length", "key_length", "items", "tokens"}


def render(evidence: Evidence) -> Section:
    """A table a task, with its data below."""
    figures = [figure for figure in evidence.figures if figure.suite == "accuracy"]
    subjects = list(dict.fromkeys(figure.subject for figure in figures))
    blocks: list[Block] = []
    for subject in subjects:
        mine = [figure for figure in figures if figure.subject == subject]
        table = _table(subject, mine, evidence)
        blocks.append(Group(title=subject, blocks=(table, *_data(evidence, subject)), opened=True))
    if not blocks:
        blocks.append(Paragraph(text="No task was measured."))
    data = {subject: _details(evidence, subject) for subject in subjects}
    return Section(name="accuracy", title="Scores on each task", blocks=tuple(blocks), data=data)


def _table(subject: str, figures: Sequence[Figure], evidence: Evidence) -> Table:
    metrics = list(dict.fromkeys(figure.metric for figure in figures))
    ordered = [*filter(is_score, metrics), *(metric for metric in metrics if not is_score(metric))]
    judged = [metric for metric in ordered if metric in evidence.results.score_margins]
    titles = [Column(title="implementation"), Column(title="role")]
    titles += [Column(title=f"{metric} against reference") for metric in judged]
    titles += [Column(title=metric.replace("_", " "), numeric=True) for metric in ordered]
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
        mine = {
            f.metric: f
            for f in figures
            if (f.environment_id, f.implementation, f.role) == (environment, name, role)
        }
        verdicts = [_verdict(compared.get((environment, name, metric)), role) for metric in judged]
        values = [figure_cell(mine.get(metric), "seed") for metric in ordered]
        note = (f"on {environment}",) if evidence.results.mixed else ()
        rows.append((Cell(text=name, notes=note), Cell(text=role), *verdicts, *values))
    caption = "Mean over seeds with its interval. One budget for all variants; baselines are trivial answers."
    return Table(caption=caption, columns=tuple(titles), rows=tuple(rows))


def _verdict(comparison: Comparison | None, role: str) -> Cell:
    if comparison is not None:
        return verdict_cell(comparison)
    return Cell(word=role if role in ("reference", "baseline") else "not measured")


def _details(evidence: Evidence, subject: str) -> dict[str, list[str]]:
    """What the measurements of a task say of their data and model, each with all texts it was given."""
    rows = evidence.results.select("accuracy")
    found: dict[str, dict[str, None]] = {}
    for details in rows[rows["subject"] == subject]["details"]:
        for name, text in details.items():
            if name not in _WORK:
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
