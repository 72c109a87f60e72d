"""Counters over made-up hardware whose joules are known: within 1%, or the right refusal."""

import math
import threading
from dataclasses import replace

import counter_cases
import pytest
from counters import Clock, Gpu, Nvml, Power, Recording, Register, steady
from hypothesis import given
from hypothesis import strategies as st

from bench.counters import CounterError, Domain, Reader, open_counters
from bench.counters.accumulating import EnergyCounter
from bench.counters.pace import Pace
from bench.counters.sampled import SampledPower
from bench.counters.unwrapping import Register as Arithmetic
from bench.units import joules_of_microjoules

SPAN = 262_143_328_850
PACKAGE = Arithmetic(span=SPAN, unit="µJ", in_joules=joules_of_microjoules, most_watts=1000.0)
DOMAIN = Domain(name="package-0", component="processor", tool="made up", method="measured")
PACE = Pace(update_seconds=0.001, quantum_joules=0.05)


@pytest.mark.parametrize(
    "case", [case for case in counter_cases.CASES if not case.refusal], ids=lambda case: case.name
)
def test_reported_joules_are_true_within_a_percent(case: counter_cases.Case) -> None:
    outcome = counter_cases.run(case)
    assert outcome.true
    assert outcome.reported.keys() == outcome.true.keys()
    for component, true in outcome.true.items():
        assert outcome.reported[component] == pytest.approx(true, rel=0.01)


@pytest.mark.parametrize(
    "case", [case for case in counter_cases.CASES if case.refusal], ids=lambda case: case.name
)
def test_what_cannot_be_believed_is_refused_and_has_no_joules(case: counter_cases.Case) -> None:
    outcome = counter_cases.run(case)
    assert not outcome.reported
    assert any(case.refusal in reason for reason in outcome.refusals.values())
    assert all(refusal.advice for refusal in outcome.found.refusals if refusal.subject != "NVML")


def test_the_table_has_every_case_and_no_case_without_an_answer() -> None:
    lines = counter_cases.table().splitlines()[2:]
    assert {line.split(" | ")[0].strip("| ") for line in lines} == {case.name for case in counter_cases.CASES}
    assert all("refused: " in line or "%" in line for line in lines)


def test_memory_is_apart_from_the_processor_and_told_once() -> None:
    case = next(case for case in counter_cases.CASES if case.name.startswith("DRAM"))
    domains = [counter.domain for counter in counter_cases.run(case).found.counters]
    assert [(domain.name, domain.component) for domain in domains] == [
        ("package-0", "processor"),
        ("dram-0", "memory"),
    ]


@given(
    start=st.integers(0, SPAN - 1),
    steps=st.lists(st.integers(0, 900_000_000), min_size=1, max_size=40),
)
def test_any_energy_below_the_most_watts_is_unwrapped_to_the_count(start: int, steps: list[int]) -> None:
    """One second between readings, up to 900 J in each."""
    gained, reading = 0, start
    for step in steps:
        gained += PACKAGE.gained(reading, (reading + step) % SPAN, 1.0)
        reading = (reading + step) % SPAN
    assert gained == sum(steps)


@given(before=st.integers(0, SPAN), back=st.integers(1, SPAN))
def test_a_register_that_goes_back_is_a_wrap_only_near_its_end(before: int, back: int) -> None:
    after = before - back
    if after < 0:
        return
    gained = SPAN - back
    if joules_of_microjoules(gained) <= 1500:  # a second and half a second of staleness at 1,000 W
        assert PACKAGE.gained(before, after, 1.0) == gained
    else:
        with pytest.raises(CounterError, match="went back"):
            PACKAGE.gained(before, after, 1.0)


