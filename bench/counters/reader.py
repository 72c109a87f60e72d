"""Reads counters in the background, so that a window may be longer than a counter's range."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from types import TracebackType

from bench.counters.counter import Counter, CounterError

LONGEST_SECONDS = 1.0
READINGS_IN_SAFE_TIME = 10


class Reader:
    """While it is entered, each counter is read at least ten times in its `safe_seconds` and once a second.

    It needs some microseconds a reading and holds nothing up: what it reads stays in the counters, and
    what goes wrong is said by the counter itself at the next `joules`.
    """

    def __init__(self, counters: Sequence[Counter]) -> None:
        self._counters = tuple(counters)
        self.interval_seconds = min(
            (counter.safe_seconds / READINGS_IN_SAFE_TIME for counter in self._counters),
            default=LONGEST_SECONDS,
        )
        self.interval_seconds = min(self.interval_seconds, LONGEST_SECONDS)
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def read(self) -> None:
        """Read each counter once; called by the thread."""
        for counter in self._counters:
            with contextlib.suppress(CounterError):
                counter.joules()

    def _run(self) -> None:
        while not self._done.wait(self.interval_seconds):
            self.read()

    def __enter__(self) -> Reader:
        self._done.clear()
        if self._counters:
            self._thread = threading.Thread(target=self._run, name="energy counters", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
