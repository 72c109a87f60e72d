"""What a meter of energy is: it tells joules or raises `MeterError`, and never tells 0 for a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from bench.counters import Component
from bench.measuring import Finding
from bench.schema import Method

# The headline: memory is told apart, as it is metered worst, and where it is guessed it is a constant.
HEADLINE: tuple[Component, ...] = ("processor", "accelerator")


class MeterError(Finding):
    """Why a meter's figure cannot be had or believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainty:
    """The true energy lies between `low` and `high` times what is told, by the published `basis`; None where
    nobody has published how far the method is off, which `basis` then says."""

    low: float | None
    high: float | None
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One component as a meter sees it.

    Attributes:
        component: What is metered.
        method: How, the weakest where several domains make it up.
        tool: What tells it, by name and version.
        certainty: How far the method may be off.
        model: The formula and its constants, where energy is not measured.
        update_seconds: How often the slowest counter moves; 0 where nothing ticks.
        quantum_joules: The largest step of a counter; 0 where nothing ticks.
    """

    component: Component
    method: Method
    tool: str
    certainty: Certainty
    model: str = ""
    update_seconds: float = 0.0
    quantum_joules: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Joules of each component in a window, and how often the counter that moved least has moved; nothing
    there where nothing ticks."""

    joules: Mapping[Component, float]
    ticks: Mapping[Component, float] = field(default_factory=dict)

    @property
    def headline(self) -> float:
        """Joules of processor and accelerator."""
        return sum(self.joules.get(component, 0.0) for component in HEADLINE)

    @property
    def fewest_ticks(self) -> float | None:
        """Of the headline's counters; None where none of them ticks."""
        return min((self.ticks[one] for one in HEADLINE if one in self.ticks), default=None)


class Meter(Protocol):
    """Meters one window at a time, while it is entered."""

    @property
    def parts(self) -> tuple[Part, ...]: ...

    def begin(self) -> None:
        """A window begins; raises MeterError."""

    def end(self) -> Reading:
        """The energy since `begin`; raises MeterError."""

    def __enter__(self) -> Meter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Meters:
    """Several meters, each of other components, as one."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = tuple(meters)
        self.parts = tuple(part for meter in self._meters for part in meter.parts)
        self._stack = ExitStack()

    def begin(self) -> None:
        """Begin all."""
        for meter in self._meters:
            meter.begin()

    def end(self) -> Reading:
        """End all, those that began last first, and put together what they tell."""
        readings = [meter.end() for meter in reversed(self._meters)]
        return Reading(
            joules={name: value for reading in readings for name, value in reading.joules.items()},
            ticks={name: value for reading in readings for name, value in reading.ticks.items()},
        )

    def __enter__(self) -> Meters:
        with ExitStack() as stack:
            for meter in self._meters:
                stack.enter_context(meter)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
