"""Two runs held against each other: what was planted is found, and another sitting is not called a change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.cli import app
from reports.between import Between, between
from reports.frame import EnvironmentsDifferError, WorkDiffersError, read_pair
from reports.page import build


def _write(make_run: Any, folder: Path, name: str, **settings: Any) -> Path:
    path: Path = make_run.write(
        folder, make_run.MadeUpRun(name=name, lengths=(131, 257), launches=8, **settings)
    )
    return path


def _changed(
    run: Path, which: Callable[[dict[str, Any]], bool], how: Callable[[dict[str, Any]], None]
) -> Path:
    """The run with some of its measurements changed in place."""
    file = run / "measurements.jsonl"
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for record in records:
        for measurement in record["measurements"]:
            if which(measurement):
                how(measurement)
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return run


def _scaled(factor: float) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.update(values=[value * factor for value in row["values"]])


def _words(found: Between, kind: str, judged: bool = True) -> dict[tuple[str, str], str]:
    mine = [change for change in found.changes if change.kind == kind and change.judged == judged]
    return {(change.implementation, change.cell[2]): change.verdict.word for change in mine}


def _is(suite: str, implementation: str) -> Callable[[dict[str, Any]], bool]:
    return lambda row: (
        (row["suite"], row["implementation"]) == (suite, implementation) and row["role"] != "control"
    )


def test_a_slower_candidate_is_found_and_nobody_else(make_run: Any, tmp_path: Path) -> None:
    before = _write(make_run, tmp_path / "before", "before")
    after = _changed(
        _write(make_run, tmp_path / "after", "after"), _is("throughput", "linear@torch"), _scaled(1.1)
    )
    words = _words(between(*read_pair([after], before)), "time")
    slower = {key for key, word in words.items() if word == "worse"}
    assert slower == {key for key in words if key[0] == "linear@torch"} and len(slower) == 4
    back = _words(between(*read_pair([before], after)), "time")
    assert {key for key, word in back.items() if word == "better"} == slower


def test_a_machine_that_is_slower_as_a_whole_is_no_change(make_run: Any, tmp_path: Path) -> None:
    before = _write(make_run, tmp_path / "before", "before")
    after = _write(make_run, tmp_path / "after", "after")
    _changed(after, lambda row: row["suite"] == "throughput" and row["unit"] == "s", _scaled(1.3))
    found = between(*read_pair([after], before))
    assert not {"worse", "better"} & set(_words(found, "time").values())
    own = [change for change in found.changes if not change.judged]
    assert own and all(change.after / change.before == pytest.approx(1.3, rel=0.02) for change in own)


def test_memory_that_grew_is_worse_though_the_reference_grew_too(make_run: Any, tmp_path: Path) -> None:
    before = _write(make_run, tmp_path / "before", "before")
    after = _write(make_run, tmp_path / "after", "after")
    _changed(after, lambda row: row["suite"] == "memory" and row["status"] == "ok", _scaled(1.05))
    assert set(_words(between(*read_pair([after], before)), "memory").values()) == {"worse"}


def test_a_lost_score_is_found_by_seed(make_run: Any, tmp_path: Path) -> None:
    before = _write(make_run, tmp_path / "before", "before", seeds=8)
    after = _write(make_run, tmp_path / "after", "after", seeds=8)

    def forget(row: dict[str, Any]) -> None:
        row["values"] = [0.0 if place % 4 == 0 else value for place, value in enumerate(row["values"])]

    _changed(after, lambda row: row["metric"] == "accuracy" and row["implementation"] == "sdpa@torch", forget)
    words = _words(between(*read_pair([after], before)), "score")
    assert words["sdpa@torch", "sentiment"] == "worse"
    assert words["softmax@torch", "sentiment"] == "same"


def test_of_one_seed_the_examples_are_the_evidence(make_run: Any, tmp_path: Path) -> None:
    before = _write(make_run, tmp_path / "before", "before", seeds=1, examples=200)
    after = _write(make_run, tmp_path / "after", "after", seeds=1, examples=200)

    def forget(row: dict[str, Any]) -> None:
        row["values"] = [0.0 if place % 5 == 0 else value for place, value in enumerate(row["values"])]

    _changed(after, lambda row: row["metric"] == "accuracy" and row["implementation"] == "sdpa@torch", forget)
    found = [c for c in between(*read_pair([after], before)).changes if c.cell[1] == "accuracy"]
    assert {c.implementation: (c.verdict.word, c.examples) for c in found}["sdpa@torch"] == ("worse", 200)
    assert sum(c.verdict.word in ("worse", "better") for c in found) == 1


def test_a_broken_certificate_and_a_lost_figure_are_told_first(make_run: Any, tmp_path: Path) -> None:
    before = _write(make_run, tmp_path / "before", "before")
    after = _write(make_run, tmp_path / "after", "after")

    def leak(row: dict[str, Any]) -> None:
        row.update(status="failed", reason="it sees the future", values=[])

    _changed(
        after, lambda row: row["metric"] == "causality" and row["implementation"] == "linear@torch", leak
    )
    section = build([after], against=before).sections[0]
    assert section.name == "changes"
    turns = section.data["turns"]
    assert [(turn["metric"], turn["implementation"], turn["after"]) for turn in turns] == [
        ("causality", "linear@torch", "failed")
    ]


def test_another_environment_and_other_work_are_refused(make_run: Any, tmp_path: Path) -> None:
    before = _write(make_run, tmp_path / "before", "before")
    elsewhere = dict(make_run.ENVIRONMENT, id="elsewhere", cpu="another")
    other = _write(make_run, tmp_path / "other", "other", environment=elsewhere)
    with pytest.raises(EnvironmentsDifferError, match="cpu: Made-up processor / another"):
        read_pair([other], before)
    wide = _write(make_run, tmp_path / "wide", "wide")
    _changed(
        wide, lambda row: "width" in row.get("details", {}), lambda row: row["details"].update(width="1024")
    )
    with pytest.raises(WorkDiffersError, match="width"):
        read_pair([wide], before)


def test_the_command_writes_the_comparison_and_refuses_what_cannot_be_paired(
    make_run: Any, tmp_path: Path
) -> None:
    before = _write(make_run, tmp_path / "before", "before")
    after = _changed(
        _write(make_run, tmp_path / "after", "after"), _is("throughput", "linear@torch"), _scaled(1.1)
    )
    asked = [
        "report",
        str(after),
        "--against",
        str(before),
        "--format",
        "markdown",
        "--out",
        str(tmp_path / "out"),
    ]
    assert CliRunner().invoke(app, asked).exit_code == 0
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "# Attention variants compared: after against before" in text
    assert "worse: linear@torch" in text.partition("## The answer")[0]
    elsewhere = dict(make_run.ENVIRONMENT, id="elsewhere", cpu="another")
    other = _write(make_run, tmp_path / "other", "other", environment=elsewhere)
    refused = CliRunner().invoke(app, ["report", str(other), "--against", str(before)])
    assert refused.exit_code == 2 and "cpu: Made-up processor / another" in refused.output
