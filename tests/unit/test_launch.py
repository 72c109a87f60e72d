"""Workers: each way of going wrong costs its own row, with its reason, and no other."""

import os
import time
from pathlib import Path

import psutil
import pytest
from engine import carry_on, make_job, make_run

from bench.launch import Launcher
from bench.schema import Measurement
from bench.store import read_run
from bench.worker import Answer


def rows(path: Path) -> dict[tuple[str, str], Measurement]:
    found = read_run(path).measurements
    keys = [(m.subject, m.implementation) for m in found]
    assert len(keys) == len(set(keys)), "a measurement was doubled"
    return {(m.subject, m.implementation): m for m in found}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("raises", "ValueError: as asked"),
        ("exits", "exited with code 7"),
        ("segfaults", "SIGSEGV"),
        ("killed", "SIGKILL"),
        ("hangs", "no answer within the time limit"),
        ("allocates", "out of memory"),
    ],
)
def test_a_misbehaving_arm_costs_its_own_row_only(tmp_path: Path, kind: str, reason: str) -> None:
    limit = 3 if kind == "hangs" else 60
    job = make_job("job", {"one": ["steady", kind, "steady"], "two": ["steady"]}, time_limit=limit)
    carry_on(make_run(tmp_path / "run", job))
    found = rows(tmp_path / "run")
    assert {name: m.status for name, m in found.items()} == {
        ("one", "steady0@none"): "ok",
        ("one", f"{kind}1@none"): "failed",
        ("one", "steady2@none"): "ok",
        ("two", "steady0@none"): "ok",
    }
    assert reason in found["one", f"{kind}1@none"].reason


def test_megabytes_of_output_are_drained_and_cost_nothing(tmp_path: Path) -> None:
    carry_on(make_run(tmp_path / "run", make_job("job", {"one": ["talks", "steady"]})))
    assert {m.status for m in rows(tmp_path / "run").values()} == {"ok"}


def test_the_end_of_what_a_worker_printed_is_kept_with_its_failure(tmp_path: Path) -> None:
    carry_on(make_run(tmp_path / "run", make_job("job", {"one": ["talks", "segfaults"]})))
    reason = rows(tmp_path / "run")["one", "segfaults1@none"].reason
    assert "Segmentation fault" in reason
    assert len(reason) < 6000


def test_a_broken_suite_fails_its_arms_with_the_traceback(tmp_path: Path) -> None:
    job = make_job("job", {"one": ["steady"], "two": ["steady"]}, measure="raises_itself")
    carry_on(make_run(tmp_path / "run", job))
    found = rows(tmp_path / "run")
    assert len(found) == 2
    assert all("the suite is broken" in m.reason for m in found.values())


def test_an_arm_that_the_suite_forgets_still_has_its_row(tmp_path: Path) -> None:
    carry_on(make_run(tmp_path / "run", make_job("job", {"one": ["steady"]}, measure="says_nothing")))
    assert "gave no answer" in rows(tmp_path / "run")["one", "steady0@none"].reason


def test_a_target_that_is_not_there_fails_every_step_after_two_starts(tmp_path: Path) -> None:
    job = make_job("job", {"one": ["steady"], "two": ["steady"]}, measure="mesure")
    carry_on(make_run(tmp_path / "run", job))
    found = rows(tmp_path / "run")
    assert len(found) == 2
    assert all("did you mean 'measure'" in m.reason for m in found.values())


def test_waiting_for_a_worker_costs_the_parent_next_to_no_processor_time(tmp_path: Path) -> None:
    before = time.process_time()
    job = make_job("job", {"one": ["hangs"]}, time_limit=2)
    outcome = Launcher().run(job, lambda answer: None)
    assert outcome.ending == "timed_out"
    assert time.process_time() - before < 0.5


def test_stopping_ends_the_worker_and_what_it_started(tmp_path: Path) -> None:
    launcher = Launcher()
    job = make_job("job", {"one": ["steady"], "two": ["hangs"]})

    def stop(_: Answer) -> None:
        launcher.stop()

    assert launcher.run(job, stop).ending == "stopped"
    assert not psutil.Process(os.getpid()).children(recursive=True)


def test_no_descriptor_is_left_open_by_a_launch() -> None:
    job = make_job("job", {"one": ["steady"]})
    Launcher().run(job, lambda answer: None)
    before = psutil.Process().num_fds()
    for _ in range(3):
        Launcher().run(job, lambda answer: None)
    assert psutil.Process().num_fds() == before
