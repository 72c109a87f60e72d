"""`figures.csv`: one tidy row a figure, verdicts included, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reports.comparison import Comparison
from reports.estimates import Figure
from reports.page import Report, write_whole

FIELDS = (
    "run",
    "environment_id",
    "suite",
    "metric",
    "unit",
    "implementation",
    "role",
    "reference",
    "subject",
    "length",
    "estimate",
    "low",
    "high",
    "level",
    "status",
    "verdict",
    "reason",
    "method",
    "tool",
    "launches",
    "values",
    "warmups",
    "provisional",
)


def write(report: Report, folder: Path) -> Path:
    """`figures.csv` in `folder`."""
    file = io.StringIO()
    writer = csv.DictWriter(file, FIELDS, lineterminator="\n", restval="")
    writer.writeheader()
    run = " ".join(str(manifest["run"]) for manifest in report.evidence.results.manifests)
    for row in _rows(report):
        writer.writerow({name: guarded(value) for name, value in ({"run": run} | row).items()})
    return write_whole(folder / "figures.csv", file.getvalue())


def guarded(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula, with an apostrophe before it; numbers as they are."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _rows(report: Report) -> Iterator[dict[str, Any]]:
    for figure in report.evidence.figures:
        yield _figure(figure)
    for comparison in report.evidence.comparisons:
        yield _comparison(comparison)


def _figure(figure: Figure) -> dict[str, Any]:
    known = {name: getattr(figure, name) for name in FIELDS if hasattr(figure, name)}
    return {name: value for name, value in known.items() if value is not None}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    verdict = comparison.verdict
    known = {name: getattr(comparison, name) for name in FIELDS if hasattr(comparison, name)}
    known |= {"metric": f"{comparison.metric}_against_reference", "role": "candidate"}
    known |= {"status": "ok" if verdict.ratio is not None else "inconclusive"}
    known |= {"estimate": verdict.ratio, "low": verdict.low, "high": verdict.high, "level": verdict.level}
    known |= {"verdict": verdict.word, "reason": verdict.reason, "method": comparison.method}
    known |= {"launches": comparison.launches}
    return {name: value for name, value in known.items() if value is not None}
