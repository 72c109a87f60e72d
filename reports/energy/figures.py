"""Figures of energy: what was metered, and what follows from it by item, by token and by solved item.

A launch gives the mean of its windows. Several launches have Student's t over them; a single one has it
over its windows, which says nothing of other launches: such a figure is provisional.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeAlias

from bench.statistics import interval
from bench.tiers import weakest
from reports.energy.pairs import HEADLINE, metered
from reports.figure import Figure, cells, figure_of, nothing, over_launches
from reports.frame import Results

SOLVED = "joules_per_solved_item"
SCORE = "accuracy"
_POSITIVE = (HEADLINE, "processor_joules", "accelerator_joules", "memory_joules", "window_seconds")
_PER = (("joules_per_item", "items"), ("joules_per_token", "tokens"))
_UNSOLVED = "no test item was solved"

Scores: TypeAlias = Mapping[tuple[str, str, str, int], Sequence[float]]


def energy_figures(results: Results, level: float) -> Iterator[Figure]:
    """All figures of `energy` and `task_energy` that have a value; without one where it is too small."""
    scores = _scores(results)
    for rows in cells(metered(results)):
        metric = rows.iloc[0]["metric"]
        if rows.iloc[0]["role"] == "control":
            continue
        if metric in _POSITIVE:
            yield _positive(rows, level)
        elif metric == "net_joules":
            yield _net(rows, level)
        else:
            yield _plain(rows)
        if metric == HEADLINE:
            yield from _shares(rows, level)
            yield from _solved(rows, scores, level)


def _fields(rows: Any) -> dict[str, Any]:
    return {"method": weakest(list(rows["method"])), "launches": len(rows), "provisional": len(rows) < 2}


def _evidence(rows: Any) -> list[float]:
    """The means of several launches, or the windows of a single one."""
    launches = [tuple(values) for values in rows["values"]]
    return list(map(fmean, launches)) if len(launches) > 1 else list(launches[0])


def _positive(rows: Any, level: float, **fields: Any) -> Figure:
    values = _evidence(rows)
    if min(values) <= 0:
        return nothing(rows, "below_resolution", "what was metered is not above zero", **fields)
    centre, low, high = over_launches(values, level)
    bounds = {"low": low, "high": high, "level": level if low is not None else None}
    return figure_of(rows, **(_fields(rows) | bounds | {"estimate": centre} | fields))


def _net(rows: Any, level: float) -> Figure:
    """Gross less idle: a difference, so a window of it may lie below zero."""
    values = _evidence(rows)
    if fmean(values) <= 0:
        return nothing(rows, "below_resolution", "net of idle it is not above zero")
    if len(values) < 2:
        return figure_of(rows, **_fields(rows), estimate=values[0])
    centre, low, high = interval(values, level)
    return figure_of(rows, **_fields(rows), estimate=centre, low=low, high=high, level=level)


def _plain(rows: Any) -> Figure:
    """Watts while idle and load from outside: conditions, told by their mean."""
    values = [value for launch in rows["values"] for value in launch]
    fields = _fields(rows) | {"provisional": False}
    return figure_of(rows, **fields, estimate=fmean(values))


def _shares(rows: Any, level: float) -> Iterator[Figure]:
    for metric, counted in _PER:
        if int(rows[counted].min()):
            yield _divided(rows, operator.itemgetter(counted), level, metric)


def _divided(rows: Any, divisor: Callable[[Any], float], level: float, metric: str) -> Figure:
    shared = rows.assign(
        values=[tuple(value / divisor(row) for value in row["values"]) for row in rows.to_dict("records")]
    )
    return _positive(shared, level, metric=metric)


def _scores(results: Results) -> Scores:
    """Scores of trained models, one a test example: by environment, task, implementation and seed."""
    rows = results.select("accuracy", SCORE)
    fine = rows[(rows["status"] == "ok") & rows["role"].isin(["reference", "candidate"])]
    keys = zip(fine["environment_id"], fine["subject"], fine["implementation"], fine["seed"], strict=True)
    return {
        (environment, task, name, int(seed)): tuple(values)
        for (environment, task, name, seed), values in zip(keys, fine["values"], strict=True)
    }


def _solved(rows: Any, scores: Scores, level: float) -> Iterator[Figure]:
    """A pass over test inputs by the item it gets right; a whole training by all that it solves of the test.

    Each launch is divided by the score of its own seed; rows without a score are left out.
    """
    first = rows.iloc[0]
    task = task_of(first)
    if first["suite"] != "task_energy" or not task:
        return
    environment, name = first["environment_id"], first["implementation"]
    known = {seed: found for (*place, seed), found in scores.items() if place == [environment, task, name]}
    scored = rows[rows["seed"].isin(list(known))]
    if scored.empty:
        return
    if any(sum(known[int(seed)]) <= 0 for seed in scored["seed"]):
        yield nothing(scored, "below_resolution", _UNSOLVED, metric=SOLVED)
        return

    def solved(row: Any) -> float:
        right = known[int(row["seed"])]
        return sum(right) if row["phase"] == "training_run" else row["items"] * fmean(right)

    if first["phase"] == "training_run" or first["items"]:
        yield _divided(scored, solved, level, SOLVED)


def task_of(row: Any) -> str:
    """The task of a row of `task_energy`, whose subject names it together with the phase."""
    return str(row["details"].get("task") or row["subject"].rpartition("/")[0])
