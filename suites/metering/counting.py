"""A meter over energy counters (`bench.counters`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from bench.counters import Component, Counter, CounterError, Reader
from bench.tiers import weakest
from suites.metering.certainty import of_counter
from suites.metering.meter import MeterError, Part, Reading


class CounterMeter:
    """Energy of all counters given, added up by component; a thread reads them so that none wraps unseen.

    RAPL and NVML move by the clock, by as much as was drawn since: how finely a window was seen is how often
    a counter moved in it, whatever the power was when its pace was watched.

    Raises ValueError where there is no counter.
    """

    def __init__(
        self, counters: Sequence[Counter], *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        if not counters:
            raise ValueError("a meter needs at least one counter")
        self._clock = clock
        self._began = 0.0
        self._counters = tuple(counters)
        self._reader = Reader(self._counters)
        self._before: tuple[float, ...] = ()
        components = dict.fromkeys(counter.domain.component for counter in self._counters)
        self.parts = tuple(map(self._part, components))

    def _part(self, component: Component) -> Part:
        counters = self._of(component)
        return Part(
            component=component,
            method=weakest(counter.domain.method for counter in counters),
            tool=" + ".join(dict.fromkeys(counter.domain.tool for counter in counters)),
            certainty=of_counter(counters[0].domain),
            update_seconds=max(counter.update_seconds for counter in counters),
            quantum_joules=max(counter.quantum_joules for counter in counters),
        )

    def _of(self, component: Component) -> list[Counter]:
        return [counter for counter in self._counters if counter.domain.component == component]

    def _joules(self) -> tuple[float, ...]:
        try:
            return tuple(counter.joules() for counter in self._counters)
        except CounterError as error:
            raise MeterError(f"an energy counter failed: {error}") from error

    def begin(self) -> None:
        """Read all counters; raises MeterError."""
        self._before = self._joules()
        self._began = self._clock()

    def end(self) -> Reading:
        """What they have counted since; raises MeterError."""
        seconds = self._clock() - self._began
        joules: dict[Component, float] = {}
        ticks: dict[Component, float] = {}
        for counter, before, after in zip(self._counters, self._before, self._joules(), strict=True):
            component, spent = counter.domain.component, after - before
            joules[component] = joules.get(component, 0.0) + spent
            steps = seconds / counter.update_seconds if spent > 0 else 0.0
            ticks[component] = min(ticks.get(component, steps), steps)
        return Reading(joules=joules, ticks=ticks)

    def __enter__(self) -> CounterMeter:
        self._reader.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.__exit__(kind, error, trace)