@pytest.mark.parametrize(
    ("before", "after", "seconds", "said"),
    [
        (0, SPAN + 1, 1.0, "beyond its range"),
        (5, -1, 1.0, "beyond its range"),
        (0, 2_000_000_000, 1.0, "jumped from 0 to 2,000,000,000 µJ"),
        (0, 1, 140.0, "wrap unseen"),
        (0, SPAN // 2 + 2, 131.0, "jumped"),
    ],
)
def test_readings_that_cannot_be(before: int, after: int, seconds: float, said: str) -> None:
    with pytest.raises(CounterError, match=said):
        PACKAGE.gained(before, after, seconds)


def test_safe_time_is_half_the_range_at_the_most_watts() -> None:
    assert PACKAGE.safe_seconds == pytest.approx(SPAN / 1e6 / 2 / 1000)


class Scripted:
    """A register that answers what it is told; raises what is an error."""

    def __init__(self, clock: Clock, *readings: int | CounterError, seconds: float = 0.1) -> None:
        self._readings, self._clock, self.seconds = list(readings), clock, seconds

    def __call__(self) -> int:
        self._clock.pause(self.seconds)
        reading = self._readings.pop(0)
        if isinstance(reading, CounterError):
            raise reading
        return reading


def test_an_unreadable_moment_costs_nothing_and_lost_energy_is_never_forgotten() -> None:
    clock = Clock()
    read = Scripted(clock, 100, CounterError("gone"), 5_000_100, 50, 6_000_000)
    counter = EnergyCounter(DOMAIN, read, PACKAGE, PACE, clock)
    assert counter.joules() == 0.0
    with pytest.raises(CounterError, match="package-0: gone"):
        counter.joules()
    assert counter.joules() == 5.0
    for _ in range(3):
        with pytest.raises(CounterError, match="package-0 went back"):
            counter.joules()


def test_a_process_stopped_between_reading_and_clock_does_not_call_a_counter_dead() -> None:
    clock = Clock()
    # Each reading takes 30 s of the clock: as if the process had been stopped within it.
    counter = EnergyCounter(
        DOMAIN, Scripted(clock, 0, 9_000_000, 9_000_000, seconds=30.0), PACKAGE, PACE, clock
    )
    assert [counter.joules() for _ in range(3)] == [0.0, 9.0, 9.0]


def test_a_process_stopped_within_a_reading_may_have_missed_a_wrap() -> None:
    clock = Clock()
    read = Scripted(clock, 0, 5)
    counter = EnergyCounter(DOMAIN, read, PACKAGE, PACE, clock)
    assert counter.joules() == 0.0
    read.seconds = 140.0
    with pytest.raises(CounterError, match="wrap unseen"):
        counter.joules()


def test_two_readings_within_an_update_are_no_standing_still() -> None:
    clock = Clock()
    counter = EnergyCounter(DOMAIN, Scripted(clock, 7, 7, 7, seconds=0.01), PACKAGE, PACE, clock)
    assert counter.joules() == counter.joules() == counter.joules() == 0.0


def test_power_is_integrated_over_a_gap_of_failed_samples_up_to_a_second() -> None:
    clock, failing = Clock(), False

    def read() -> float:
        if failing:
            raise CounterError("busy")
        return 120.0

    sampled = replace(DOMAIN, name="gpu-0", component="accelerator", method="sampled")
    counter = SampledPower(sampled, read, PACE, clock)
    counter.joules()
    failing = True
    clock.pause(0.5)
    with pytest.raises(CounterError, match="gpu-0: busy"):
        counter.joules()
    failing = False
    clock.pause(0.4)
    assert counter.joules() == pytest.approx(0.9 * 120)
    clock.pause(1.1)
    for _ in range(2):
        with pytest.raises(CounterError, match=r"not sampled for 1\.1 s"):
            counter.joules()


@pytest.mark.parametrize("counts", [True, False], ids=["energy", "power"])
def test_nothing_is_lost_between_opening_and_the_first_reading(counts: bool) -> None:
    """A model may be built meanwhile, for minutes, and nobody reads."""
    gpu = Gpu(power=steady(60.0), counts=counts)
    with counter_cases.machine() as built:
        built.package("intel-rapl:0", "package-0", Register(power=steady(60.0), start=0.999))
        found = open_counters(
            built.tree.folder, Nvml(built.clock, gpu), clock=built.clock, pause=built.clock.pause
        )
        built.clock.pause(900.0)
        assert [counter.joules() for counter in found.counters] == [0.0, 0.0]
        built.clock.pause(1.0)
        assert [counter.joules() for counter in found.counters] == pytest.approx([60.0, 60.0], rel=0.001)


def test_power_that_rises_between_samples_counts_with_its_mean() -> None:
    clock = Clock()
    watts = iter((100.0, 200.0))
    counter = SampledPower(DOMAIN, lambda: next(watts), PACE, clock)
    assert counter.joules() == 0.0
    clock.pause(0.5)
    assert counter.joules() == pytest.approx(75.0)


def test_a_gpu_that_tells_0_watts_is_refused() -> None:
    case = counter_cases.Case("no watts", lambda built: built.gpus(Gpu(power=steady(0.0), counts=False)))
    assert "told 0 W" in counter_cases.run(case).refusals["gpu-0"]


def test_pace_is_what_the_register_does() -> None:
    def build(built: counter_cases.Machine) -> None:
        built.package("intel-rapl:0", "package-0", Register(power=steady(80.0), update_seconds=0.004))
        built.gpus(Gpu(power=steady(200.0)))

    package, gpu = counter_cases.run(counter_cases.Case("pace", build, 5)).found.counters
    assert package.update_seconds == pytest.approx(0.004, rel=0.1)
    assert package.quantum_joules == pytest.approx(0.32, rel=0.1)
    assert gpu.update_seconds == pytest.approx(0.1, rel=0.02)
    assert gpu.quantum_joules == pytest.approx(20.0, rel=0.02)


def test_a_recorded_stream_goes_round_without_a_seam() -> None:
    stream = Recording.load(counter_cases.RECORDED / "package.json")
    before, gained = stream.reading(0.0), 0
    for tick in range(1, 700):
        after = stream.reading(tick * 0.1)
        gained += (after - before) % stream.span
        before = after
    assert gained / 1e6 == pytest.approx(stream.power.joules(69.9), rel=0.001)


def test_made_up_power_is_its_pieces() -> None:
    power = Power(pieces=((2.0, 10.0), (1.0, 40.0)))
    assert power.joules(2.5) == 40.0
    assert power.joules(7.0) == 130.0
    assert (power.watts(1.9), power.watts(2.1), power.watts(3.1)) == (10.0, 40.0, 10.0)


class Counted:
    """A counter that says when it was read; `fails` with a reason or a mistake."""

    def __init__(self, enough: int, error: Exception | None = None, safe_seconds: float = 0.01) -> None:
        self.domain, self.update_seconds, self.quantum_joules = DOMAIN, 0.001, 0.1
        self.safe_seconds = safe_seconds
        self.enough, self.readings, self._wanted, self._error = threading.Event(), 0, enough, error

    def joules(self) -> float:
        self.readings += 1
        if self.readings >= self._wanted:
            self.enough.set()
        if self._error is not None:
            raise self._error
        return 0.0


def test_the_reader_reads_until_it_is_left_whatever_a_counter_says() -> None:
    well, broken = Counted(3), Counted(3, CounterError("gone"))
    with Reader([broken, well]):
        assert well.enough.wait(10)
        assert broken.enough.wait(10)
    readings = well.readings
    assert not any(thread.name == "energy counters" for thread in threading.enumerate())
    assert well.readings == readings


def test_the_reader_reads_as_often_as_the_most_pressing_counter_needs() -> None:
    assert Reader([Counted(1, safe_seconds=131.0)]).interval_seconds == 1.0
    assert Reader([Counted(1, safe_seconds=131.0), Counted(1, safe_seconds=1.0)]).interval_seconds == 0.1
    with Reader([]):
        assert not any(thread.name == "energy counters" for thread in threading.enumerate())


def test_the_reader_keeps_a_window_whole_that_wraps_many_times() -> None:
    power, clock = steady(900.0), Clock()
    register = Register(power=power, units_a_joule=1 << 16)
    arithmetic = replace(PACKAGE, span=register.span)
    counter = EnergyCounter(
        DOMAIN, lambda: register.reading(clock.now - 1000.0) or 0, arithmetic, PACE, clock
    )
    reader = Reader([counter])
    assert counter.joules() == 0.0
    for _ in range(1000):
        clock.pause(reader.interval_seconds)
        reader.read()
    assert math.floor(900_000 / (register.span / 1e6)) == 13
    assert counter.joules() == pytest.approx(900_000, rel=1e-6)
