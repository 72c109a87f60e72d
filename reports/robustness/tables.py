"""The other tables of the view `robustness`: transfer, corruptions, calibration, and what has no number."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.paired import bootstrap
from bench.statistics import interval
from reports import formatting
from reports.content import Block, Cell, Column, Group, Table, columns
from reports.estimates import Figure
from reports.evidence import Evidence
from reports.figures import figure_cell
from reports.robustness.attacked import SUITE, Attacked, AttackedTask

_TOLD = {
    "calibration_error": "calibration error",
    "brier": "Brier score",
    "negative_log_likelihood": "negative log-likelihood",
}
_APART = {"auroc": "AUROC", "fpr95": "FPR at 95%"}
Figures = Mapping[tuple[str, str, str], Figure]


def plain_cell(figure: Figure | None) -> Cell:
    """A figure with its interval alone: how many seeds it rests on stands above the tables."""
    if figure is None or figure.estimate is None:
        return figure_cell(figure, "seed")
    text, interval = formatting.with_bounds(figure.estimate, figure.low, figure.high, figure.unit)
    return Cell(text=text, notes=(f"({interval})",) if figure.low is not None else (), source=figure)


def transfer(evidence: Evidence, task: AttackedTask) -> Iterator[Block]:
    """A matrix for each attack: whether the texts that fooled one model fool another."""
    rows = evidence.results.select("attack_transfer", "transfer_success")
    here = rows["subject"].str.startswith(f"{task.task}/") & (rows["environment_id"] == task.environment)
    for attack, found in rows[here].groupby(rows["details"].map(lambda told: told.get("attack", ""))):
        if attack:
            yield Group(title=f"{attack.replace('_', ' ')}: does it transfer", blocks=(_matrix(found, task),))


def _matrix(rows: Any, task: AttackedTask) -> Table:
    sources = [told.get("from", "") for told in rows["details"]]
    cells: dict[tuple[str, str], list[Any]] = {}
    for source, target, row in zip(sources, rows["implementation"], rows.to_dict("records"), strict=True):
        cells.setdefault((target, source), []).append(row)
    names = [name for name in task.roles if name in sources]
    caption = (
        "Texts found against the model at the top and put to the one at the left: share that fools it too, "
        "of those that both had right before. The diagonal is a check and should be 1."
    )
    body = [
        (Cell(text=target), *(_transferred(cells.get((target, source), [])) for source in names))
        for target in task.roles
        if any(target == other for other, _ in cells)
    ]
    return Table(
        caption=caption, columns=columns("fooled", *(f"{name} #" for name in names)), rows=tuple(body)
    )


def _transferred(rows: Sequence[Any]) -> Cell:
    values = [value for row in rows for value in row["values"]]
    if values:
        return Cell(text=f"{np.mean(values):.2f}", notes=(f"of {len(values):,}",))
    return Cell(word=rows[0]["status"], notes=(rows[0]["reason"],)) if rows else Cell(word="not measured")


def corruptions(evidence: Evidence, task: AttackedTask) -> Iterator[Block]:
    """Accuracy on corrupted images: over all corruptions and severities, then corruption by corruption."""
    found = [one for one in task.attacked if one.kind == "corruption" and one.right]
    names = list(dict.fromkeys(one.attack for one in found))
    if not names:
        return
    level = 1 - evidence.results.alpha
    severities = sorted({one.budget for one in found})
    caption = (
        f"Accuracy on corrupted images, mean over severities {severities[0]:g} to {severities[-1]:g}, with "
        "its interval over seeds where there are several, else over examples."
    )
    body = []
    for name in task.roles:
        mine = [one for one in found if one.implementation == name]
        if mine:
            each = [[one for one in mine if one.attack == corruption] for corruption in names]
            body.append((Cell(text=name), *(_corrupted(some, level) for some in (mine, *each))))
    heads = [f"{name.replace('_', ' ')} #" for name in names]
    yield Table(caption=caption, columns=columns("implementation", "all #", *heads), rows=tuple(body))


def _corrupted(found: Sequence[Attacked], level: float) -> Cell:
    """Each example's share of severities at which it is right, averaged."""
    if not found:
        return Cell(word="not measured")
    trainings = sorted(set.intersection(*(set(one.right) for one in found)))
    if not trainings:
        return Cell(word="not measured", notes=("no seed with all severities",))
    each = [np.mean([one.right[training] for one in found], axis=0) for training in trainings]
    if len(each) > 1:
        centre, low, high = interval([float(mean) for mean in map(np.mean, each)], level)
    else:
        centre, low, high = bootstrap(each[0].tolist(), level)
    text, bounds = formatting.with_bounds(centre, low, high, "fraction")
    return Cell(text=text, notes=(f"({bounds})",), number=centre)


