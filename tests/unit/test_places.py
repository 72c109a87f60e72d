"""Which node does a job: homes, packing, and what is left when a node is gone; no cluster needed."""

import threading
from dataclasses import replace

import pytest
from engine import make_job

from bench.environment import capture, identify
from bench.executors.places import Node, NoRoomError, Places, kind
from bench.executors.protocol import ExecutorError
from bench.schema import Environment, Job

GIB = 1 << 30
HERE = capture(threads=1, backend="tensorflow")


def environment(name: str, cpu: str = "one kind") -> Environment:
    named = replace(HERE, node=name, cpu=cpu)
    return replace(named, id=identify(named))


def node(name: str, *, cpu: str = "one kind", processors: int = 4, accelerators: int = 0) -> Node:
    return Node(
        key=f"key of {name}",
        name=name,
        environment=environment(name, cpu),
        processors=processors,
        memory_bytes=8 * GIB,
        accelerators=accelerators,
    )


def job(
    places: Places, name: str, framework: str = "torch", *, exclusive: bool = False, threads: int = 1
) -> Job:
    made = replace(make_job(name, {}), framework=framework, exclusive=exclusive, threads=threads)
    return replace(made, environment_id=places.environment_id(framework, exclusive), memory_limit=2 * GIB)


def taken(places: Places, *jobs: Job) -> list[str]:
    return [found.name if (found := places.take(one)) else "moved" for one in jobs]


def test_two_nodes_alike_are_two_environments_of_one_kind() -> None:
    assert environment("a").id != environment("b").id
    assert kind(environment("a")) == kind(replace(environment("b"), memory_bytes=7, os="Linux 9"))
    assert kind(environment("a")) != kind(environment("a", "another"))
    newer = {**HERE.versions, "torch": "99"}
    assert kind(environment("a")) != kind(replace(environment("a"), versions=newer))


def test_without_a_cluster_an_environment_is_called_as_it_always_was() -> None:
    assert identify(HERE) == HERE.id and HERE.node is None
    assert identify(replace(HERE, node="a")) != HERE.id


def test_each_framework_measures_on_a_home_of_its_own_and_stays_there() -> None:
    places = Places([node("b"), node("a"), node("c")])
    for _ in range(3):
        torch, keras = (job(places, "time", name, exclusive=True) for name in ("torch", "keras"))
        homes = taken(places, torch, keras)
        assert homes == ["a", "b"]
        for one, name in zip((torch, keras), homes, strict=True):
            places.free(one, node(name))
    assert places.environment_id("", exclusive=False) == environment("a").id


def test_trainings_are_spread_and_filed_under_the_home() -> None:
    places = Places([node("a"), node("b")])
    jobs = [job(places, str(number)) for number in range(6)]
    assert {one.environment_id for one in jobs} == {environment("a").id}
    assert taken(places, *jobs) == ["a", "b"] * 3


def test_packing_goes_by_threads_and_by_memory() -> None:
    places = Places([node("a", processors=4)])
    by_threads = [job(places, str(number), threads=2) for number in range(9)]
    assert places.at_once(by_threads) == 2
    by_memory = [job(places, str(number), threads=1) for number in range(9)]
    assert places.at_once([replace(one, memory_limit=4 * GIB) for one in by_memory]) == 2
    greedy = [replace(one, memory_limit=99 * GIB) for one in by_memory]
    assert places.at_once(greedy) == 1, "a limit beyond the node's memory takes all of it"


def test_a_job_waits_until_there_is_room() -> None:
    places = Places([node("a", processors=2)])
    first, second = job(places, "first", threads=2), job(places, "second", threads=1)
    assert taken(places, first) == ["a"]
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.extend(taken(places, second)))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive() and not got
    places.free(first, node("a"))
    waiting.join(10)
    assert got == ["a"]


def test_an_exclusive_job_waits_for_an_empty_node_and_keeps_it_empty() -> None:
    places = Places([node("a"), node("b", cpu="another")])
    small, alone = job(places, "small"), job(places, "alone", exclusive=True)
    assert taken(places, small) == ["a"]
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.extend(taken(places, alone)))
    waiting.start()
    waiting.join(0.2)
    assert not got
    places.free(small, node("a"))
    waiting.join(10)
    assert got == ["a"]
    later = threading.Thread(target=lambda: got.extend(taken(places, small)))
    later.start()
    later.join(0.2)
    assert got == ["a"], "nothing runs beside it, and the other kind of node is not taken for its like"
    places.free(alone, node("a"))
    later.join(10)
    assert got == ["a", "a"]


def test_the_kind_of_node_that_there_is_most_of_is_home() -> None:
    places = Places([node("a", cpu="odd"), node("b"), node("c")])
    jobs = [job(places, str(number)) for number in range(4)]
    assert taken(places, *jobs) == ["b", "c", "b", "c"]


def test_a_lost_home_moves_and_scores_of_its_kind_stay_where_they_were_filed() -> None:
    places = Places([node("a"), node("b")])
    alone, training = job(places, "alone", exclusive=True), job(places, "training")
    places.lost("key of a")
    assert taken(places, alone) == ["moved"]
    assert places.environment_id("torch", exclusive=True) == environment("b").id
    assert places.environment_id("torch", exclusive=False) == environment("a").id
    assert taken(places, training) == ["b"]


def test_scores_of_another_kind_are_filed_anew() -> None:
    places = Places([node("a", processors=8), node("b", cpu="another")])
    training = job(places, "training")
    places.lost("key of a")
    assert taken(places, training) == ["moved"]
    assert places.environment_id("torch", exclusive=False) == environment("b", "another").id


def test_a_job_avoids_the_node_that_it_was_lost_on_unless_there_is_no_other() -> None:
    places = Places([node("a"), node("b")])
    training = job(places, "training")
    found = places.take(training, avoiding={"key of a"})
    assert found is not None and found.name == "b"
    places.lost("key of b")
    found = places.take(training, avoiding={"key of a"})
    assert found is not None and found.name == "a"


def test_a_run_that_is_gone_on_with_finds_its_homes_again() -> None:
    known = {one.id: one for one in (environment("a"), environment("b"))}
    places = Places([node("a"), node("b")])
    measured = [("torch", True, environment("b").id), ("keras", True, environment("a").id)]
    places.remember(known, [*measured, ("torch", False, environment("b").id)])
    assert places.environment_id("torch", exclusive=True) == environment("b").id
    assert places.environment_id("keras", exclusive=True) == environment("a").id
    # Its nodes are gone: the same kind is home to the scores, and timings are another environment's.
    places = Places([node("c")])
    places.remember(known, [*measured, ("torch", False, environment("b").id)])
    assert places.environment_id("torch", exclusive=True) == environment("c").id
    assert places.environment_id("torch", exclusive=False) == environment("b").id


def test_what_no_node_can_hold_is_refused_with_the_reason() -> None:
    places = Places([node("a", processors=2)])
    with pytest.raises(NoRoomError, match="8 threads"):
        places.take(job(places, "wide", threads=8))
    with pytest.raises(NoRoomError, match="an accelerator"):
        places.take(replace(job(places, "alone", exclusive=True), device="cuda"))


def test_without_a_node_nothing_can_go_on() -> None:
    places = Places([node("a")])
    training = job(places, "training")
    places.lost("key of a")
    with pytest.raises(ExecutorError, match="no node"):
        places.take(training)
    with pytest.raises(ExecutorError, match="no node"):
        places.environment_id("torch", exclusive=True)
