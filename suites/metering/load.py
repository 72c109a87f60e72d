"""Who else uses the processor: what a window's energy must not be blamed for."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Processor seconds so far: of the whole machine, and of this process with its ended children."""

    machine: float
    own: float


def busy() -> Busy:
    """As the kernel has counted it, to a hundredth of a second. Time that a hypervisor gave to others counts
    as theirs; waiting for a disk counts as idle."""
    times = psutil.cpu_times()
    # A guest's time stands in user and nice already.
    twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    ours = os.times()
    own = ours.user + ours.system + ours.children_user + ours.children_system
    return Busy(machine=sum(times) - twice - idle, own=own)


def outside_load(before: Busy, after: Busy, seconds: float, cores: int) -> float:
    """Processor time of others between two looks, as a fraction of all cores; never below 0, which rounding
    of the two counts could make it."""
    others = (after.machine - before.machine) - (after.own - before.own)
    return max(others, 0.0) / (seconds * cores)


def count_cores() -> int:
    """Logical processors of the machine, those that others may use included."""
    return psutil.cpu_count() or 1
