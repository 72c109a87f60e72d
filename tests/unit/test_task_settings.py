"""``--set TASK.SETTING=VALUE``: refused before anything is started, carried to the task, told by its rows."""

from dataclasses import replace
from pathlib import Path

import pytest
import typer

from bench.jobs import Site
from bench.measuring import describe
from bench.plan import make_plan
from bench.registry import registry
from bench.request import checked
from bench.schema import Request

SITE = Site(run="run", environment_id="here", memory_bytes=8 << 30)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("mqar", "--set takes TASK.SETTING=VALUE"),
        ("pairs=4", "--set takes TASK.SETTING=VALUE"),
        ("mqar.pairs", "--set takes TASK.SETTING=VALUE"),
        ("sorting.length=4", "name the task too, with --task sorting"),
        ("mqar.file=nowhere.txt", "there is no file or folder nowhere.txt"),
    ],
)
def test_what_cannot_be_meant_is_refused(asked: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left:
        checked(Request(tasks=("mqar",), settings=(asked,)))
    assert left.value.exit_code == 2
    assert said in capsys.readouterr().err


def test_a_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pairs.tsv").write_text("a\tb\n")
    monkeypatch.chdir(tmp_path)
    asked = checked(Request(tasks=("translation",), settings=("translation.file=pairs.tsv",)))
    assert asked.settings == (f"translation.file={tmp_path / 'pairs.tsv'}",)


def test_the_task_has_the_setting_its_rows_say_so_and_no_other_task_does() -> None:
    request = checked(
        Request(
            tasks=("mqar", "induction"),
            suites=("accuracy",),
            frameworks=("torch",),
            settings=("mqar.pairs=3", "mqar.alpha=0.5", "mqar.filler=false"),
        )
    )
    steps = [step for job in make_plan(request, registry(), SITE).jobs for step in job.steps if step.task]
    mine = [step for step in steps if step.task and step.task.name == "mqar"]
    others = [step for step in steps if step.task and step.task.name == "induction"]
    assert mine
    assert others
    for step in mine:
        assert step.task is not None
        told = {name: step.task.settings[name] for name in ("pairs", "alpha", "filler")}
        assert told == {"pairs": 3, "alpha": 0.5, "filler": False}
        assert describe(step)["settings"] == "pairs=3; alpha=0.5; filler=false"
    assert all("settings" not in describe(step) for step in others)
    assert "settings" not in describe(replace(mine[0], task=registry().tasks["mqar"]))
