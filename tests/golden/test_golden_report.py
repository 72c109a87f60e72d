"""The report on a made-up run, held to the letter.

After a change that is meant, write the files anew with ``ATTNBENCH_REGENERATE=1`` and read their diff.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reports.page import write_reports

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("format", "name"),
    [("json", "report.json"), ("markdown", "report.md"), ("csv", "figures.csv"), ("latex", "tables.tex")],
)
def test_the_report_on_the_made_up_run_is_the_golden_one(
    format: str, name: str, make_run: Any, tmp_path: Path
) -> None:
    run = make_run.write(
        tmp_path / "run", make_run.MadeUpRun(lengths=(128, 522, 1024), launches=3, planned=8)
    )
    (written,) = write_reports([run], tmp_path / "report", [format])
    assert written.name == name
    golden = HERE / f"golden_{name}"
    if os.environ.get("ATTNBENCH_REGENERATE"):
        golden.write_bytes(written.read_bytes())
    assert written.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


def test_the_made_up_run_is_the_same_every_time(make_run: Any, tmp_path: Path) -> None:
    first, second = (make_run.write(tmp_path / name) / "measurements.jsonl" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
