"""The command `attnbench gate` as a person and a CI server meet it, in real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gated import Repository

COMMAND = [sys.executable, "-P", "-m", "bench.cli", "gate"]


def gate(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "needs --baseline REF"),
        (("--baseline-package", "x==1"), "give both --baseline-package and --candidate-package"),
        (("--baseline", "main", "--baseline-package", "x", "--candidate-package", "y"), "not both"),
        (("--baseline", "nothing"), "has no commit 'nothing'"),
        (("--baseline", "main", "--suite", "throughputt"), "did you mean 'throughput'?"),
        (("--baseline", "main", "sofmax"), "did you mean 'softmax'?"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_was_meant(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit("the beginning")
    done = gate(repository.folder, *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_side_that_does_not_load_exits_with_3_and_leaves_a_report(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit("the beginning")
    (repository.package / "catalog.py").write_text("raise RuntimeError('as asked')\n")
    done = gate(repository.folder, "--baseline", "main", "--report", "told", "--on", "torch")
    assert done.returncode == 3
    assert "as asked" in done.stderr
    told = json.loads((repository.folder / "told" / "gate.json").read_text())
    assert told["headline"] == "Could not measure"
    assert "as asked" in told["failure"]


def test_a_gate_that_fails_itself_is_never_taken_for_worse(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit("the beginning")
    (repository.folder / "taken").write_text("a file where the report's folder should be")
    arguments = ("softmax", "--on", "torch", "--suite", "throughput", "--profile", "smoke")
    done = gate(repository.folder, "--baseline", "main", *arguments, "--report", "taken")
    assert done.returncode == 3, done.stderr
    assert "FileExistsError" in done.stderr
    assert "The gate itself failed: nothing was judged." in done.stderr


@pytest.mark.slow
def test_nothing_changed_is_known_without_measuring_and_exits_with_0(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit("the beginning")
    arguments = ("softmax", "sliding_window", "--on", "torch", "--suite", "throughput", "--profile", "smoke")
    done = gate(repository.folder, "--baseline", "main", *arguments, "--json", "--report", "told")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["headline"] == "Nothing is worse"
    assert {Path(file).name for file in told["files"]} == {
        "index.html",
        "comment.md",
        "junit.xml",
        "gate.json",
    }
