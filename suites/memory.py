"""Memory: how far a call's peak rises above what stood before it, in a fresh process.

A child's `ru_maxrss` starts at its parent's, so the kernel's own high-water mark is used instead: reset
(`5` to `/proc/self/clear_refs`), run, VmHWM - VmRSS. The allocator is set, through the suite's
environment, to hand freed blocks back, so that a peak is not hidden in what an earlier call left behind;
never time anything under these settings. On an accelerator its own peak counters are read.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.measuring import Bench
from bench.schema import Arm, Measurement, Step
from suites.workloads import prepare

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
TOLERANCE = 0.1
SMALL_BYTES = 4 << 20


def _kilobytes(field: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise OSError(f"{STATUS} has no field {field}")


def peak_over_baseline(call: Callable[[], object]) -> int:
    """Bytes by which resident memory rose above its level before the call, at its highest.

    Raises NotImplementedError where the kernel keeps no resettable high-water mark.
    """
    if sys.platform != "linux":
        raise NotImplementedError(f"peak memory needs Linux's /proc/self/clear_refs; this is {sys.platform}")
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError as error:
        raise NotImplementedError(f"{CLEAR_REFS} cannot be written ({error.strerror})") from error
    before = _kilobytes("VmRSS")
    # Bound to a name, so that the answer lives to the end of the measurement for every implementation.
    answer = call()
    peak = _kilobytes("VmHWM")
    del answer
    return max(peak - before, 0) * 1024


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """The peak of one call after a throw-away one, and what the framework itself counted."""
    (arm,) = step.arms
    rows, failed = bench.attempt(step, arm, lambda: _measured(step, arm, bench))
    return [failed] if failed is not None else rows or []


def _measured(step: Step, arm: Arm, bench: Bench) -> list[Measurement]:
    work = prepare(step, arm, bench)
    counter: Any = _counter(bench)
    if bench.job.device != "cpu":
        allocated, reserved = counter.device_peak(work.call)
        details = {"reserved_bytes": str(reserved)}
        return [_row(step, arm, bench, allocated, f"{bench.framework.tool} allocator", details)]
    peak = peak_over_baseline(work.call)
    counted = counter.allocation_peak(work.call) if counter is not None else None
    if counted is None:
        return [_row(step, arm, bench, peak, "VmHWM - VmRSS", {})]
    return [
        _row(step, arm, bench, peak, "VmHWM - VmRSS", _disagreement(peak, counted)),
        bench.measurement(
            step,
            arm,
            metric="allocated_bytes",
            unit="B",
            values=[counted],
            tool=f"{bench.framework.tool} profiler",
        ),
    ]


def _counter(bench: Bench) -> Any:
    """The framework's own memory counters; only torch has them on every device."""
    if bench.framework.name != "torch":
        if bench.job.device != "cpu":
            raise NotImplementedError(
                f"no device memory counter for {bench.framework.name} on {bench.job.device}"
            )
        return None
    from suites import on_torch_memory

    return on_torch_memory


def _disagreement(peak: int, counted: int) -> dict[str, str]:
    """Both small, or within a tenth of each other: nothing to say."""
    if abs(peak - counted) <= max(TOLERANCE * max(peak, counted), SMALL_BYTES):
        return {"profiler": f"agrees: {counted} B"}
    return {"profiler": f"disagrees: the profiler counted {counted} B"}


def _row(step: Step, arm: Arm, bench: Bench, peak: int, tool: str, details: dict[str, str]) -> Measurement:
    if peak == 0:
        return bench.measurement(
            step,
            arm,
            metric="peak_bytes",
            unit="B",
            tool=tool,
            status="below_resolution",
            reason="the call raised resident memory by less than one page",
            details=details,
        )
    return bench.measurement(
        step, arm, metric="peak_bytes", unit="B", values=[peak], tool=tool, warmups=1, details=details
    )
