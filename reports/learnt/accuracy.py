"""What each variant learnt on each task: scores over seeds beside trivial answers, and the data's source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reports import formatting
from reports.content import Block, Group, Items, Paragraph, Section
from reports.estimates import Figure
from reports.evidence import Evidence
from reports.learnt.outdone import outdone, sentences
from reports.learnt.pairs import pairs_on
from reports.learnt.table import TaskTable, scores_of

# What a row says of its own training stands in the view `training`, what it says of its size in its cell.
_UNSAID = {
    "task", "architecture", "phase", "query_length", "key_length", "items", "tokens", "scored", "diverged",
    "every", "parts", "conditions", "cause", "parameters_off", "parameters_matched", "feed_forward_width",
}  # fmt: skip
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
        main = main_metric(mine, list(evidence.results.score_margins))
        rivals = list(_outdone(evidence, subject, main, mine))
        pairs = pairs_on(evidence, subject, main)
        warnings = [Paragraph(text=text, warning=True) for text in rivals]
        table = TaskTable(evidence=evidence, subject=subject, figures=mine, pairs=pairs)
        told = (*warnings, table.block(), *_data(evidence, subject))
        blocks.append(Group(title=subject, blocks=told, opened=True))
        told_pairs = [
            {"environment": environment, "implementation": name, **pair.data()}
            for (environment, name), pair in pairs.items()
        ]
        data[subject] = {**_details(evidence, subject), "outdone": rivals, "pairs": told_pairs}
    blocks.insert(0, Paragraph(text=_READING if blocks else "No task was measured."))
    return Section(name="accuracy", title="Scores on each task", blocks=tuple(blocks), data=data)


def main_metric(figures: Sequence[Figure], margins: Sequence[str]) -> str | None:
    """The first score that is judged, or the first score where none is."""
    scores = scores_of(figures)
    return next((metric for metric in scores if metric in margins), scores[0] if scores else None)


def _outdone(
    evidence: Evidence, subject: str, metric: str | None, figures: Sequence[Figure]
) -> Iterator[str]:
    for environment in dict.fromkeys(figure.environment_id for figure in figures):
        place = f"On {environment}: " if evidence.results.mixed else ""
        for sentence in sentences(outdone(figures, subject, metric or "", environment)):
            yield f"{place}{sentence}"


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
