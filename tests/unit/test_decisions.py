"""Which work a later launch may leave out, on made-up timings."""

import random
from dataclasses import replace
from pathlib import Path

from engine import carry_on, make_job, make_run

from bench.decisions import decided
from bench.measuring import Bench
from bench.profiles import PROFILES
from bench.schema import Measurement, Workload
from bench.store import read_run

FULL = PROFILES["full"]
JOB = make_job("job", {"work": ["steady"]})


def timings(ratio: float, launches: int, scatter: float = 0.004) -> list[Measurement]:
    generator = random.Random(5)
    rows = []
    for launch in range(launches):
        shift = generator.gauss(1, scatter)
        for role, scale in (("reference", 1.0), ("candidate", ratio * shift)):
            values = tuple(scale * generator.gauss(1, 0.001) for _ in range(9))
            rows.append(
                Measurement(
                    run="run",
                    suite="standin",
                    metric="seconds",
                    unit="s",
                    implementation=f"{role}@none",
                    subject="work",
                    seed=0,
                    launch=launch,
                    method="measured",
                    tool="t",
                    environment_id="here",
                    started_at="now",
                    role=role,  # type: ignore[arg-type]
                    values=values,
                )
            )
    return rows


def is_decided(rows: list[Measurement], launch: int) -> bool:
    job = replace(JOB, launch=launch, framework="none")
    return decided(rows, job, job.steps[0], FULL)


def test_a_tenfold_difference_is_decided_at_half_of_the_launches_and_not_by_two() -> None:
    assert not is_decided(timings(10, 1), 1)
    assert not is_decided(timings(10, 2), 2)
    assert is_decided(timings(10, 4), 4)


def test_between_two_looks_nothing_is_decided() -> None:
    assert not is_decided(timings(10, 3), 3)
    assert not is_decided(timings(10, 5), 5)


def test_a_small_difference_goes_on_to_the_last_launch() -> None:
    assert not is_decided(timings(1.015, 2, scatter=0.02), 2)
    assert not is_decided(timings(1.015, 4, scatter=0.02), 4)


def test_what_stopped_at_an_earlier_look_stays_stopped() -> None:
    assert is_decided(timings(10, 4), 7)


def test_an_arm_that_failed_in_the_first_launch_is_not_run_into_the_ground_again(tmp_path: Path) -> None:
    first = make_job("first", {"one": ["steady", "raises"]})
    second = replace(make_job("second", {"one": ["steady", "raises"]}, launch=1), stage="more")
    second = replace(
        second, steps=tuple(replace(step, workload=_work(step.subject)) for step in second.steps)
    )
    carry_on(make_run(tmp_path / "run", first, second))
    rows = read_run(tmp_path / "run").measurements
    launches = {(m.implementation, m.launch) for m in rows}
    assert launches == {("steady0@none", 0), ("raises1@none", 0), ("steady0@none", 1)}


def _work(name: str) -> Workload:
    return Workload(
        name=name,
        architecture="layer",
        phase="forward",
        batch=1,
        query_length=7,
        key_length=7,
        width=5,
        heads=1,
    )


def test_an_arm_that_ran_out_of_memory_is_not_tried_at_a_greater_length(tmp_path: Path) -> None:
    job = make_job("job", {"short": ["allocates"], "long": ["allocates"]})
    short, long = job.steps
    work = _work("short")
    steps = (
        replace(short, workload=work),
        replace(long, workload=replace(work, name="long", key_length=700)),
    )
    first, second = replace(job, steps=steps[:1]), replace(job, id="next", steps=steps[1:], stage="next")
    carry_on(make_run(tmp_path / "run", first, second))
    reasons = {m.subject: m.reason for m in read_run(tmp_path / "run").measurements}
    assert "out of memory" in reasons["short"]
    assert reasons["long"].startswith("not tried: this work ended at length 7 (out of memory")


def test_a_barred_implementation_gets_a_row_instead_of_a_measurement(tmp_path: Path) -> None:
    gate = replace(make_job("gate", {"gate": ["raises"]}), bars=True)
    later = replace(make_job("later", {"work": ["raises"]}), suite="other", stage="later")
    carry_on(make_run(tmp_path / "run", gate, later))
    reasons = {m.suite: m.reason for m in read_run(tmp_path / "run").measurements}
    assert reasons["other"].startswith("not measured, the certificate failed: ValueError: as asked")


def test_within_one_process_longer_work_is_not_tried_after_memory_ran_out() -> None:
    job = make_job("job", {"short": ["steady"], "long": ["steady"]})
    short, long = job.steps
    short = replace(short, workload=_work("short"))
    long = replace(long, workload=replace(_work("long"), key_length=700))
    bench = Bench(job, lambda step, arm: None, lambda: None)
    arm = short.arms[0]
    assert bench.beyond(long, arm) is None

    def fails() -> None:
        raise MemoryError("no more")

    bench.attempt(short, arm, fails)
    found = bench.beyond(long, arm)
    assert found is not None and found.reason.startswith("not tried: this work ended at length 7")
    assert bench.beyond(short, arm) is None
    assert bench.beyond(long, replace(arm, implementation="another@none")) is None


def test_launches_of_two_machines_are_two_comparisons_with_looks_of_their_own() -> None:
    """After a loss at launch 2 the other machine starts from nothing: four of its own are a look, two and
    two are none."""
    rows = [replace(row, environment_id="here" if row.launch >= 2 else "lost") for row in timings(10, 6)]
    assert not is_decided([row for row in rows if row.launch < 4], 4)
    assert is_decided(rows, 6)
