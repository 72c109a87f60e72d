"""Energy: joules a call of every arm of a workload, metered in windows that are interleaved in one process.

The workloads are those of the throughput suite, and each row has the time a call in the very same windows.
What energy is made of (processor, accelerator; memory apart) and how it is known stands in each row: where
no counter can be read it is modelled from time and load, and then says nothing that time does not.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING

from bench.interleave import warm_up
from bench.measuring import arm_key
from bench.schema import Arm, Measurement, Step
from suites.framework import Framework
from suites.metering.arms import Ready, in_windows
from suites.metering.windows import Unit
from suites.workloads import prepare

if TYPE_CHECKING:
    from bench.measuring import Bench

WARM_SECONDS = 1.0


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """All arms of the step: joules a call, gross and net of idle, and time a call in the same windows."""
    if step.workload is None:
        raise ValueError(f"the energy suite measures workloads; step {step.key!r} has none")
    rows: list[Measurement] = []
    ready: dict[str, Ready] = {}
    for arm in step.arms:
        if (unreachable := bench.beyond(step, arm)) is not None:
            rows.append(unreachable)
            continue
        one, failed = bench.attempt(step, arm, partial(_ready, step, arm, bench))
        rows.extend([failed] if failed is not None else [])
        if one is not None:
            ready[arm_key(arm)] = one
    gc.collect()
    return [*rows, *in_windows(step, bench, list(ready.values()))]


def _ready(step: Step, arm: Arm, bench: Bench) -> Ready:
    framework: Framework = bench.framework
    work = prepare(step, arm, bench)
    warm = warm_up(
        work.call,
        call_limit=step.call_limit,
        patience=WARM_SECONDS,
        first=work.first_call_seconds,
        synchronise=framework.synchronise,
    )
    return Ready(arm=arm, unit=Unit(call=work.call, seconds=warm.seconds))
