"""How often counters move and by how much, watched for a bounded time when they are opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.counters.counter import CounterError
from bench.counters.unwrapping import Register

POLL_SECONDS = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`update_seconds` between two moves and the typical move. Moves closer together than two looks are
    seen as one, so both may be too large and are never too small."""

    update_seconds: float
    quantum_joules: float


@dataclass(slots=True, kw_only=True)
class Watched:
    """A register under watch: `read` answers its counts. Ends with a `failure` or with a pace."""

    read: Callable[[], int]
    register: Register
    failure: str = ""
    _last: tuple[float, int] | None = None
    _moves: list[tuple[float, int]] = field(default_factory=list)

    def look(self, now: float) -> None:
        """Read it once; what goes wrong becomes its failure."""
        if self.failure:
            return
        try:
            reading = self.read()
            if self._last is None:
                self._last = now, reading
                return
            seconds, before = self._last
            counts = self.register.gained(before, reading, now - seconds)
        except CounterError as error:
            self.failure = str(error)
            return
        if counts:
            self._moves.append((now, counts))
        self._last = now, reading

    @property
    def moves(self) -> int:
        return len(self._moves)

    def pace(self, watched_seconds: float) -> Pace | None:
        """None where it never moved."""
        if not self._moves:
            return None
        # The first move may have begun before the watch did.
        steps = [counts for _, counts in self._moves[1:]] or [self._moves[0][1]]
        between = len(self._moves) - 1
        whole = self._moves[-1][0] - self._moves[0][0]
        return Pace(
            update_seconds=whole / between if between else watched_seconds,
            quantum_joules=self.register.in_joules(median(steps)),
        )


def watch(
    watched: Sequence[Watched],
    *,
    moves: int,
    seconds: float,
    clock: Callable[[], float],
    pause: Callable[[float], None],
) -> float:
    """Look at all of them until each has moved `moves` times or failed, for `seconds` at most.

    Answers how long it took.
    """
    begin = clock()
    while True:
        for one in watched:
            one.look(clock())
        waited = clock() - begin
        if waited >= seconds or all(one.failure or one.moves >= moves for one in watched):
            return waited
        pause(POLL_SECONDS)
