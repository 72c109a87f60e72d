"""A counter of energy: what its register gained since it was first asked."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bench.counters.counter import CounterError, Domain
from bench.counters.pace import Pace
from bench.counters.unwrapping import Register

# Nothing that is switched on draws nothing: a register that misses this many updates counts no longer.
STILL_SECONDS = 0.2
STILL_UPDATES = 10


class EnergyCounter:
    """`Counter` over a register; `read` answers its counts or raises CounterError.

    Once energy was lost it goes on saying so: a window over that moment would be too small.
    """

    def __init__(
        self,
        domain: Domain,
        read: Callable[[], int],
        register: Register,
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        self.domain = domain
        self.update_seconds = pace.update_seconds
        self.quantum_joules = pace.quantum_joules
        self.safe_seconds = register.safe_seconds
        self._read, self._register, self._clock = read, register, clock
        self._still_seconds = max(STILL_SECONDS, STILL_UPDATES * pace.update_seconds)
        self._lock = threading.Lock()
        self._lost = ""
        self._counts = 0
        self._last: int | None = None
        self._read_after = self._moved_before = clock()

    def joules(self) -> float:
        """See `Counter.joules`."""
        with self._lock:
            if self._lost:
                raise CounterError(self._lost)
            # The moment of a reading lies between two looks at the clock, which a busy or stopped process
            # may take far apart: each check uses the one that is on the safe side.
            after = self._clock()
            try:
                reading = self._read()
            except CounterError as error:
                raise CounterError(f"{self.domain.name}: {error}") from None
            before = self._clock()
            try:
                self._take(reading, after, before)
            except CounterError as error:
                self._lost = f"{self.domain.name} {error}"
                raise CounterError(self._lost) from None
            return self._register.in_joules(self._counts)

    def _take(self, reading: int, after: float, before: float) -> None:
        if self._last is None:
            self._last, self._read_after, self._moved_before = reading, after, before
            return
        counts = self._register.gained(self._last, reading, before - self._read_after)
        still = after - self._moved_before
        if counts:
            self._moved_before = before
        elif still > self._still_seconds:
            raise CounterError(f"stood still for {still:.1f} s")
        self._counts += counts
        self._last, self._read_after = reading, after
