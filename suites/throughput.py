"""Throughput: seconds a call of every arm of a workload, interleaved in one process.

The figures a report shows (items and tokens a second, percentiles, ratios, share of the machine's own
matrix-product speed, exponents) are all derived from the raw seconds kept here.
"""

from __future__ import annotations

import gc
import random
import time
from dataclasses import dataclass, replace
from functools import partial

from bench.interleave import Timings, WarmUp, interleave, warm_up
from bench.measuring import Bench, arm_key
from bench.schema import Arm, Measurement, Step
from suites.framework import Framework
from suites.workloads import Work, build_model, made_up_inputs, prepare

MATRIX_SIZE = 1024
MATRIX_SECONDS = 0.4


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """All arms of the step: timings, and in the first launch what they count."""
    if step.workload is None:
        return _machine_speed(step, bench)
    if step.workload.phase == "training_run":
        return [row for arm in _shuffled(step) for row in _whole_training(step, arm, bench)]
    return _interleaved(step, bench)


def _shuffled(step: Step) -> list[Arm]:
    return random.Random(step.seed).sample(list(step.arms), len(step.arms))


def _machine_speed(step: Step, bench: Bench) -> list[Measurement]:
    """Floating-point operations a second of a square float32 matrix product, in this very process."""
    (arm,) = step.arms
    framework: Framework = bench.framework
    call, operations = framework.matrix_product(MATRIX_SIZE, "float32")
    warm = {
        "": warm_up(
            call, call_limit=step.call_limit, patience=MATRIX_SECONDS, synchronise=framework.synchronise
        )
    }
    timings = interleave(
        {"": call},
        warm,
        seconds=MATRIX_SECONDS,
        generator=random.Random(0),
        synchronise=framework.synchronise,
    )
    speeds = [operations / seconds for seconds in timings.seconds[""]]
    details = {"matrix_size": str(MATRIX_SIZE), "dtype": "float32"}
    return [
        bench.measurement(
            step, arm, metric="gemm_flops", unit="FLOP/s", values=speeds, tool=framework.tool, details=details
        )
    ]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The arms of a step that can be timed, by their `arm_key`, and the rows of those that cannot."""

    ready: dict[str, Work]
    warm: dict[str, WarmUp]
    rows: list[Measurement]


def prepared(step: Step, bench: Bench) -> Prepared:
    """Every arm of the step built, called and warmed up."""
    found = Prepared({}, {}, [])
    framework: Framework = bench.framework
    for arm in step.arms:
        if (unreachable := bench.beyond(step, arm)) is not None:
            found.rows.append(unreachable)
            continue
        work, failed = bench.attempt(step, arm, partial(prepare, step, arm, bench))
        if work is not None:
            settled, failed = bench.attempt(step, arm, partial(_settle, step, work, framework))
            if settled is not None:
                found.ready[arm_key(arm)], found.warm[arm_key(arm)] = work, settled
        found.rows.extend([failed] if failed else [])
    gc.collect()
    return found


def _interleaved(step: Step, bench: Bench) -> list[Measurement]:
    arms = {arm_key(arm): arm for arm in step.arms}
    found = prepared(step, bench)
    ready, warm, rows = found.ready, found.warm, found.rows
    while ready:
        timings, failed = bench.attempt(
            step, arms[next(iter(ready))], lambda: _time(step, bench, ready, warm)
        )
        if timings is not None:
            rows.extend(_rows(step, bench, arms, ready, warm, timings))
            break
        assert failed is not None
        del ready[f"{failed.implementation} {failed.role}"]
        rows.append(failed)
    return rows


def _settle(step: Step, work: Work, framework: Framework) -> WarmUp:
    return warm_up(
        work.call,
        call_limit=step.call_limit,
        patience=2 * step.seconds,
        first=work.first_call_seconds,
        synchronise=framework.synchronise,
    )


def _time(step: Step, bench: Bench, ready: dict[str, Work], warm: dict[str, WarmUp]) -> Timings:
    return interleave(
        {key: work.call for key, work in ready.items()},
        warm,
        seconds=step.seconds * len(ready),
        generator=random.Random(step.seed),
        synchronise=bench.framework.synchronise,
        on_turn=bench.turns(step),
    )


def _rows(
    step: Step,
    bench: Bench,
    arms: dict[str, Arm],
    ready: dict[str, Work],
    warm: dict[str, WarmUp],
    timings: Timings,
) -> list[Measurement]:
    tool = bench.framework.tool
    rows: list[Measurement] = []
    for key, work in ready.items():
        arm, details = (
            arms[key],
            {"calls_per_value": str(timings.calls_per_value), "settled": str(warm[key].settled)},
        )
        rows.append(
            bench.measurement(
                step,
                arm,
                metric="seconds",
                unit="s",
                values=timings.seconds[key],
                tool=tool,
                warmups=warm[key].calls,
                details=details,
            )
        )
        if bench.job.launch == 0 and arm.role != "control":
            rows.extend(_counted(step, bench, arm, work))
    harness = Arm(implementation=f"harness@{bench.job.framework}", role="yardstick", target="")
    rows.append(
        bench.measurement(
            step,
            harness,
            metric="harness_overhead",
            unit="fraction",
            values=[timings.overhead],
            tool="attnbench",
        )
    )
    return rows


def _counted(step: Step, bench: Bench, arm: Arm, work: Work) -> list[Measurement]:
    """Once an implementation: the first call's time, parameters, decoding state and operations of a call."""
    framework: Framework = bench.framework
    told = [
        ("first_call", "s", work.first_call_seconds),
        ("parameters", "count", framework.parameters(work.model)),
    ]
    if work.state_bytes is not None:
        told.append(("state_bytes", "B", work.state_bytes))
    rows = [
        bench.measurement(step, arm, metric=metric, unit=unit, values=[value], tool=framework.tool)
        for metric, unit, value in told
    ]
    return [*rows, _operations(step, bench, arm, work)]


