"""Timing several calls against each other inside one process: equal arms in random blocks.

Every block calls each arm once, in an order drawn anew, so that drift of the machine meets all arms
alike; value i of each arm belongs to block i and pairs with the others' value i.
"""

from __future__ import annotations

import contextlib
import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Call = Callable[[], object]

WINDOW_SECONDS = 0.02
AGREEMENT = 0.05
MOST_WINDOWS = 12
SHORTEST_SAMPLE_SECONDS = 0.0005
MOST_BLOCKS = 400
LONG_BLOCK_SECONDS = 2.0


class TooSlowError(Exception):
    """One call takes longer than the limit; the message gives both times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """What warming up took: `calls` until two adjacent windows agreed (or patience ended: `settled` is
    False), and `seconds` a call in the last window."""

    calls: int
    seconds: float
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds a call for each arm in block order. Each value is the mean over `calls_per_value` calls;
    `overhead` is the time the loop took beyond the calls, as a fraction of the calls' time."""

    seconds: Mapping[str, tuple[float, ...]]
    calls_per_value: int
    overhead: float


def _nothing(_: str = "") -> None:
    return None


def warm_up(
    call: Call,
    *,
    call_limit: float,
    patience: float,
    first: float | None = None,
    synchronise: Callable[[], None] = _nothing,
    clock: Callable[[], float] = time.perf_counter,
) -> WarmUp:
    """Call until two adjacent windows agree within 5%, or `patience` seconds have passed.

    `first` is how long the very first call took, where that has been made already.

    Raises TooSlowError when the faster of the first two calls takes more than `call_limit` seconds: the
    first alone may hold a compilation.
    """

    def timed(count: int) -> float:
        synchronise()
        start = clock()
        for _ in range(count):
            call()
        synchronise()
        return (clock() - start) / count

    calls = 2 if first is None else 1
    first = timed(1) if first is None else first
    previous = timed(1)
    if min(first, previous) > call_limit:
        raise TooSlowError(f"one call takes {min(first, previous):.1f} s; the limit is {call_limit:g} s")
    spent, settled = previous, False
    for _ in range(MOST_WINDOWS):
        if spent >= patience:
            break
        size = max(1, math.ceil(WINDOW_SECONDS / max(previous, 1e-9)))
        current = timed(size)
        calls, spent = calls + size, spent + current * size
        settled = abs(current - previous) <= AGREEMENT * previous
        previous = current
        if settled:
            break
    return WarmUp(calls=calls, seconds=previous, settled=settled)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keep Python's garbage collector from running inside a timed call."""
    was_enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def count_blocks(block_seconds: float, seconds: float) -> int:
    """How many blocks fit `seconds` of measuring: at most 400, at least 3, or 2 where one takes seconds."""
    fewest = 3 if block_seconds < LONG_BLOCK_SECONDS else 2
    return max(fewest, min(MOST_BLOCKS, int(seconds / max(block_seconds, 1e-9))))


def interleave(
    arms: Mapping[str, Call],
    warm: Mapping[str, WarmUp],
    *,
    seconds: float,
    generator: random.Random,
    synchronise: Callable[[], None] = _nothing,
    on_turn: Callable[[str], None] = _nothing,
    clock: Callable[[], float] = time.perf_counter,
) -> Timings:
    """Time warmed-up arms in random blocks for about `seconds` in all.

    `on_turn` is told each arm's name before its turn, so that a crash can be laid at its door. An
    exception of a call passes through.
    """
    fastest = min(warm[name].seconds for name in arms)
    calls = max(1, math.ceil(SHORTEST_SAMPLE_SECONDS / max(fastest, 1e-9)))
    block_seconds = calls * sum(warm[name].seconds for name in arms)
    names = list(arms)
    taken: dict[str, list[float]] = {name: [] for name in names}
    begin = clock()
    with undisturbed():
        for _ in range(count_blocks(block_seconds, seconds)):
            generator.shuffle(names)
            _block(names, arms, taken, calls, synchronise, on_turn, clock)
    whole = clock() - begin
    inside = calls * sum(map(sum, taken.values()))
    return Timings(
        seconds={name: tuple(values) for name, values in taken.items()},
        calls_per_value=calls,
        overhead=(whole - inside) / inside,
    )


def _block(
    names: Sequence[str],
    arms: Mapping[str, Call],
    taken: Mapping[str, list[float]],
    calls: int,
    synchronise: Callable[[], None],
    on_turn: Callable[[str], None],
    clock: Callable[[], float],
) -> None:
    for name in names:
        call = arms[name]
        on_turn(name)
        synchronise()
        start = clock()
        for _ in range(calls):
            call()
        synchronise()
        taken[name].append((clock() - start) / calls)
