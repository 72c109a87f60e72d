"""Any implementation against any other that was measured on the same work, launch by launch.

    ratio = exp(mean over launches of log(median of one / median of the other))

Both arms of a launch ran interleaved (times) or in processes of the same repeat (memory); the interval is
Student's t over launches, as everywhere in the reports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

from bench.schema import Verdict
from bench.statistics import decision_level, judge
from reports.frame import Results

NOT_MEASURED = "not measured"
_MAIN = {"throughput": "seconds", "memory": "peak_bytes"}
Launch: TypeAlias = tuple[str, int]
"""A run and the number of a launch in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What was measured, and where: `environment` keeps machines apart."""

    environment: str
    subject: str
    series: str
    phase: str
    length: int
    causal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The median of each launch, in the metric's unit; `reason` says why there are none."""

    medians: Mapping[Launch, float]
    reason: str = ""

    @property
    def typical(self) -> float | None:
        """The median over launches, None where nothing was measured."""
        return median(self.medians.values()) if self.medians else None


ABSENT = Measured(medians={}, reason=NOT_MEASURED)
Table: TypeAlias = Mapping[Work, Mapping[str, Measured]]
"""By work, then by implementation (``"variant@framework"``)."""


def measured(results: Results, suite: str, metric: str) -> Table:
    """All that a suite measured of one metric; copies of the reference (controls) are left out.

    An arm that fails as a whole has its row under the suite's main metric, which is therefore read too.
    Where some launches succeeded and others failed, those that succeeded count.
    """
    rows = results.select(suite, metric, _MAIN.get(suite, metric))
    rows = rows[(rows["role"] != "control") & (rows["role"] != "yardstick")]
    found: dict[Work, dict[str, Measured]] = {}
    for key, group in rows.groupby(["environment_id", "subject", "implementation"], sort=False):
        environment, subject, implementation = key
        cell = _cell(group, metric)
        if cell is not None:
            work = _work(str(environment), str(subject), group.iloc[0])
            found.setdefault(work, {})[str(implementation)] = cell
    return found


def _work(environment: str, subject: str, row: Any) -> Work:
    return Work(
        environment=environment,
        subject=subject,
        series=row["series"],
        phase=row["phase"],
        length=int(row["length"]),
        causal=row["causal"] == "True",
    )


def _cell(group: Any, metric: str) -> Measured | None:
    fine = group[(group["metric"] == metric) & (group["status"] == "ok")]
    if len(fine):
        places = zip(fine["run"], fine["launch"], fine["values"], strict=True)
        return Measured(medians={(run, int(launch)): median(values) for run, launch, values in places})
    broken = group[group["status"] != "ok"]
    if not len(broken):
        return None
    first = broken.iloc[0]
    return Measured(medians={}, reason=f"{first['status']}: {last_line(first['reason'])}")


def last_line(reason: str) -> str:
    """What a traceback comes to: its last line that is not empty."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return lines[-1] if lines else reason


def compared(results: Results, ours: Measured, theirs: Measured) -> Verdict:
    """`ours` over `theirs`, over the launches that hold both; undecided with a reason where none does."""
    launches = sorted(set(ours.medians) & set(theirs.medians))
    effects = [math.log(ours.medians[launch] / theirs.medians[launch]) for launch in launches]
    planned = max(1, results.planned(sorted({run for run, _ in launches})), len(effects))
    verdict = judge(
        effects, level=decision_level(len(effects), planned, results.alpha), margin=results.margin
    )
    if len(effects) != 1:
        return verdict
    return Verdict(
        word="undecided",
        ratio=math.exp(effects[0]),
        low=None,
        high=None,
        level=verdict.level,
        margin=verdict.margin,
        launches=1,
        reason="one launch has no scatter, so there is no interval",
    )


def missing(ours: Measured, theirs: Measured) -> str:
    """Why there is no ratio: the first reason of the two; empty where there can be one."""
    for whose, side in (("ours", ours), ("the peer", theirs)):
        if not side.medians:
            return f"{whose} {side.reason}" if side.reason == NOT_MEASURED else f"{whose}: {side.reason}"
    return "" if set(ours.medians) & set(theirs.medians) else "measured in different launches only"
