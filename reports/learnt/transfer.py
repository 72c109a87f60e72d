"""What knowledge from elsewhere is worth: pretraining at equal compute, and another attention dropped in.

Rows come from the suite `transfer`: one value a test example for accuracies and for their differences, which
are taken example by example against the same variant from scratch, or against the untouched encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from bench.paired import judge_pairs
from bench.schema import Verdict
from bench.statistics import judge_differences
from reports import formatting
from reports.comparisons import SETTLED_SEEDS, seed_means
from reports.content import Block, Cell, Column, Group, Items, Paragraph, Section, Table
from reports.evidence import Evidence
from reports.failures import summary

SUITE, TITLE = "transfer", "What knowledge from elsewhere is worth"
DIFFERENCE = "accuracy_difference"
COLUMNS = {
    ("accuracy", "from_scratch"): "from scratch",
    ("accuracy", "pretrained"): "pretrained",
    (DIFFERENCE, ""): "pretrained less from scratch",
    ("masked_loss", ""): "loss on masked words",
    ("accuracy", "untouched"): "untouched encoder",
    ("accuracy", "exchanged"): "exchanged",
    (DIFFERENCE, "exchanged"): "its cost at once",
    ("accuracy", "exchanged_probe"): "with a new head",
    (DIFFERENCE, "exchanged_probe"): "its cost with a new head",
    ("accuracy", "untouched_tuned"): "untouched, tuned",
    ("accuracy", "exchanged_tuned"): "exchanged, tuned",
    (DIFFERENCE, "exchanged_tuned"): "its cost after tuning",
    ("output_difference", ""): "largest change of a vector",
}
_READ = (
    (
        "Pretrained",
        "masked words first and then the task, against the task alone, with as many training tokens on "
        "either side; beside the loss on masked words, what guessing by their frequencies alone comes to",
    ),
    (
        "Exchanged",
        "another attention in each layer of a published encoder, between its own projections: at once, with "
        "a new head on its frozen features, and after brief tuning, each against the untouched encoder "
        "treated alike",
    ),
    (
        "Words",
        "better, worse, same (the whole interval within the margin) or undecided: by seeds where there are "
        "several, else by McNemar's exact test over test examples; not corrected for the number of cells",
    ),
)


def render(evidence: Evidence) -> Section:
    """A table a task: accuracies, and their differences with a verdict."""
    rows = evidence.results.select(SUITE)
    named = [subject.partition("/") for subject in rows["subject"]]
    rows = rows.assign(task=[task for task, _, _ in named], part=[part for _, _, part in named])
    blocks: list[Block] = []
    data: list[dict[str, Any]] = []
    for (environment, task), mine in rows.groupby(["environment_id", "task"], sort=False):
        table, told = _table(evidence, mine)
        place = f" on {environment}" if evidence.results.mixed else ""
        blocks.append(Group(title=f"{task}{place}", blocks=(table, *_told(mine)), opened=True))
        data.extend({"task": task, "environment": environment, **figure} for figure in told)
    blocks.insert(0, Items(items=_READ) if blocks else Paragraph(text="Nothing was transferred."))
    return Section(name=SUITE, title=TITLE, blocks=tuple(blocks), data=data)


def _table(evidence: Evidence, rows: Any) -> tuple[Table, list[dict[str, Any]]]:
    present = set(zip(rows["metric"], rows["part"], strict=True))
    shown = {key: title for key, title in COLUMNS.items() if key in present}
    lines, data = [], []
    for name, mine in rows.groupby("implementation", sort=False):
        cells = []
        for metric, part in shown:
            found = mine[(mine["metric"] == metric) & (mine["part"] == part)]
            cell, figure = _cell(evidence, metric, found if len(found) else mine[mine["status"] != "ok"])
            cells.append(cell)
            data.append({"implementation": name, "metric": metric, "part": part, **figure})
        lines.append((Cell(text=str(name)), *cells))
    heads = (Column(title="implementation"), *(Column(title=title, numeric=True) for title in shown.values()))
    margin = _margin(evidence)
    caption = f"Means over test examples and seeds. “same”: the whole interval within {margin:g}."
    return Table(caption=caption, columns=heads, rows=tuple(lines)), data


def _margin(evidence: Evidence) -> float:
    return evidence.results.score_margins.get("accuracy", 0.01)


def _cell(evidence: Evidence, metric: str, rows: Any) -> tuple[Cell, dict[str, Any]]:
    """A mean, with verdict and interval where it is a difference; or a status with its reason."""
    fine = rows[rows["status"] == "ok"]
    if fine.empty:
        if rows.empty:
            return Cell(word="not measured"), {"status": "not measured"}
        status, reason = str(rows.iloc[0]["status"]), str(rows.iloc[0]["reason"])
        return Cell(word=status, notes=(summary(reason),)), {"status": status, "reason": reason}
    means = list(seed_means(fine).values())
    unit, centre = str(fine.iloc[0]["unit"]), fmean(means)
    figure: dict[str, Any] = {"status": "ok", "estimate": centre, "unit": unit, "seeds": len(means)}
    mark = f"provisional: {formatting.plural(len(means), 'seed')}" if len(means) < SETTLED_SEEDS else ""
    if metric != DIFFERENCE:
        shown = f"{centre:.1e}" if unit == "1" else formatting.quantity(centre, unit)
        return Cell(text=shown, notes=_beside(fine), mark=mark, number=centre), figure
    verdict = _verdict(evidence, fine, means)
    figure |= {"word": verdict.word, "low": verdict.low, "high": verdict.high}
    text, interval = formatting.with_bounds(centre, verdict.low, verdict.high, unit, signed=True)
    cell = Cell(word=verdict.word, text=text, notes=(f"({interval})",), mark=mark, number=centre)
    return cell, figure


def _verdict(evidence: Evidence, rows: Any, means: Sequence[float]) -> Verdict:
    level, margin = 1 - evidence.results.score_alpha, _margin(evidence)
    if len(means) > 1:
        return judge_differences(means, level=level, margin=margin, better="higher")
    values = [value for row in rows["values"] for value in row]
    ahead, behind = sum(value > 0 for value in values), sum(value < 0 for value in values)
    return judge_pairs(ahead, behind, len(values), level=level, margin=margin)


def _beside(rows: Any) -> tuple[str, ...]:
    told = rows.iloc[0]["details"].get("by_frequency", "")
    return (f"frequencies alone: {told}",) if told else ()


def _told(rows: Any) -> Iterator[Block]:
    """What both sides were trained with, as the rows say it."""
    names = ("encoder", "compute", "pretraining_steps", "fine_tuning_steps", "steps", "batch", "grid")
    found: Mapping[str, str] = next((details for details in rows["details"] if "grid" in details), {})
    items = tuple((name.replace("_", " "), found[name]) for name in names if name in found)
    if items:
        yield Items(items=items)
