"""`report.json`: the verdicts, figures and checks as plain data, for scripts and for the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reports.page import Report, write_whole
from reports.reproduce import command
from reports.writers.json_numbers import rounded


def write(report: Report, folder: Path) -> Path:
    """`report.json` in `folder`."""
    text = json.dumps(rounded(content(report)), indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(folder / "report.json", text + "\n")


def content(report: Report) -> dict[str, Any]:
    """The report as plain data: one key a view, besides what names the run."""
    results = report.evidence.results
    manifests = results.manifests
    sections = {section.name: section.data for section in report.sections}
    sections["crossovers"] = sections.pop("crossover", [])
    times = [manifest.get("finished_at") or manifest["started_at"] for manifest in manifests]
    return {
        "run": _one([manifest["run"] for manifest in manifests]),
        "command": _one([command(manifest) for manifest in manifests]),
        "profile": _one([manifest["profile"] for manifest in manifests]),
        "measured_at": max(times),
        "incomplete": results.incomplete,
        "provisional": report.evidence.provisional,
        "warnings": list(report.warnings),
        **sections,
    }


def _one(values: list[Any]) -> Any:
    """The value where all runs share it, otherwise all of them."""
    return values[0] if len(set(values)) == 1 else values
