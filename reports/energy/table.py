"""Tables of energy: a row an implementation and piece of work, gross first, memory apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from reports import formatting
from reports.comparison import Comparison
from reports.content import Block, Cell, Column, Table, columns
from reports.energy.figures import SCORE, SOLVED
from reports.energy.pairs import HEADLINE, flagged, metered
from reports.estimates import Figure
from reports.evidence import Evidence
from reports.figures import figure_cell
from reports.verdicts import verdict_cell

_COLUMNS = {
    HEADLINE: "gross, a call",
    "net_joules": "net of idle, a call",
    "joules_per_item": "an item",
    "joules_per_token": "a token",
    SOLVED: "a solved test item",
    "window_seconds": "time of a call",
    "processor_joules": "processor, a call",
    "accelerator_joules": "accelerator, a call",
    "memory_joules": "memory, apart",
    "outside_load": "load from outside",
}
_ROLES = {"reference": 0, "candidate": 1}
_CALLS = {"training_run": "whole training", "forward": "answering test inputs"}
_ON_TASK = (
    "A call of a whole training is the training, at the rate that was chosen; of answering, a batch of "
    "test inputs. A solved test item: of a training, its joules over all test items that it came to solve; "
    "of answering, the joules of an item over the share that is right. Both take the accuracy of the same "
    "seed, and their interval is that of the joules alone."
)
_ON_WORK = "Made-up work, one call as the other suites time it."

_Key = tuple[str, int, str, str, str]


@dataclass(frozen=True, kw_only=True)
class EnergyTable:
    """`figures` are all of one kind of work (`task` its name), or of one task in the suite `task_energy`."""

    evidence: Evidence
    suite: str
    task: str
    figures: Sequence[Figure]

    def blocks(self) -> Iterator[Block]:
        """One table; what no row of it has a word on gets no column."""
        caption = _ON_TASK if self.suite == "task_energy" else _ON_WORK
        rows = tuple(tuple(self._row(key)) for key in self._keys)
        yield Table(caption=caption, columns=tuple(self._titles()), rows=rows)

    @cached_property
    def _keys(self) -> list[_Key]:
        """By environment, length, work and framework as they were metered; the reference first in each."""
        keys = dict.fromkeys(map(_key, self.figures))
        subjects = list(dict.fromkeys(key[2] for key in keys))
        frameworks = list(dict.fromkeys(map(_framework, keys)))

        def place(key: _Key) -> tuple[str, int, int, int, int]:
            framework = frameworks.index(_framework(key))
            return key[0], key[1], subjects.index(key[2]), framework, _ROLES.get(key[4], 2)

        return sorted(keys, key=place)

    @cached_property
    def _metrics(self) -> list[str]:
        """The columns: an item's where a call holds more, a component's where there are several."""
        told = {figure.metric for figure in self.figures}
        if "accelerator_joules" not in told:
            told.discard("processor_joules")
        calls = {_key(f): f.estimate for f in self.figures if f.metric == HEADLINE}
        items = {_key(f): f.estimate for f in self.figures if f.metric == "joules_per_item"}
        if all(estimate == calls[key] for key, estimate in items.items()):
            told.discard("joules_per_item")
        return [metric for metric in _COLUMNS if metric in told]

    @cached_property
    def _compared(self) -> dict[tuple[str, str, str], Comparison]:
        mine = [one for one in self.evidence.comparisons if one.suite == self.suite]
        return {(one.environment_id, one.subject, one.implementation): one for one in mine}

    @cached_property
    def _scores(self) -> dict[tuple[str, str], Figure]:
        """The task's accuracy, by environment and implementation."""
        return {
            (figure.environment_id, figure.implementation): figure
            for figure in self.evidence.figures
            if (figure.suite, figure.metric, figure.subject) == ("accuracy", SCORE, self.task)
        }

    def _titles(self) -> Iterator[Column]:
        yield from columns("implementation", "work", "against reference")
        for metric in self._metrics:
            yield Column(title=_COLUMNS[metric], numeric=True)
        if self.suite == "task_energy" and self._scores:
            yield Column(title=SCORE, numeric=True)

    def _row(self, key: _Key) -> Iterator[Cell]:
        environment, length, subject, name, role = key
        mine = {figure.metric: figure for figure in self.figures if _key(figure) == key}
        yield Cell(text=name, notes=(f"on {environment}",) if self.evidence.results.mixed else ())
        yield Cell(text=self._work(subject, length))
        comparison = self._compared.get((environment, subject, name))
        yield verdict_cell(comparison, beside=True) if comparison else Cell(word=_uncompared(mine, role))
        for metric in self._metrics:
            cell = figure_cell(mine.get(metric), "launch")
            # Said once a row: what is provisional about gross is so about all that follows from it.
            yield self._with_flag(cell, key) if metric == HEADLINE else replace(cell, mark="")
        if self.suite == "task_energy" and self._scores:
            yield figure_cell(self._scores.get((environment, name)), "seed")

    def _work(self, subject: str, length: int) -> str:
        if self.suite == "task_energy":
            call = subject.rpartition("/")[2]
            return _CALLS.get(call, call)
        return f"{formatting.length(length)} tokens" if length else subject

    def _with_flag(self, cell: Cell, key: _Key) -> Cell:
        """The figure, with a warning beside it where other work took part of the machine."""
        environment, _, subject, name, role = key
        rows = metered(self.evidence.results, HEADLINE)
        here = (rows["environment_id"] == environment) & (rows["subject"] == subject) & (rows["role"] == role)
        count, windows = flagged(
            rows[here & (rows["suite"] == self.suite) & (rows["implementation"] == name)]
        )
        if not count or not cell.text:
            return cell
        told = f"load from outside in {count} of {formatting.plural(windows, 'window')}"
        return replace(cell, mark="; ".join(filter(None, (cell.mark, told))))


def _framework(key: _Key) -> str:
    return key[3].rpartition("@")[2]


def _key(figure: Figure) -> _Key:
    return figure.environment_id, figure.length, figure.subject, figure.implementation, figure.role


def _uncompared(mine: dict[str, Figure], role: str) -> str:
    """The reference is one only where it was metered."""
    gross = mine.get(HEADLINE)
    if role == "reference" and gross is not None and gross.estimate is not None:
        return "reference"
    return "not compared"
