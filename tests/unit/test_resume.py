"""A run that is killed, at any point and in any part, goes on without losing or doubling a measurement."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from engine import carry_on, make_job, make_run

from bench import session, wire
from bench.environment import capture
from bench.progress import Silent
from bench.schema import Plan, Request
from bench.store import MEASUREMENTS, Store, read_run

ENGINE = Path(__file__).parent.parent / "standin" / "engine.py"
JOBS = [make_job(f"job {j}", {f"step {s}": ["steady"] * 3 for s in range(6)}) for j in range(4)]
EXPECTED = {
    (f"job {j}", f"step {s}", f"steady{a}@none") for j in range(4) for s in range(6) for a in range(3)
}


def measured(path: Path) -> list[tuple[str, str, str]]:
    with Store(path) as store:
        return [(r.job, r.step, m.implementation) for r in store.records for m in r.measurements]


def assert_whole(path: Path) -> None:
    found = measured(path)
    assert len(found) == len(set(found)), "a measurement was doubled"
    assert set(found) == EXPECTED
    assert {m.status for m in read_run(path).measurements} == {"ok"}


def start(path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, str(ENGINE), str(path)])


@pytest.mark.parametrize("seed", range(4))
def test_a_parent_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    path = make_run(tmp_path / "run", *JOBS)
    generator = random.Random(seed)
    for _ in range(4):
        parent = start(path)
        time.sleep(generator.uniform(0.1, 1.2))
        workers = psutil.Process(parent.pid).children()
        parent.kill()
        parent.wait()
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive, "a worker outlived its killed parent"
    assert start(path).wait() == 0
    assert_whole(path)


@pytest.mark.parametrize("seed", range(2))
def test_a_worker_killed_from_outside_is_started_again(tmp_path: Path, seed: int) -> None:
    path = make_run(tmp_path / "run", *JOBS)
    parent = start(path)
    generator = random.Random(seed)
    killed = 0
    while parent.poll() is None and killed < 3:
        time.sleep(generator.uniform(0.1, 0.4))
        for worker in psutil.Process(parent.pid).children() if parent.poll() is None else ():
            try:
                worker.send_signal(signal.SIGKILL)
                killed += 1
            except psutil.NoSuchProcess:
                continue
    assert parent.wait(60) == 0
    found = measured(path)
    assert len(found) == len(set(found))
    assert set(found) == EXPECTED


def test_a_torn_last_line_is_set_aside_and_measured_again(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", *JOBS)
    carry_on(path)
    whole = (path / MEASUREMENTS).read_bytes()
    (path / MEASUREMENTS).write_bytes(whole[:-17])
    with pytest.warns(UserWarning, match="torn line"):
        assert read_run(path).set_aside == 1
    with pytest.warns(UserWarning, match="measured again"):
        carry_on(path)
    assert_whole(path)
    assert read_run(path).set_aside == 1


def test_a_line_that_lacks_only_its_newline_counts_as_torn(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", *JOBS)
    carry_on(path)
    (path / MEASUREMENTS).write_bytes((path / MEASUREMENTS).read_bytes()[:-1])
    with pytest.warns(UserWarning):
        carry_on(path)
    assert_whole(path)


def test_a_full_disk_stops_the_run_with_advice_and_leaves_it_valid(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", *JOBS)
    # A file-size limit makes the kernel cut a write short, as a full disk does.
    script = (
        "import resource, sys; from engine import carry_on; from pathlib import Path; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); carry_on(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{ENGINE.parent}:{':'.join(sys.path)}"},
    )
    assert done.returncode != 0
    assert "make room, then `attnbench resume" in done.stderr
    assert 0 < len(measured(path)) < len(EXPECTED)
    assert (path / MEASUREMENTS).read_bytes().endswith(b"\n")
    carry_on(path)
    assert_whole(path)


def test_two_writers_of_one_run_are_refused(tmp_path: Path) -> None:
    from bench.store import StoreError

    path = make_run(tmp_path / "run", *JOBS)
    with Store(path), pytest.raises(StoreError, match="being written by another"), Store(path):
        pass


def test_an_existing_run_is_never_overwritten(tmp_path: Path) -> None:
    from bench.store import StoreError

    make_run(tmp_path / "run", *JOBS)
    with pytest.raises(StoreError, match="already holds a run"):
        make_run(tmp_path / "run", *JOBS)


def test_a_page_that_fails_costs_the_page_and_never_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_job("first", {"one": ["steady"]})
    second = replace(make_job("second", {"two": ["steady"]}), stage="next")
    here = capture(threads=1, backend="tensorflow")
    manifest = {
        "run": "run",
        "profile": "smoke",
        "request": wire.plain(Request(threads=1)),
        "environment": wire.plain(here),
    }
    Store.create(tmp_path / "run", manifest, Plan(jobs=(first, second)))

    def fails(path: Path) -> None:
        raise session.ReportFailedError("no page today")

    monkeypatch.setattr(session, "write_report_apart", fails)
    run = session.Session(tmp_path / "run", lambda plan, jobs: Silent(), report=True)
    with pytest.warns(UserWarning, match="no page today"), pytest.raises(session.ReportFailedError):
        run.go_on()
    assert {m.subject for m in read_run(tmp_path / "run").measurements} == {"one", "two"}
    assert Store(tmp_path / "run").manifest["finished_at"]
