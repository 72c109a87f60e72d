"""The way from a cell of the page to the values that it was made of: addresses, and the values themselves.

An address is a digest of what the cell shows (environment, suite, metric, work, implementation, role) and of
nothing that was measured: it stays the same when a report is written anew, or on another run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from reports.comparison import Comparison
from reports.figure import Figure
from reports.frame import Results
from reports.writers.json_numbers import rounded

BUDGET_BYTES = 2_000_000
_NAMES = ("environment_id", "suite", "metric", "subject", "implementation", "role")
# Figures that are made of other values than those of their own metric: times of calls.
_MADE_OF = "seconds"
Key: TypeAlias = tuple[str, str, str, str, str, str]


def address(source: Figure | Comparison) -> str:
    """The fragment of the cell's address: ``c`` and ten hexadecimal digits."""
    if isinstance(source, Comparison):
        key = _key(source, source.metric, source.implementation, "candidate")
        told = ["against", source.reference, *key]
    else:
        told = [*_key(source, source.metric, source.implementation, source.role)]
    return "c" + hashlib.blake2s("\0".join(told).encode(), digest_size=5).hexdigest()


def _key(source: Figure | Comparison, metric: str, implementation: str, role: str) -> Key:
    return source.environment_id, source.suite, metric, source.subject, implementation, role


class RawValues:
    """Numbers the measured series that cells ask for, and answers them as one compact document.

    Values have six significant digits; a series of zeros and ones is a text of them. Past `budget` bytes a
    series is named with its counts only: the page says where its values are. A document that is on no run has
    none.
    """

    def __init__(self, results: Results | None, budget: int = BUDGET_BYTES) -> None:
        self._measured: dict[Key, list[Any]] = {}
        self._left = budget
        self._numbers: dict[Key, int] = {}
        self._series: list[list[Any]] = []
        self._runs = [str(manifest["run"]) for manifest in results.manifests] if results else []
        if results is not None:
            self._take(results)

    def _take(self, results: Results) -> None:
        fine = results.frame[results.frame["status"] == "ok"]
        places = zip(
            *(fine[name] for name in (*_NAMES, "unit", "run", "launch", "seed", "values")), strict=True
        )
        for environment, suite, metric, subject, implementation, role, unit, *rest in places:
            key = (environment, suite, metric, subject, implementation, role)
            run, launch, seed, values = rest
            self._measured.setdefault(key, [unit]).append((run, int(launch), int(seed), values))

    def rows(self, source: Figure | Comparison) -> tuple[int, ...]:
        """The numbers of the series behind a cell: one, or candidate and reference of a comparison."""
        if isinstance(source, Comparison):
            sides = [(source.implementation, "candidate"), (source.reference, "reference")]
        else:
            sides = [(source.implementation, source.role)]
        found = (self._row(source, implementation, role) for implementation, role in sides)
        return tuple(number for number in found if number is not None)

    def _row(self, source: Figure | Comparison, implementation: str, role: str) -> int | None:
        for metric in (source.metric, _MADE_OF):
            key = _key(source, metric, implementation, role)
            if key in self._measured:
                return self._number(key)
        return None

    def _number(self, key: Key) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self._series)
            unit, *parts = self._measured[key]
            told = [
                [self._runs.index(run), launch, seed, _compact(values)] for run, launch, seed, values in parts
            ]
            self._left -= len(json.dumps(told, separators=(",", ":")))
            if self._left < 0:
                told = [[*part[:3], len(values[3])] for part, values in zip(told, parts, strict=True)]
            _, suite, metric, subject, implementation, role = key
            self._series.append([implementation, role, suite, metric, subject, unit, told])
        return self._numbers[key]

    def data(self) -> dict[str, Any]:
        """All that was asked for: each text once, series as numbers of texts and parts.

        A part is ``[run, launch, seed, values]``, where values are a list, a text of zeros and ones, or how
        many there are.
        """
        texts: dict[str, int] = {}
        series = [[*(texts.setdefault(text, len(texts)) for text in one[:6]), one[6]] for one in self._series]
        return {"runs": self._runs, "texts": list(texts), "series": series}


def _compact(values: Sequence[float]) -> str | list[float]:
    if set(values) <= {0.0, 1.0}:
        return "".join("1" if value else "0" for value in values)
    return [int(value) if float(value).is_integer() else value for value in rounded(list(values))]