def calibration(task: AttackedTask, figures: Figures) -> Iterator[Block]:
    """How far probabilities can be taken at their word, and whether other data is told apart."""
    heads: dict[tuple[str, str], str] = {}
    for _, metric, subject in figures:
        name, _, source = subject.partition("/from ")
        if name == task.task and metric in _TOLD:
            heads[metric, subject] = _TOLD[metric]
        elif name == task.task and metric in _APART:
            heads[metric, subject] = f"{_APART[metric]}, {source.replace('_', ' ')}"
    if not heads:
        return
    order = sorted(heads, key=lambda key: [*_TOLD, *_APART].index(key[0]))
    body = [
        (Cell(text=name), *(plain_cell(figures.get((name, *key))) for key in order))
        for name in task.roles
        if any((name, *key) in figures for key in order)
    ]
    caption = (
        "On untouched test examples: the debiased calibration error, the Brier score and the negative log-"
        "likelihood (less is better), and how well other data is told apart by the answer's probability. "
        "All measured."
    )
    titles = (Column(title="implementation"), *(Column(title=heads[key], numeric=True) for key in order))
    yield Table(caption=caption, columns=titles, rows=tuple(body))


@dataclass(kw_only=True)
class _Silent:
    """One attack without a number, for one reason: on whom and at which budgets."""

    attack: str
    status: str
    reason: str
    names: dict[str, None] = field(default_factory=dict)
    budgets: dict[str, None] = field(default_factory=dict)


def without_number(evidence: Evidence, task: AttackedTask) -> Iterator[Block]:
    """Every attack that is inconclusive or cannot be made, with its reason: never a number."""
    found = sorted(_silent(_refused(evidence, task)), key=lambda one: (one.status, one.attack))
    if not found:
        return
    body = tuple(
        (
            Cell(
                text=one.attack.replace("_", " "),
                notes=(f"at {', '.join(one.budgets)}",) if one.budgets else (),
            ),
            Cell(word=one.status),
            Cell(text=one.reason),
            Cell(text=_names(list(one.names), task)),
        )
        for one in found
    )
    caption = (
        "A gate that does not hold, or an attack that cannot be made here. None was turned into a number."
    )
    heads = columns("attack", "status", "reason", "implementations")
    title = f"{formatting.plural(len(body), 'reason')} for having no number"
    yield Group(title=title, blocks=(Table(caption=caption, columns=heads, rows=body),))


def _silent(rows: Sequence[Any]) -> Collection[_Silent]:
    """One entry for each attack, status and reason."""
    found: dict[tuple[str, str, str], _Silent] = {}
    for row in rows:
        key = (_attack(row), row["status"], row["reason"])
        entry = found.setdefault(key, _Silent(attack=key[0], status=key[1], reason=key[2]))
        entry.names[row["implementation"]] = None
        if "budget" in row["details"]:
            entry.budgets[row["details"]["budget"]] = None
    return found.values()


def _refused(evidence: Evidence, task: AttackedTask) -> list[Any]:
    rows = evidence.results.frame
    rows = rows[rows["suite"].isin([SUITE, "attack_transfer"]) & (rows["environment_id"] == task.environment)]
    rows = rows[rows["status"].isin(["inconclusive", "unsupported"])]
    mine = [subject.partition("/")[0] == task.task for subject in rows["subject"]]
    return list(rows[mine].to_dict("records"))


def _attack(row: Any) -> str:
    """What was tried; all of it where a model could not be attacked at all."""
    return row["details"].get("attack") or row["subject"].partition("/")[2] or "all attacks"


def _names(names: Sequence[str], task: AttackedTask) -> str:
    if len(names) > 1 and set(names) >= set(task.roles):
        return f"all {len(names)}"
    return ", ".join(names)
