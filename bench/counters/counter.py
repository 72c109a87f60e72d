"""What an energy counter is, whatever it is read from, and what is said of one that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from bench.schema import Method

Component: TypeAlias = Literal["processor", "accelerator", "memory"]


class CounterError(Exception):
    """Why a counter's figure cannot be believed or had; the message is a reason for a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One thing that is metered.

    Attributes:
        name: ``"package-0"``, ``"package-0-die-1"``, ``"dram-0"``, ``"gpu-0"``; unique among those found.
        component: What it is part of. Memory is told apart and never added to the processor.
        tool: ``"RAPL (powercap)"``, ``"NVML total energy"``, ``"NVML power, sampled"``; one that reads
            a recorded tree says ``"replayed"``.
        method: ``"measured"`` by a counter of energy, or ``"sampled"`` as power at intervals.
    """

    name: str
    component: Component
    tool: str
    method: Method


class Counter(Protocol):
    """Energy since it was first asked: however long that is after opening, nothing is lost by then. `joules`
    may be called from several threads.

    Attributes:
        domain: What it meters.
        update_seconds: How often it moves, as seen when it was opened.
        quantum_joules: The typical step between two updates, as seen when it was opened.
        safe_seconds: It must be read at least this often, or it refuses to say what it missed: the time in
            which the most power plausible would fill half its range; for sampled power the longest gap
            between two samples. `bench.counters.Reader` sees to it.
    """

    @property
    def domain(self) -> Domain: ...
    @property
    def update_seconds(self) -> float: ...
    @property
    def quantum_joules(self) -> float: ...
    @property
    def safe_seconds(self) -> float: ...

    def joules(self) -> float:
        """Joules since the first call, which answers 0, across wraps.

        Raises CounterError where it cannot be read now, which costs nothing if the next reading is in
        time; and where energy was lost (it went back, jumped, stood still, was not read in time), which
        it says from then on: open counters anew to go on.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A counter that is not used and why. `advice` is the exact command that would allow it, or says what
    it would take where no command can."""

    subject: str
    reason: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Counters that work, each energy once, and the refusals of those that do not."""

    counters: tuple[Counter, ...]
    refusals: tuple[Refusal, ...]
