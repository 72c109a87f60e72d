"""The runs kept under results/reference stay readable: today's report is written from yesterday's records."""

import json
from pathlib import Path

import pytest

from bench.store import read_run
from reports.page import write_reports

REFERENCE = Path(__file__).parent.parent.parent / "results" / "reference"
RUNS = sorted(path.parent for path in REFERENCE.glob("*/run.json"))


def test_there_is_a_reference_run() -> None:
    assert RUNS


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_a_reference_run_is_whole_and_still_makes_every_format(path: Path, tmp_path: Path) -> None:
    run = read_run(path)
    assert run.set_aside == 0 and run.manifest["finished_at"]
    assert {"certificate", "throughput", "memory", "accuracy"} <= {m.suite for m in run.measurements}
    written = write_reports([path], tmp_path, ["html", "markdown", "csv", "json"])
    assert all(file.stat().st_size > 1000 for file in written)
    report = json.loads((tmp_path / "report.json").read_text())
    measured = {m.implementation for m in run.measurements if m.role == "candidate" and m.status == "ok"}
    assert {verdict["implementation"] for verdict in report["verdicts"]} == measured
    assert not report["incomplete"]
