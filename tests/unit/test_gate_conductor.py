"""Turns of the gate: balanced on paper, kept in real processes, and ended when a worker is gone."""

import random
from pathlib import Path

import pytest
from gated import HERE

import bench
from bench.gate.asking import Told
from bench.gate.conductor import Conductor, cores_of, schedule, sizes
from bench.gate.sides import SIDES, Side
from bench.schema import Arm, Environment, Job, Step
from suites.turns import timed
from suites.workloads import Work

ENVIRONMENT = Environment(
    id="here",
    os="",
    cpu="",
    cores=1,
    threads=1,
    memory_bytes=1,
    accelerator=None,
    governor=None,
    container_cpu_limit=None,
    container_memory_bytes=None,
    versions={},
    commit=None,
    dirty=None,
    power_source=None,
    country=None,
)
ENGINE = str(Path(bench.__file__).parent.parent)


def side(name: str, folder: Path, **seconds: float) -> Side:
    """A side whose variants take so many seconds, as its modules say."""
    folder.mkdir()
    for variant, value in seconds.items():
        text = f"class attend:\n    seconds = {value}\n"
        (folder / f"{variant}.py").write_text(text)
    told = Told(variants=(), architectures=(), environment=ENVIRONMENT, engine="", ours="")
    return Side(name=name, title=name, python="", engine=ENGINE, folders=(str(folder),), tree="", told=told)


def job(*variants: str, launch: int = 0) -> Job:
    arms = tuple(Arm(implementation=f"{v}@torch", role="candidate", target=f"{v}:attend") for v in variants)
    steps = tuple(Step(key=key, subject=key, arms=arms, seconds=0.001) for key in ("one", "two"))
    return Job(
        id=f"throughput/{launch}",
        run="run",
        suite="throughput",
        target="",
        framework="torch",
        launch=launch,
        steps=steps,
        environment_id="here",
        device="cpu",
        threads=1,
        time_limit=60.0,
        memory_limit=2 << 30,
        exclusive=True,
        metric="seconds",
        unit="s",
    )


def conducted(tmp_path: Path, baseline: dict[str, float], candidate: dict[str, float]):
    sides = {"baseline": side("baseline", tmp_path / "0", **baseline)}
    sides["candidate"] = side("candidate", tmp_path / "1", **candidate)
    conductor = Conductor(sides, random.Random(0), turns=f"{HERE}:turns")
    work = job(*baseline)
    return conductor.launch({"baseline": work, "candidate": work})


def test_every_block_has_each_arm_once_and_in_every_two_either_side_goes_first() -> None:
    turns = list(schedule(["a", "b", "c"], 8, random.Random(1)))
    blocks = [turns[start : start + 3] for start in range(0, 24, 3)]
    assert all(sorted(arm for arm, _ in block) == ["a", "b", "c"] for block in blocks)
    assert len({tuple(arm for arm, _ in block) for block in blocks}) > 2
    for arm in "abc":
        firsts = [order[0] for name, order in turns if name == arm]
        assert all(set(firsts[start : start + 2]) == set(SIDES) for start in range(0, 8, 2))
    assert all(set(order) == set(SIDES) for _, order in turns)


def test_an_odd_number_of_blocks_cannot_be_balanced() -> None:
    with pytest.raises(ValueError, match="cannot be balanced"):
        list(schedule(["a"], 7, random.Random(0)))


def test_short_calls_are_timed_several_at_once_and_blocks_are_even() -> None:
    assert sizes({"a": 0.0001, "b": 0.0002}, 0.1) == (5, 134)
    assert sizes({"a": 10.0}, 0.1) == (1, 4)


def test_a_launch_is_pinned_to_as_many_cores_as_threads_and_the_next_to_others() -> None:
    assert cores_of(0, 1, [0, 1, 5]) == {0}
    assert cores_of(1, 1, [0, 1, 5]) == {1}
    assert cores_of(2, 2, [0, 1, 5]) == {5, 0}
    assert cores_of(0, 3, [0, 1, 5]) == set()


def test_a_turn_makes_one_call_before_its_clock_starts() -> None:
    told: list[str] = []
    ticks = iter((10.0, 16.0))

    def clock() -> float:
        told.append("clock")
        return next(ticks)

    work = Work(None, lambda: told.append("call"), 0.0)
    assert timed(work, 3, lambda: told.append("wait"), clock) == 2.0
    assert told == ["call", "wait", "clock", "call", "call", "call", "wait", "clock"]


def test_two_workers_take_turns_and_pair_their_values(tmp_path: Path) -> None:
    found = conducted(tmp_path, {"a": 0.001, "b": 0.002}, {"a": 0.003, "b": 0.002})
    assert found.cut is None
    assert {outcome.ending for outcome in found.outcomes.values()} == {"done"}
    for step in ("one", "two"):
        rows = {s: {m.implementation: m for m in found.answers[s][step]} for s in SIDES}
        assert len(rows["baseline"]["a@torch"].values) == len(rows["candidate"]["a@torch"].values) >= 4
        assert rows["candidate"]["a@torch"].values[0] == pytest.approx(0.003, rel=0.1)
        assert [rows[s]["a@torch"].details["side"] for s in SIDES] == ["0", "1"]


def test_an_arm_that_fails_on_one_side_is_dropped_on_both(tmp_path: Path) -> None:
    found = conducted(tmp_path, {"a": 0.001, "b": 0.002}, {"a": 1000.0, "b": 0.002})
    told = {s: {m.implementation: m.status for m in found.answers[s]["one"]} for s in SIDES}
    assert told == {"baseline": {"b@torch": "ok"}, "candidate": {"a@torch": "failed", "b@torch": "ok"}}


def test_a_worker_that_is_gone_ends_the_other_and_is_named(tmp_path: Path) -> None:
    found = conducted(tmp_path, {"a": 0.001, "b": 0.002}, {"a": 0.001, "b": -1.0})
    assert found.cut == "candidate"
    outcome = found.outcomes["candidate"]
    assert (outcome.step, outcome.arm, outcome.code) == (0, 1, 7)
    assert found.outcomes["baseline"].ending == "stopped"


def test_a_worker_that_cannot_start_is_named(tmp_path: Path) -> None:
    sides = {"baseline": side("baseline", tmp_path / "0"), "candidate": side("candidate", tmp_path / "1")}
    conductor = Conductor(sides, random.Random(0), turns="nowhere:turns")
    found = conductor.launch({"baseline": job("a"), "candidate": job("a")})
    assert found.cut in SIDES
    assert "there is no module 'nowhere'" in found.outcomes[found.cut].tail
