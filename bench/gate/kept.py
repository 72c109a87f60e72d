"""Results kept by content: what was measured once of the same code, work, data and environment stays
measured.

A file a content key under ``results/gate/kept/``: of one side's work (memory, certificates, trainings) all
rows, of a pair (times) the rows of both sides, launch by launch. A figure is read from here only under its
own key, so that a file may be deleted at any time and costs no more than measuring again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from bench import wire
from bench.gate.sides import SideName
from bench.schema import Measurement

Kind = TypeVar("Kind")

GATE = Path("results/gate")
# Faults of the hour, which another attempt may not meet.
PASSING_CAUSES = ("crash", "time", "memory", "beyond", "earlier", "certificate")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLaunch:
    """One launch of a pair: the rows of an arm on both sides, and of the reference in the same launch."""

    launch: int
    rows: Mapping[SideName, Measurement]
    control: Mapping[SideName, Measurement]


class Kept:
    """The folder of kept results; `fresh` ones are written and none are read."""

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self._folder = folder
        self._fresh = fresh

    def rows(self, key: str) -> tuple[Measurement, ...] | None:
        """One side's rows under this key; None where it was not measured, or its file is torn."""
        return None if self._fresh else self._read(key, tuple[Measurement, ...])

    def keep_rows(self, key: str, rows: Sequence[Measurement]) -> None:
        """Keep a side's rows, unless one of them tells of a passing fault."""
        if rows and not any(passing(row) for row in rows):
            self._write(key, tuple(rows))

    def launches(self, key: str) -> dict[int, KeptLaunch]:
        """A pair's launches under this key, by number."""
        found = None if self._fresh else self._read(key, tuple[KeptLaunch, ...])
        return {one.launch: one for one in found or ()}

    def keep_launches(self, key: str, launches: Mapping[int, KeptLaunch]) -> None:
        """Keep a pair's launches."""
        self._write(key, tuple(launches.values()))

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"

    def _read(self, key: str, kind: type[Kind]) -> Kind | None:
        try:
            return wire.decode(self._path(key).read_bytes(), kind)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, key: str, value: object) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.write_bytes(wire.encode(value))
        unfinished.replace(path)


def passing(row: Measurement) -> bool:
    """Whether the row tells of a fault that need not come again."""
    return row.status == "failed" and row.details.get("cause") in PASSING_CAUSES
