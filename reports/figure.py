"""One figure of a report, and how rows of measurements become one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.statistics import interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of one implementation. `estimate` is None for every status but `ok`;
    `low` and `high` are None where fewer than two launches (or seeds) stand behind it."""

    suite: str
    metric: str
    unit: str
    implementation: str
    role: str
    subject: str
    series: str
    length: int
    environment_id: str
    status: str
    reason: str
    method: str
    tool: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    launches: int = 0
    values: int = 0
    warmups: int = 0
    provisional: bool = False

    @property
    def variant(self) -> str:
        """The implementation without its framework."""
        return self.implementation.rpartition("@")[0] or self.implementation


def cells(rows: Any) -> Iterator[Any]:
    """Groups of rows that are one figure: same work, same implementation, same role."""
    names = ["environment_id", "suite", "metric", "subject", "implementation", "role"]
    fine = rows[rows["status"] == "ok"]
    for _, group in fine.groupby(names, sort=False):
        yield group


def figure_of(rows: Any, **fields: Any) -> Figure:
    """The figure of a group of rows: what they share, and `fields`, which go before it."""
    first = rows.iloc[0]
    known = {
        name: first[name]
        for name in (
            "suite",
            "metric",
            "unit",
            "implementation",
            "role",
            "subject",
            "series",
            "environment_id",
        )
    }
    known |= {"method": first["method"], "tool": first["tool"], "status": "ok", "reason": ""}
    known |= {"length": int(first["length"]), "values": sum(len(values) for values in rows["values"])}
    return Figure(**(known | fields))


def over_launches(values: Sequence[float], level: float) -> tuple[float, float | None, float | None]:
    """Geometric mean over launches with its t interval, which one launch cannot have."""
    logs = [math.log(value) for value in values]
    if len(logs) < 2:
        return math.exp(logs[0]), None, None
    centre, low, high = interval(logs, level)
    return math.exp(centre), math.exp(min(low, 700.0)), math.exp(min(high, 700.0))


def nothing(rows: Any, status: str, reason: str, **fields: Any) -> Figure:
    """A figure without a number, and why it has none."""
    return figure_of(rows, status=status, reason=reason, launches=len(rows), **fields)
