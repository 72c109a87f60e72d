"""Windows of metered work: all arms in random blocks, idle before and after, load from outside watched.

Each block gives each arm one window, in an order drawn anew, so that warmth and load drift past all alike;
window i of each arm belongs to block i and pairs with the others' window i. An arm that breaks leaves the
blocks that follow; what it had is dropped.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from suites.metering.load import Busy, busy, count_cores, outside_load
from suites.metering.meter import Meter, Reading

LEAST_UPDATES = 50
FLAGGED_LOAD = 0.1
# An accelerator's sensor tells the mean of the last second: work must have left it.
SETTLE_SECONDS = 1.0
FIRST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Time and load; a test brings its own."""

    seconds: Callable[[], float] = time.perf_counter
    wait: Callable[[float], None] = time.sleep
    busy: Callable[[], Busy] = busy
    cores: int = 0

    def load(self, before: Busy, seconds: float) -> float:
        """Load from outside since `before`, `seconds` ago."""
        return outside_load(before, self.busy(), seconds, self.cores or count_cores())


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is metered: `call`, and about how many seconds it takes, None where nobody has tried."""

    call: Callable[[], object]
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`calls` in `seconds`, the energy of all of it, and the share of all cores that others used."""

    calls: int
    seconds: float
    reading: Reading
    outside_load: float

    @property
    def flagged(self) -> bool:
        """Whether others used so much of the machine that the figure is in doubt."""
        return self.outside_load > FLAGGED_LOAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """The windows of each arm that came through, in the order of the blocks, and the two idle ones."""

    windows: Mapping[str, tuple[Window, ...]]
    idle: tuple[Window, Window]

    @property
    def idle_watts(self) -> float:
        """Mean power of the headline while nothing ran."""
        return sum(one.reading.headline for one in self.idle) / sum(one.seconds for one in self.idle)


Attempt = Callable[[str, Callable[[], tuple[int, float]]], tuple[int, float] | None]
"""Runs what it is given for the arm of that name; None where the arm broke, which it has told others."""


class Windows:
    """How windows are taken on one meter."""

    def __init__(
        self,
        meter: Meter,
        *,
        count: int,
        seconds: float,
        synchronise: Callable[[], None],
        surroundings: Surroundings | None = None,
    ) -> None:
        self.meter = meter
        self.count = count
        slowest = max((part.update_seconds for part in meter.parts), default=0.0)
        self.least_seconds = max(seconds, LEAST_UPDATES * slowest)
        self.synchronise = synchronise
        self.around = surroundings or Surroundings()

    def take(self, units: Mapping[str, Unit], attempt: Attempt, generator: random.Random) -> Metered:
        """All windows of all arms; raises MeterError."""
        before = self._idle()
        taken: dict[str, list[Window]] = {name: [] for name in units}
        for _ in range(self.count):
            names = list(taken)
            generator.shuffle(names)
            for name in names:
                window = self._window(name, units[name], attempt)
                if window is None:
                    del taken[name]
                else:
                    taken[name].append(window)
        windows = {name: tuple(taken[name]) for name in units if name in taken}
        return Metered(windows=windows, idle=(before, self._idle()))

    def _window(self, name: str, unit: Unit, attempt: Attempt) -> Window | None:
        self.synchronise()
        load, start = self.around.busy(), self.around.seconds()
        self.meter.begin()
        ran = attempt(name, lambda: self._run(unit))
        # Ended whether or not the arm broke: the next one begins on a meter that is free.
        reading = self.meter.end()
        if ran is None:
            return None
        calls, seconds = ran
        return Window(
            calls=calls,
            seconds=seconds,
            reading=reading,
            outside_load=self.around.load(load, self.around.seconds() - start),
        )

    def _run(self, unit: Unit) -> tuple[int, float]:
        """Calls until the window is long enough; asks for the time, and the device, a few times only."""
        start, calls, passed = self.around.seconds(), 0, 0.0
        # From half of what the estimate promises on, the window's own speed says how many are left.
        todo = 1 if unit.seconds is None else _how_many(FIRST_SHARE * self.least_seconds, unit.seconds)
        while passed < self.least_seconds:
            for _ in range(todo):
                unit.call()
            self.synchronise()
            calls, passed = calls + todo, self.around.seconds() - start
            todo = _how_many(self.least_seconds - passed, passed / calls)
        return calls, passed

    def _idle(self) -> Window:
        self.synchronise()
        self.around.wait(SETTLE_SECONDS)
        load, start = self.around.busy(), self.around.seconds()
        self.meter.begin()
        self.around.wait(self.least_seconds)
        reading, seconds = self.meter.end(), self.around.seconds() - start
        return Window(calls=1, seconds=seconds, reading=reading, outside_load=self.around.load(load, seconds))


def _how_many(seconds: float, a_call: float) -> int:
    return max(1, math.ceil(seconds / max(a_call, 1e-9)))
