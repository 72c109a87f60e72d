"""Time of one side of the gate: the work of `suites.throughput`, called only when it is this side's turn.

Two workers, one a side, live at the same time; `bench.gate.conductor` gives turns, and the other one
sleeps in a read meanwhile. A turn makes one call that is not timed, because the first call after a switch
of processes is about 3.5% slow, and then times the calls it was asked for as one value. Both workers are
pinned to the same cores, and neither measures while the other prepares.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from bench.gate.line import Line, open_line
from bench.interleave import undisturbed
from bench.measuring import Bench, arm_key
from bench.schema import Measurement, Step
from suites.framework import Framework
from suites.throughput import Prepared, prepared
from suites.workloads import Work


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """One side's seconds a call of every arm, value i of each taken in block i of both sides."""
    line = open_line()
    _pin(line)
    line.await_order("prepare", bench.alive)
    found = prepared(step, bench)
    line.tell(ready={key: found.warm[key].seconds for key in found.ready})
    arms = {arm_key(arm): arm for arm in step.arms}
    taken: dict[str, list[float]] = {key: [] for key in found.ready}
    calls = 1
    turn_of = bench.turns(step)
    with undisturbed():
        while (order := line.order(bench.alive))["do"] != "end":
            key = order["arm"]
            if order["do"] == "drop":
                found.ready.pop(key, None)
                continue
            turn_of(key)
            calls = order["calls"]
            seconds, failed = _turn(step, bench, found, key, calls)
            if failed is not None:
                del found.ready[key]
                found.rows.append(failed)
                line.tell(failed=failed.reason)
                continue
            assert seconds is not None
            taken[key].append(seconds)
            line.tell(seconds=seconds)
    bench.working_on(step, None)
    rows = [
        bench.measurement(
            step,
            arms[key],
            metric="seconds",
            unit="s",
            values=values,
            tool=bench.framework.tool,
            warmups=found.warm[key].calls,
            details={
                "calls_per_value": str(calls),
                "settled": str(found.warm[key].settled),
                "side": line.side,
            },
        )
        for key, values in taken.items()
        if key in found.ready and values
    ]
    return [*found.rows, *rows]


def _turn(
    step: Step, bench: Bench, found: Prepared, key: str, calls: int
) -> tuple[float | None, Measurement | None]:
    """Seconds a call, or the row that says why there are none.

    `Bench.attempt` is gone round where all is well: it writes to the parent, which would wake at every turn.
    """
    framework: Framework = bench.framework
    try:
        return timed(found.ready[key], calls, framework.synchronise), None
    except Exception as error:  # noqa: BLE001  a target's code may raise anything: it becomes a row, below
        raised = error
    arm = next(arm for arm in step.arms if arm_key(arm) == key)

    def again() -> Any:
        raise raised

    _, failed = bench.attempt(step, arm, again)
    return None, failed


def timed(
    work: Work,
    calls: int,
    synchronise: Callable[[], None],
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Mean seconds of `calls` calls that come right after one that is not timed."""
    work.call()
    synchronise()
    start = clock()
    for _ in range(calls):
        work.call()
    synchronise()
    return (clock() - start) / calls


def _pin(line: Line) -> None:
    """Keep this process, and the threads that a framework starts from now on, on the cores it was given."""
    if line.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, line.cores)