def _operations(step: Step, bench: Bench, arm: Arm, work: Work) -> Measurement:
    framework: Framework = bench.framework
    counted, failed, reason = None, None, f"{framework.name} has no operation counter for this call"
    if step.workload is not None and step.workload.compiled:
        # Torch stops compiling, for good and in silence, what it is asked to run under a counter.
        reason = "not counted where it is compiled: see the same work without"
    else:
        counted, failed = bench.attempt(step, arm, lambda: framework.operations(work.call))
    if counted:
        return bench.measurement(
            step,
            arm,
            metric="operations",
            unit="count",
            values=[counted],
            method="modelled",
            tool="operation counter on the written-out form",
        )
    return bench.measurement(
        step,
        arm,
        metric="operations",
        unit="count",
        tool=framework.tool,
        status="unsupported",
        reason=failed.reason if failed else reason,
    )


def _whole_training(step: Step, arm: Arm, bench: Bench) -> list[Measurement]:
    result, failed = bench.attempt(step, arm, lambda: _train_whole(step, arm, bench))
    if failed is not None:
        return [failed]
    assert result is not None
    return [
        bench.measurement(
            step, arm, metric="seconds", unit="s", values=[result], tool=bench.framework.tool, warmups=1
        )
    ]


def _train_whole(step: Step, arm: Arm, bench: Bench) -> float:
    """Seconds for the document's own training: so many epochs over noise in batches, the last one short."""
    workload = step.workload
    assert workload is not None
    framework: Framework = bench.framework
    samples, epochs = int(workload.settings["samples"]), int(workload.settings["epochs"])
    model = build_model(step, arm, bench)
    inputs, target = made_up_inputs(replace(workload, batch=samples), step.seed)
    starts = range(0, samples, workload.batch)
    batches = [
        (
            framework.arrays([values[start : start + workload.batch] for values in inputs], workload.dtype),
            framework.arrays([target[start : start + workload.batch]], workload.dtype)[0],
        )
        for start in starts
    ]
    update = framework.train_step(model, "mean_squared_error", 1e-3)
    framework.number(update(*batches[0]))
    begin = time.perf_counter()
    for _ in range(epochs):
        for batch, goal in batches:
            loss = update(batch, goal)
    framework.number(loss)
    return time.perf_counter() - begin
