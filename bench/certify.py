"""What `attnbench certify` tells of a run: which properties hold, which fail, and by which counterexample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bench.candidates import ADMITTING
from bench.schema import Measurement
from bench.store import read_run

TOLD = ("ulps_", "exponent_", "distance_", "state_bytes_")


def certificates(path: Path) -> list[dict[str, Any]]:
    """One an implementation: ``holds`` (names), ``failed`` and ``not_checked`` (name to reason), ``seen``."""
    rows: dict[str, list[Measurement]] = {}
    for row in read_run(path).measurements:
        if row.suite == ADMITTING:
            rows.setdefault(row.implementation, []).append(row)
    return [_certificate(name, found) for name, found in rows.items()]


def _certificate(implementation: str, rows: Iterable[Measurement]) -> dict[str, Any]:
    rows = list(rows)
    seen = {key: value for row in rows for key, value in row.details.items() if key.startswith(TOLD)}
    return {
        "implementation": implementation,
        "holds": [row.metric for row in rows if row.status == "ok"],
        "failed": {row.metric: row.reason for row in rows if row.status == "failed"},
        "not_checked": {row.metric: row.reason for row in rows if row.status not in ("ok", "failed")},
        "seen": seen,
    }


def print_certificates(found: Sequence[Mapping[str, Any]]) -> None:
    """A line an implementation; below it each property that fails or could not be checked, and why."""
    console = Console(highlight=False)
    for certificate in found:
        failed, unchecked = certificate["failed"], certificate["not_checked"]
        word, colour = ("fails", "red") if failed else ("holds", "green")
        if not certificate["holds"] and not failed:
            word, colour = "?", "yellow"
        line = Text(f"{certificate['implementation']:26}", "bold")
        line.append(f"{word:7}", colour)
        line.append(_counts(certificate), "not bold")
        console.print(line)
        for colour, reasons in (("red", failed), ("yellow", unchecked)):
            for name, reason in reasons.items():
                console.print(Text("  ").append(name, colour).append(f": {reason}"), soft_wrap=False)
    flawed = sum(bool(certificate["failed"]) for certificate in found)
    console.print(f"{len(found)} implementations, {flawed} with a property that fails")


def _counts(certificate: Mapping[str, Any]) -> str:
    held = f"{len(certificate['holds'])} properties"
    ulps = certificate["seen"].get("ulps_float32")
    return f"{held}, {ulps} ulps from its definition" if ulps else held
