"""Jobs carried to a real Ray cluster of two nodes on this machine, one of which is killed."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from engine import TASK, carry_on, make_job, make_run

from bench.executors.protocol import opened
from bench.run import StoppedError
from bench.schema import Job
from bench.store import MEASUREMENTS, read_run

cluster_utils = pytest.importorskip("ray.cluster_utils", reason="pip install 'attnbench[ray]'")
pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and log files to the end of the process.
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
    ),
]

LOGGED = Path(__file__).parent.parent / "standin" / "logged.py"
SETTINGS = {"include_dashboard": False, "object_store_memory": 100 << 20, "memory": 2 << 30}


class TwoNodes:
    """`one`, the head, and `two`, each of two processors; `two` can be killed."""

    def __init__(self) -> None:
        self._cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=_node("one"))
        self._two = self._cluster.add_node(**_node("two"))
        self.address: str = self._cluster.address

    def kill_two(self) -> None:
        self._cluster.remove_node(self._two, allow_graceful=False)

    def shutdown(self) -> None:
        self._cluster.shutdown()


def _node(name: str) -> dict[str, Any]:
    return {
        "num_cpus": 2,
        "node_name": name,
        "env_vars": {"ATTNBENCH_MACHINE": name, "OMP_NUM_THREADS": "7", "OMP_PROC_BIND": "true"},
        **SETTINGS,
    }


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoNodes]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    nodes = TwoNodes()
    yield nodes
    nodes.shutdown()


def logged_job(log: Path, name: str, framework: str, subjects: list[str], **changes: Any) -> Job:
    job = make_job(name, {subject: ["steady"] for subject in subjects})
    steps = tuple(
        replace(step, arms=tuple(replace(arm, implementation=f"steady@{framework}") for arm in step.arms))
        for step in job.steps
    )
    changed = {"environment": {"STANDIN_LOG": str(log)}, "memory_limit": 500 << 20, **changes}
    return replace(job, target=f"{LOGGED}:measure", framework=framework, steps=steps, **changed)


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def spans(log: Path) -> list[tuple[str, bool, float, float]]:
    """Machine, exclusive, begun and ended of every step that came to its end."""
    begun: dict[tuple[str, str], float] = {}
    found = []
    for line in lines(log):
        key = (line["job"], line["step"])
        if line["what"] == "begun":
            begun[key] = line["when"]
        else:
            found.append((line["machine"], line["exclusive"], begun[key], line["when"]))
    return found


def when(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    def wait() -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def carry(path: Path, cluster: TwoNodes) -> dict[str, str]:
    """Carry the run out; node names by environment."""
    with opened("ray", cluster.address) as executor:
        environments = executor.environments(1)
        carry_on(path, executor=executor, jobs=2)
    return {environment.id: str(environment.node) for environment in environments}


def test_two_nodes_measure_at_once_one_killed_costs_its_running_job_only(
    tmp_path: Path, cluster: TwoNodes
) -> None:
    log = tmp_path / "log"
    log.touch()
    jobs = [
        logged_job(log, f"{framework}/{launch}", framework, ["a/0.2", "b/1.5", "c/0.1"], launch=launch)
        for launch in range(3)
        for framework in ("torch", "keras")
    ]
    path = make_run(tmp_path / "run", *jobs)

    def keras_measures_its_second_launch() -> bool:
        return any(
            (line["job"], line["step"], line["what"]) == ("keras/1", "b/1.5", "begun") for line in lines(log)
        )

    killer = when(keras_measures_its_second_launch, cluster.kill_two)
    nodes = carry(path, cluster)
    killer.join()

    rows = read_run(path).measurements
    assert {m.status for m in rows} == {"ok"}
    assert len(rows) == len({(m.launch, m.implementation, m.subject) for m in rows}) == 18
    where = {(m.implementation, m.launch, m.subject): nodes[m.environment_id] for m in rows}
    assert {node for (name, _, _), node in where.items() if name == "steady@torch"} == {"one"}
    keras = {key[1:]: node for key, node in where.items() if key[0] == "steady@keras"}
    assert {keras[0, subject] for subject in ("a/0.2", "b/1.5", "c/0.1")} == {"two"}
    assert keras[1, "a/0.2"] == "two", "a finished step is kept"
    assert {keras[1, "b/1.5"], keras[1, "c/0.1"], keras[2, "a/0.2"]} == {"one"}
    begun = Counter((line["job"], line["step"]) for line in lines(log) if line["what"] == "begun")
    assert {key for key, times in begun.items() if times > 1} == {("keras/1", "b/1.5")}
    assert begun["keras/1", "b/1.5"] == 2


def test_a_timing_shares_its_node_with_nothing_and_trainings_share_theirs(
    tmp_path: Path, cluster: TwoNodes
) -> None:
    log = tmp_path / "log"
    measured = [
        logged_job(log, f"time/{framework}/{launch}", framework, ["a/0.4"], launch=launch)
        for launch in range(2)
        for framework in ("torch", "keras")
    ]
    trained = [
        replace(
            logged_job(log, f"train/{number}", "torch", ["together/4"]), exclusive=False, stage="trainings"
        )
        for number in range(4)
    ]
    path = make_run(tmp_path / "run", *measured, *trained)
    carry(path, cluster)
    # Four trainings of a thread each fit two nodes of two processors at once: each waited for the others.
    assert {m.status for m in read_run(path).measurements} == {"ok"}
    found = spans(log)
    for machine, exclusive, begun, ended in found:
        beside = [s for s in found if s[0] == machine and s[2] < ended and s[3] > begun]
        assert len(beside) == 1 if exclusive else len(beside) <= 2
    alone = [span for span in found if span[1]]
    assert {span[0] for span in alone} == {"one", "two"}
    for line in lines(log):
        assert line["niceness"] == os.getpriority(os.PRIO_PROCESS, 0)
        assert {name: text for name, text in line["foreign"].items() if not name.startswith("TF_NUM_")} == {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }


def test_trained_weights_are_carried_home_and_to_the_node_that_needs_them(
    tmp_path: Path, cluster: TwoNodes
) -> None:
    log = tmp_path / "log"
    jobs = []
    for launch in range(2):
        for number in range(3):
            job = logged_job(log, f"train/{launch}/{number}", "torch", ["a/0.7"], launch=launch)
            steps = tuple(
                replace(step, task=TASK, arms=(replace(step.arms[0], implementation=f"v{number}@torch"),))
                for step in job.steps
            )
            jobs.append(
                replace(job, exclusive=False, steps=steps, stage=f"seed {launch}", threads=1 + number % 2)
            )
    path = make_run(tmp_path / "run", *jobs)
    carry(path, cluster)
    kept = {file.name: file.read_text() for file in (path / "weights" / "digits").iterdir()}
    assert kept == {f"{launch}-v{n}@torch.json": f"trained {launch}" for launch in range(2) for n in range(3)}
    rows = [m for m in read_run(path).measurements if m.launch == 1]
    assert {line["machine"] for line in lines(log)} == {"one", "two"}
    for row in rows:
        assert {f"0-v{n}@torch.json=trained 0" for n in range(3)} <= set(row.details["found"].split(";"))


def test_a_worker_that_crashes_is_a_row_and_no_retry(tmp_path: Path, cluster: TwoNodes) -> None:
    job = make_job("job", {"one": ["steady", "segfaults", "steady"], "two": ["steady"]})
    path = make_run(tmp_path / "run", replace(job, memory_limit=500 << 20))
    carry(path, cluster)
    failed = [m for m in read_run(path).measurements if m.status == "failed"]
    assert [m.implementation for m in failed] == ["segfaults1@none"]
    assert "SIGSEGV" in failed[0].reason
    assert len((path / MEASUREMENTS).read_text().splitlines()) == 3


def test_stopping_leaves_no_worker_on_any_node(tmp_path: Path, cluster: TwoNodes) -> None:
    log = tmp_path / "log"
    log.touch()
    jobs = [logged_job(log, name, name, ["a/300"]) for name in ("torch", "keras")]
    path = make_run(tmp_path / "run", *jobs)
    with opened("ray", cluster.address) as executor:
        executor.environments(1)
        stopper = when(lambda: len(lines(log)) == 2, executor.stop)
        with pytest.raises(StoppedError):
            carry_on(path, executor=executor)
        stopper.join()
        deadline = time.monotonic() + 20
        while (alive := _workers(log)) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert not alive
    assert not read_run(path).measurements


def _workers(log: Path) -> list[int]:
    """Of the workers that this log belongs to, those that are alive."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("STANDIN_LOG") == str(log):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
