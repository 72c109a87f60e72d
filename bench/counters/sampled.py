"""Power read at intervals and summed up to energy, for what tells watts and counts nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from statistics import fmean

from bench.counters.counter import CounterError, Domain
from bench.counters.pace import Pace

LONGEST_GAP_SECONDS = 1.0
# A reader samples no oftener, however often the power itself moves.
SAMPLE_SECONDS = 0.1
WATCHED_SAMPLES = 10
POLL_SECONDS = 0.05


def watch_power(
    read: Callable[[], float], *, clock: Callable[[], float], pause: Callable[[float], None]
) -> Pace:
    """The pace of the samples that a reader takes of this power, from half a second of it.

    Raises CounterError where it cannot be read, or says that a part which is switched on draws nothing.
    """
    watts = []
    begin = clock()
    for _ in range(WATCHED_SAMPLES):
        watts.append(read())
        pause(POLL_SECONDS)
    if max(watts) <= 0:
        raise CounterError(f"told 0 W for {clock() - begin:.1f} s")
    return Pace(update_seconds=SAMPLE_SECONDS, quantum_joules=fmean(watts) * SAMPLE_SECONDS)


class SampledPower:
    """`Counter` by the trapezoidal rule over samples of power, one at each call of `joules`.

    What the power did between two samples is not known, so it takes a `bench.counters.Reader`; a gap of
    more than a second is refused. `read` answers watts or raises CounterError.
    """

    safe_seconds = LONGEST_GAP_SECONDS

    def __init__(
        self, domain: Domain, read: Callable[[], float], pace: Pace, clock: Callable[[], float]
    ) -> None:
        self.domain = domain
        self.update_seconds = pace.update_seconds
        self.quantum_joules = pace.quantum_joules
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._lost = ""
        self._joules = 0.0
        self._last: tuple[float, float] | None = None

    def joules(self) -> float:
        """See `Counter.joules`."""
        with self._lock:
            if self._lost:
                raise CounterError(self._lost)
            try:
                watts = self._read()
            except CounterError as error:
                raise CounterError(f"{self.domain.name}: {error}") from None
            now = self._clock()
            at, before = self._last or (now, watts)
            gap = now - at
            if gap > self.safe_seconds:
                self._lost = (
                    f"{self.domain.name} was not sampled for {gap:.1f} s: what it drew meanwhile is unknown"
                )
                raise CounterError(self._lost)
            self._joules += gap * (before + watts) / 2
            self._last = now, watts
            return self._joules
