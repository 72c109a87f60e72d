"""The command line as a person and a script meet it, in real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-P", "-m", "bench.cli"]
SMALL = ("--on", "torch", "--suite", "throughput", "--lengths", "17,37", "--profile", "smoke")


def attnbench(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, cwd=cwd, env=environment
    )


@pytest.mark.parametrize(
    "arguments", [("--help",), ("list",), ("list", "suites"), ("list", "tasks"), ("list", "views")]
)
def test_listing_and_helping_import_no_framework(arguments: tuple[str, ...]) -> None:
    heavy = ("torch", "keras", "tensorflow", "pandas", "scipy", "numpy", "matplotlib", "jinja2", "sklearn")
    script = (
        f"import sys; sys.argv = ['attnbench', *{arguments!r}]\n"
        "import bench.cli\n"
        "try: bench.cli.main()\n"
        "except SystemExit as done: assert done.code in (0, None), done.code\n"
        f"loaded = sorted(set({heavy!r}) & set(sys.modules)); assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "variantz"), "did you mean 'variants'?"),
        (("compare", "sofmax"), "did you mean 'softmax'?"),
        (("compare", "--suite", "throughputt"), "did you mean 'throughput'?"),
        (("compare", "--task", "sentimental"), "did you mean 'sentiment'?"),
        (("compare", "--on", "pytorch"), "known: torch, keras"),
        (("compare", "--profile", "quik"), "did you mean 'quick'?"),
        (("run", "--lengths", "12,many"), "whole numbers separated by commas"),
        (("run", "--lengths", "0"), "at least 1"),
        (("resume", "nowhere"), "is not a run"),
        (("report", "nowhere"), "is not a run"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_was_meant(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = attnbench(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_listing_as_json_is_json() -> None:
    assert json.loads(attnbench("list", "--json").stdout)[0]["name"] == "softmax"


def test_the_doctor_says_what_can_be_measured_and_what_to_do_about_the_rest() -> None:
    findings = {row["subject"]: row for row in json.loads(attnbench("doctor", "--json").stdout)}
    assert findings["torch"]["able"]
    assert findings["suite accuracy"]["finding"] == "ready"
    assert all(
        row["able"] or row["advice"] for name, row in findings.items() if name not in ("accelerator", "quiet")
    )
    assert "can" in attnbench("doctor").stdout


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, subprocess.CompletedProcess[str]]":
    folder = tmp_path_factory.mktemp("compared")
    return folder / "run", attnbench("compare", "sdpa", *SMALL, "--out", "run", cwd=folder)


@pytest.mark.slow
def test_compare_measures_reports_and_shows_the_verdicts(
    compared: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    path, done = compared
    assert done.returncode == 0, done.stderr
    assert "sdpa@torch" in done.stdout
    assert "Report: run/report/index.html" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout + done.stderr
    assert {p.name for p in (path / "report").iterdir()} == {
        "index.html",
        "report.md",
        "figures.csv",
        "tables.tex",
        "report.json",
    }


@pytest.mark.slow
def test_a_finished_run_is_resumed_without_measuring_anything(
    compared: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    path, _ = compared
    before = (path / "measurements.jsonl").read_bytes()
    done = attnbench("resume", str(path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exit_code"] == 0
    assert (path / "measurements.jsonl").read_bytes() == before


@pytest.mark.slow
def test_a_run_of_another_environment_is_not_gone_on_with(
    compared: "tuple[Path, subprocess.CompletedProcess[str]]", tmp_path: Path
) -> None:
    path, _ = compared
    manifest = json.loads((path / "run.json").read_text())
    manifest["environment"] |= {"id": "elsewhere", "cpu": "another processor"}
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    done = attnbench("resume", str(tmp_path))
    assert done.returncode == 2
    assert "another environment (cpu: another processor" in done.stderr


@pytest.mark.slow
def test_one_format_can_be_asked_for(
    compared: "tuple[Path, subprocess.CompletedProcess[str]]", tmp_path: Path
) -> None:
    path, _ = compared
    done = attnbench("report", str(path), "--format", "csv", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["figures.csv"]


@pytest.mark.slow
def test_ctrl_c_stops_the_workers_and_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [*COMMAND, "run", "sdpa", *SMALL, "--out", str(run)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (run / "measurements.jsonl").exists() or not (run / "measurements.jsonl").read_bytes():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"attnbench resume {run}" in said
    kept = (run / "measurements.jsonl").read_bytes()
    assert attnbench("resume", str(run), "--quiet").returncode == 0
    assert (run / "measurements.jsonl").read_bytes().startswith(kept)


@pytest.mark.slow
def test_what_was_asked_for_by_name_and_cannot_be_measured_exits_with_3(tmp_path: Path) -> None:
    done = attnbench("run", "--variant", "missing.py:kernel", *SMALL, "--out", "run", "--json", cwd=tmp_path)
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert told["exit_code"] == 3 and told["unmeasured"] > 0
