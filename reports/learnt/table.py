"""One task's table in the view `accuracy`: verdicts, examples that differ, scores, size, learning rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from reports import formatting
from reports.comparison import Comparison
from reports.content import Cell, Column, Table
from reports.directions import is_control
from reports.estimates import Figure, is_score
from reports.evidence import Evidence
from reports.figures import figure_cell
from reports.learnt.pairs import Pairs
from reports.verdicts import verdict_cell

_ROLES = {"reference": 0, "candidate": 1, "baseline": 2}
_OF_TRAINING = ("parameters", "learning_rate")
_CAPTION = "Mean over seeds with its interval. One budget for all variants; baselines are trivial answers."


def scores_of(figures: Sequence[Figure]) -> list[str]:
    """The metrics that say how well a variant learnt, in the order in which they were measured."""
    return list(dict.fromkeys(figure.metric for figure in figures if is_score(figure.metric)))


@dataclass(frozen=True, kw_only=True)
class TaskTable:
    """`figures` are all of the task's, `pairs` its candidates beside the reference by example."""

    evidence: Evidence
    subject: str
    figures: Sequence[Figure]
    pairs: Pairs

    def block(self) -> Table:
        """A row an implementation: the reference, the candidates, the baselines."""
        keys = dict.fromkeys((f.environment_id, f.implementation, f.role) for f in self.figures)
        ordered = sorted(keys, key=lambda key: _ROLES.get(key[2], 3))
        rows = tuple(tuple(self._row(*key)) for key in ordered)
        return Table(caption=_CAPTION, columns=tuple(self._columns()), rows=rows)

    @cached_property
    def scores(self) -> list[str]:
        """The score columns."""
        return scores_of(self.figures)

    @cached_property
    def judged(self) -> list[str]:
        """Those of them that verdicts are given on."""
        return [metric for metric in self.scores if metric in self.evidence.results.score_margins]

    @cached_property
    def of_training(self) -> list[str]:
        """What is shown of the training, as far as anything was measured."""
        return [name for name in _OF_TRAINING if any(figure.metric == name for figure in self.figures)]

    @cached_property
    def _measured(self) -> dict[tuple[str, str, str], Any]:
        """Rows of the training's metrics by environment, implementation and metric."""
        rows = self.evidence.results.select("accuracy", *_OF_TRAINING)
        rows = rows[rows["subject"] == self.subject]
        return dict(iter(rows.groupby(["environment_id", "implementation", "metric"], sort=False)))

    @cached_property
    def _compared(self) -> dict[tuple[str, str, str], Comparison]:
        mine = [one for one in self.evidence.comparisons if one.subject == self.subject]
        return {(one.environment_id, one.implementation, one.metric): one for one in mine}

    def _columns(self) -> Iterator[Column]:
        yield Column(title="implementation")
        yield Column(title="role")
        for metric in self.judged:
            yield Column(title=f"{metric} against reference")
        counted = any(one.pair.p is not None for one in self.pairs.values())
        yield Column(title="right alone: it, reference" if counted else "difference over examples")
        for metric in (*self.scores, *self.of_training):
            yield Column(title=metric.replace("_", " "), numeric=True)

    def _row(self, environment: str, name: str, role: str) -> Iterator[Cell]:
        key = (environment, name, role)
        mine = [f for f in self.figures if (f.environment_id, f.implementation, f.role) == key]
        yield Cell(text=name, notes=(f"on {environment}",) if self.evidence.results.mixed else ())
        yield Cell(text="control" if is_control(mine[0].variant) else role)
        for metric in self.judged:
            comparison = self._compared.get((environment, name, metric))
            yield verdict_cell(comparison) if comparison is not None else _instead(role, "not measured")
        pair = self.pairs.get((environment, name))
        yield pair.cell() if pair is not None else _instead(role, "not paired")
        for metric in self.scores:
            yield _score(mine, metric)
        for metric in self.of_training:
            yield self._training(mine, metric)

    def _training(self, mine: Sequence[Figure], metric: str) -> Cell:
        if mine[0].role == "baseline":
            return Cell(word="baseline")
        cell = _score(mine, metric)
        rows = self._measured.get((mine[0].environment_id, mine[0].implementation, metric))
        if rows is None:
            return cell
        return _size(cell, rows) if metric == "parameters" else _rate(cell, rows)


def _instead(role: str, otherwise: str) -> Cell:
    """What stands where there is nothing to compare with."""
    return Cell(word=role if role in ("reference", "baseline") else otherwise)


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


def _size(cell: Cell, rows: Any) -> Cell:
    """How many numbers were trained, and why they are not as many as the reference's where they are not."""
    for details in rows["details"]:
        fits, _, why = details.get("parameters_matched", "").partition(": ")
        if fits == "no":
            notes = (f"not matched: {details.get('parameters_off', 'size not told')}", *filter(None, [why]))
            return replace(cell, notes=notes)
    return cell


def _rate(cell: Cell, rows: Any) -> Cell:
    """The learning rate that was chosen; several runs may have chosen several."""
    chosen = sorted({value for values in rows["values"] for value in values})
    return Cell(text=", ".join(f"{rate:g}" for rate in chosen)) if chosen else cell
