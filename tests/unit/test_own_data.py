"""``--data``: refused before anything is started, carried to the task that reads it, and measured."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from bench.jobs import Site
from bench.plan import make_plan
from bench.registry import registry
from bench.request import checked
from bench.schema import Plan, Request, Task
from bench.store import read_run
from suites.tasks.data import digest

SITE = Site(run="run", environment_id="here", memory_bytes=8 << 30)
ROWS = "text,label\n" + "".join(
    f'"{"good" if n % 3 else "awful"} film,\nnumber {n}",{"up" if n % 3 else "down"}\n' for n in range(211)
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def refusal(request: Request, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(typer.Exit) as left:
        checked(request)
    assert left.value.exit_code == 2
    return capsys.readouterr().err


def test_the_request_holds_the_absolute_path_and_the_hash(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    asked = checked(Request(tasks=("text",), data="mine.csv"))
    assert (asked.data, asked.data_sha256) == (str(file), digest(file.read_bytes()))


def test_a_file_without_the_task_that_reads_it_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for tasks in ((), ("sentiment",)):
        said = refusal(Request(tasks=tasks, data=str(file)), capsys)
        assert "--data is read by --task text only: name the task too" in said


def test_the_task_without_a_file_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(Request(tasks=("sentiment", "text")), capsys)
    assert "--task text reads a file of yours: name it with --data FILE" in said


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(Request(tasks=("text",), data=str(tmp_path / "nowhere.csv")), capsys)
    assert f"there is no file {tmp_path / 'nowhere.csv'}" in said
    assert "it is a folder" in refusal(Request(tasks=("text",), data=str(tmp_path)), capsys)


def test_a_file_that_the_task_cannot_use_is_refused_with_its_row(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(ROWS + "one more,\n", encoding="utf-8")
    said = refusal(Request(tasks=("text",), data=str(file)), capsys)
    assert said == "attnbench: mine.csv, line 424: the label is missing\n"


def plan(**request: object) -> Plan:
    asked = Request(frameworks=("torch",), suites=("accuracy",), **request)  # type: ignore[arg-type]
    return make_plan(asked, registry(), SITE)


def planned(made: Plan) -> Iterator[Task]:
    return (step.task for job in made.jobs for step in job.steps if step.task)


@pytest.mark.parametrize("profile", ["smoke", "quick", "full"])
def test_every_step_of_the_task_is_told_of_the_file_and_no_other_is(profile: str) -> None:
    made = plan(profile=profile, tasks=("text", "digits"), data="/mine.csv", data_sha256="beef")
    tasks = list(planned(made))
    assert {task.name for task in tasks} == {"text", "digits"}
    for task in tasks:
        told = task.settings.get("data"), task.settings.get("data_sha256")
        assert told == (("/mine.csv", "beef") if task.name == "text" else (None, None))


def test_without_a_file_the_task_is_in_no_plan() -> None:
    for profile in ("smoke", "quick", "full"):
        assert "text" not in {task.name for task in planned(plan(profile=profile))}
        assert "text" not in {task.name for task in planned(plan(profile=profile, data="/mine.csv"))}
    assert not list(planned(plan(tasks=("text",))))


def attnbench(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", "bench.cli", *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def test_the_list_of_tasks_says_how_the_file_is_named(tmp_path: Path) -> None:
    said = " ".join(attnbench("list", "tasks", cwd=tmp_path).stdout.split())
    assert "--task text" in said and "--data FILE" in said


def test_what_is_wrong_with_the_file_leaves_nothing_behind(file: Path) -> None:
    file.write_text("text,label\none,a\n  ,b\n", encoding="utf-8")
    done = attnbench("run", "--task", "text", "--data", "mine.csv", "--out", "run", cwd=file.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "attnbench: mine.csv, line 3: the text is empty\n"
    assert [path.name for path in file.parent.iterdir()] == ["mine.csv"]


@pytest.mark.slow
def test_own_texts_are_learnt_from_the_command_line_to_the_report(file: Path) -> None:
    done = attnbench(
        *("compare", "sdpa", "--on", "torch", "--profile", "smoke", "--suite", "accuracy", "--task", "text"),
        *("--data", "mine.csv", "--out", "run", "--quiet"),
        cwd=file.parent,
    )
    assert done.returncode == 0, done.stderr
    rows = [m for m in read_run(file.parent / "run").measurements if m.suite == "accuracy"]
    scores = {m.implementation: m for m in rows if m.metric == "accuracy"}
    assert set(scores) >= {
        "softmax@torch",
        "sdpa@torch",
        "majority@sklearn",
        "tfidf_logistic_regression@sklearn",
    }
    assert {m.subject for m in rows} == {"text"}
    # Not every variant has attention that can be looked at.
    assert {m.status for m in rows if m.metric not in ("attention_entropy", "largest_logit")} == {"ok"}
    for score in scores.values():
        assert score.details["data_sha256"] == digest(file.read_bytes())
        assert json.loads(score.details["classes"]) == ["down", "up"]
        assert len(score.values) == int(score.details["test_examples"]) > 20
    assert (file.parent / "run" / "report" / "index.html").is_file()
