"""The timing loop, against a clock that the test turns."""

import gc
import random

import pytest

from bench.interleave import TooSlowError, WarmUp, interleave, warm_up


class Clock:
    """Seconds pass only when a call spends them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def call(self, *seconds: float) -> "Call":
        return Call(self, list(seconds))


class Call:
    """Takes the given seconds, the last of them for ever."""

    def __init__(self, clock: Clock, seconds: list[float]) -> None:
        self.clock, self.seconds, self.count = clock, seconds, 0

    def __call__(self) -> None:
        self.clock.now += self.seconds[min(self.count, len(self.seconds) - 1)]
        self.count += 1


def warm(seconds: float) -> WarmUp:
    return WarmUp(calls=1, seconds=seconds, settled=True)


def test_warming_up_ends_when_two_windows_agree() -> None:
    clock = Clock()
    result = warm_up(clock.call(9.0, 4.0, 2.0, 1.0, 1.0), call_limit=10, patience=100, clock=clock)
    assert (result.calls, result.seconds, result.settled) == (5, 1.0, True)


def test_warming_up_gives_up_after_its_patience_and_says_so() -> None:
    clock = Clock()
    result = warm_up(clock.call(8.0, 4.0, 2.0, 1.0), call_limit=10, patience=5, clock=clock)
    assert not result.settled


def test_a_call_beyond_the_limit_is_refused_with_both_times() -> None:
    clock = Clock()
    with pytest.raises(TooSlowError, match=r"takes 12.0 s; the limit is 10 s"):
        warm_up(clock.call(30.0, 12.0), call_limit=10, patience=5, clock=clock)


def test_a_slow_first_call_is_no_reason_to_refuse() -> None:
    clock = Clock()
    assert warm_up(clock.call(30.0, 0.5), call_limit=10, patience=5, clock=clock).settled


def test_arms_are_called_equally_often_in_random_blocks_that_pair() -> None:
    clock, order = Clock(), []
    arms = {"a": clock.call(1.0), "b": clock.call(2.0), "c": clock.call(3.0)}
    timings = interleave(
        arms,
        {name: warm(seconds) for name, seconds in zip(arms, (1.0, 2.0, 3.0), strict=True)},
        seconds=60,
        generator=random.Random(3),
        on_turn=order.append,
        clock=clock,
    )
    assert {name: set(values) for name, values in timings.seconds.items()} == {
        "a": {1.0},
        "b": {2.0},
        "c": {3.0},
    }
    assert {len(values) for values in timings.seconds.values()} == {10}
    blocks = [tuple(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert all(set(block) == {"a", "b", "c"} for block in blocks)
    assert len(set(blocks)) > 2
    assert timings.overhead == pytest.approx(0)


def test_slow_arms_get_the_fewest_blocks_and_quick_ones_no_more_than_the_most() -> None:
    for seconds, expected in ((100.0, 2), (1.5, 3), (0.001, 400)):
        clock = Clock()
        timings = interleave(
            {"a": clock.call(seconds)},
            {"a": warm(seconds)},
            seconds=1,
            generator=random.Random(0),
            clock=clock,
        )
        assert len(timings.seconds["a"]) == expected


def test_calls_too_short_for_the_clock_are_timed_in_groups() -> None:
    clock = Clock()
    call = clock.call(1e-5)
    timings = interleave({"a": call}, {"a": warm(1e-5)}, seconds=0.1, generator=random.Random(0), clock=clock)
    assert timings.calls_per_value == 50
    assert timings.seconds["a"][0] == pytest.approx(1e-5)
    assert call.count == 50 * len(timings.seconds["a"])


def test_the_time_the_loop_itself_takes_is_reported() -> None:
    clock = Clock()

    def on_turn(_: str) -> None:
        clock.now += 0.1

    timings = interleave(
        {"a": clock.call(1.0)},
        {"a": warm(1.0)},
        seconds=5,
        generator=random.Random(0),
        on_turn=on_turn,
        clock=clock,
    )
    assert timings.overhead == pytest.approx(0.1)


def test_the_collector_is_off_inside_and_back_on_even_after_a_failure() -> None:
    seen: list[bool] = []

    def fails() -> None:
        seen.append(gc.isenabled())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        interleave({"a": fails}, {"a": warm(1.0)}, seconds=5, generator=random.Random(0))
    assert seen == [False]
    assert gc.isenabled()


def test_a_first_call_that_is_behind_us_is_not_made_again() -> None:
    clock = Clock()
    call = clock.call(3.0)
    assert warm_up(call, call_limit=10, patience=2, first=9.0, clock=clock).calls == call.count == 1
