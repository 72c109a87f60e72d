"""Where an implementation meets the end of memory or patience, longer work of the same kind is not tried."""

from __future__ import annotations

from bench.schema import Measurement, Step

ENDING_CAUSES = ("memory", "time")


def limit_reached(row: Measurement, step: Step) -> str:
    """Why the step need not be tried after the failed `row` of the same implementation; empty if it may.

    The same architecture and phase at a shorter length must have ended by memory or time.
    """
    if step.workload is None or row.status != "failed" or row.details.get("cause") not in ENDING_CAUSES:
        return ""
    same = all(row.details.get(name) == getattr(step.workload, name) for name in ("architecture", "phase"))
    length = int(row.details.get("key_length", "0"))
    if not same or length >= step.workload.key_length:
        return ""
    return f"not tried: this work ended at length {length} ({row.reason.splitlines()[0]})"
