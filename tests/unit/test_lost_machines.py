"""A run whose machines come and go: a loss costs the running job, which is tried again once."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from engine import carry_on, make_job, make_run

from bench.executors.local import Local
from bench.launch import Ending, Outcome
from bench.schema import Job, Measurement, Workload
from bench.store import read_run
from bench.worker import Answer

JOB = make_job("job", {"one": ["steady", "steady"], "two": ["steady"]})


_NONE: Iterator[str] = iter(())


class Machines(Local):
    """Works here, but as told: each start of a job ends as the next of `endings` says, after so many steps,
    in the environment of its turn."""

    def __init__(self, endings: Sequence[tuple[Ending, int]], environments: Iterator[str] = _NONE) -> None:
        super().__init__()
        self._endings = list(endings)
        self._environments = environments
        self.starts: Counter[str] = Counter()
        self.asked: list[tuple[str, ...]] = []

    def environment_id(self, framework: str, exclusive: bool, planned: str) -> str:
        return next(self._environments, planned)

    def run(self, job: Job, on_answer: Callable[[Answer], None]) -> Outcome:
        self.starts[job.id] += 1
        self.asked.append(tuple(step.key for step in job.steps))
        if not self._endings:
            return super().run(job, on_answer)
        ending, steps = self._endings.pop(0)
        if steps:
            super().run(replace(job, steps=job.steps[:steps]), on_answer)
        return Outcome(ending=ending, code=0, step=-1, arm=-1, tail="node x: gone")


def rows(path: Path) -> tuple[Measurement, ...]:
    found = read_run(path).measurements
    keys = [(m.subject, m.implementation) for m in found]
    assert len(keys) == len(set(keys)), "a measurement was doubled"
    return found


def test_a_job_whose_machine_is_lost_is_tried_again_with_what_is_left(tmp_path: Path) -> None:
    machines = Machines([("lost", 1)], iter(["a", "b", "b"]))
    path = make_run(tmp_path / "run", JOB)
    carry_on(path, executor=machines)
    assert machines.asked == [("one", "two"), ("two",)]
    assert [(m.subject, m.environment_id, m.status) for m in rows(path)] == [
        ("one", "a", "ok"),
        ("one", "a", "ok"),
        ("two", "b", "ok"),
    ]


def test_a_second_loss_is_a_failure_of_what_is_left(tmp_path: Path) -> None:
    machines = Machines([("lost", 1), ("lost", 0)])
    path = make_run(tmp_path / "run", JOB, replace(JOB, id="after"))
    carry_on(path, executor=machines)
    assert machines.starts == {"job": 2, "after": 1}
    found = {(m.subject, m.implementation): m for m in read_run(path).measurements if m.status == "failed"}
    assert set(found) == {("two", "steady0@none")}
    failed = found["two", "steady0@none"]
    assert failed.details["cause"] == "machine"
    assert "lost, and another one after it" in failed.reason and "node x" in failed.reason


def test_a_job_that_was_not_started_because_its_place_was_gone_has_lost_nothing(tmp_path: Path) -> None:
    machines = Machines([("moved", 0), ("moved", 0), ("lost", 0)])
    path = make_run(tmp_path / "run", JOB)
    carry_on(path, executor=machines)
    assert {m.status for m in rows(path)} == {"ok"}


def test_a_job_that_no_machine_can_hold_is_not_tried_twice(tmp_path: Path) -> None:
    machines = Machines([("no_room", 0)])
    path = make_run(tmp_path / "run", JOB)
    carry_on(path, executor=machines)
    assert machines.starts == {"job": 1}
    assert {(m.status, m.reason.splitlines()[0]) for m in rows(path)} == {
        ("failed", "no machine of the cluster can hold it")
    }


def test_a_crash_of_the_jobs_own_worker_is_not_a_loss(tmp_path: Path) -> None:
    machines = Machines([])
    path = make_run(tmp_path / "run", make_job("job", {"one": ["exits", "steady"]}))
    carry_on(path, executor=machines)
    assert machines.starts == {"job": 2}, "once more without the arm that crashed"
    assert {m.implementation: m.status for m in rows(path)} == {"exits0@none": "failed", "steady1@none": "ok"}


def test_a_crash_on_one_machine_does_not_rule_the_arm_out_on_another(tmp_path: Path) -> None:
    """A step with a workload, since only those rule out later launches."""

    work = Workload(
        name="one",
        architecture="bare",
        phase="forward",
        batch=1,
        query_length=8,
        key_length=8,
        width=8,
        heads=1,
    )
    first = make_job("0", {"one": ["exits"]})
    jobs = [
        replace(first, id=str(launch), launch=launch, steps=(replace(first.steps[0], workload=work),))
        for launch in range(3)
    ]
    # The environment is asked for at each start and once more when nothing is left.
    machines = Machines([], iter(["a", "a", "a", "b", "b"]))
    path = make_run(tmp_path / "run", *jobs)
    carry_on(path, executor=machines)
    assert machines.starts == {"0": 1, "2": 1}
    assert [(m.launch, m.environment_id) for m in read_run(path).measurements] == [(0, "a"), (2, "b")]
