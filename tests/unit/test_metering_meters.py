"""Meters over counters and over codecarbon: sums, steps, refusals; nothing from outside changes a result."""

import inspect
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.counters import Component, CounterError, Domain, Found, Refusal
from bench.schema import Method
from bench.tiers import weakest
from suites.metering.counting import CounterMeter
from suites.metering.load import Busy, busy, outside_load
from suites.metering.meter import Meter, MeterError, Meters
from suites.metering.modelling import CodecarbonMeter, open_tracker, settings
from suites.metering.opening import open_meter

codecarbon = pytest.importorskip("codecarbon.emissions_tracker")

GIVEN_UP = {
    "self",
    "args",
    "kwargs",
    "save_to_file",
    "save_to_api",
    "save_to_logger",
    "save_to_prometheus",
    "save_to_logfire",
    "co2_signal_api_token",
}
HIDDEN = {
    "pue": "3",
    "force_cpu_power": "1000",
    "force_ram_power": "500",
    "tracking_mode": "process",
    "save_to_file": "true",
    "output_methods": "csv,boamps",
    "output_dir": ".",
    "emissions_endpoint": "http://localhost:1",
    "co2_signal_api_token": "token",
    "country_iso_code": "POL",
    "cloud_provider": "gcp",
    "cloud_region": "europe-west3",
    "force_mode_cpu_load": "false",
    "allow_multiple_runs": "false",
}


@dataclass
class MadeUpCounter:
    component: Component
    name: str = "package-0"
    method: Method = "measured"
    update_seconds: float = 0.001
    quantum_joules: float = 0.01
    safe_seconds: float = 1000.0
    told: list[float] = field(default_factory=lambda: [0.0])
    broken: str = ""
    tool: str = "made up"

    @property
    def domain(self) -> Domain:
        return Domain(name=self.name, component=self.component, tool=self.tool, method=self.method)

    def joules(self) -> float:
        if self.broken:
            raise CounterError(self.broken)
        return self.told[-1]


def test_dies_are_added_up_and_memory_is_not() -> None:
    dies = [MadeUpCounter("processor", "package-0"), MadeUpCounter("processor", "package-1", told=[7.0])]
    memory = MadeUpCounter("memory", "dram-0", update_seconds=0.1)
    passing = iter((3.0, 8.0))
    meter = CounterMeter([*dies, memory], clock=lambda: next(passing))
    meter.begin()
    for counter, more in zip([*dies, memory], (30.0, 12.0, 5.0), strict=True):
        counter.told.append(counter.told[-1] + more)
    reading = meter.end()
    assert reading.joules == pytest.approx({"processor": 42.0, "memory": 5.0})
    assert reading.headline == pytest.approx(42.0)
    # 5 s of moves, each millisecond and each tenth of a second, whatever they amount to.
    assert reading.ticks == pytest.approx({"processor": 5000.0, "memory": 50.0})
    assert [part.component for part in meter.parts] == ["processor", "memory"]


def test_a_counter_that_has_not_moved_has_no_tick() -> None:
    still, moving = MadeUpCounter("processor", "package-0"), MadeUpCounter("processor", "package-1")
    meter = CounterMeter([still, moving])
    meter.begin()
    moving.told.append(4.0)
    assert meter.end().ticks == {"processor": 0.0}


def test_a_component_is_known_as_well_as_its_weakest_counter_and_as_fast_as_its_slowest() -> None:
    meter = CounterMeter(
        [
            MadeUpCounter("accelerator", "gpu-0", update_seconds=0.1, quantum_joules=2.0),
            MadeUpCounter("accelerator", "gpu-1", "sampled", update_seconds=0.02),
        ]
    )
    (part,) = meter.parts
    assert (part.method, part.update_seconds, part.quantum_joules) == ("sampled", 0.1, 2.0)
    assert weakest(["measured", "assumed", "modelled"]) == "assumed"


def test_a_counter_that_breaks_is_an_error_and_not_a_figure() -> None:
    counter = MadeUpCounter("processor")
    meter = CounterMeter([counter])
    meter.begin()
    counter.broken = "package-0 has gone back"
    with pytest.raises(MeterError, match="gone back"):
        meter.end()


def test_while_a_meter_is_entered_its_counters_are_read_in_time() -> None:
    counter = MadeUpCounter("processor", safe_seconds=0.05)
    counts = []
    told = counter.joules
    counter.joules = lambda: (counts.append(1), told())[1]  # type: ignore[method-assign]
    with CounterMeter([counter]):
        deadline = time.monotonic() + 10
        while len(counts) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)
    assert len(counts) >= 3


@dataclass
class FakeTracker:
    """codecarbon's tracker as far as it is used; `told` is what a task comes to."""

    told: Any
    began: int = 0

    @property
    def _hardware(self) -> list[Any]:
        return [type("GPU", (), {})()]

    def start_task(self, _name: str) -> None:
        self.began += 1

    def stop_task(self, _name: str) -> Any:
        return self.told


def told(seconds: float, kilowatt_hours: float) -> Any:
    return SimpleNamespace(duration=seconds, gpu_energy=kilowatt_hours)


def read_after(seconds: float, tracker: FakeTracker) -> float:
    times = iter((0.0, 0.01, seconds, seconds + 0.02))
    meter = CodecarbonMeter(["accelerator"], open_tracker=lambda: tracker, clock=lambda: next(times))
    meter.begin()
    return meter.end().headline


def test_kilowatt_hours_become_joules() -> None:
    assert read_after(5.0, FakeTracker(told(5.01, 2e-4))) == pytest.approx(720.0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "told nothing"),
        (told(5.0, 0.0), "0 J"),
        (told(5.0, float("nan")), "nan J"),
        (told(5.0, -1e-4), "-360 J"),
        (told(2.0, 1e-4), "2.00 s of a window of 4.99 s"),
        (told(5.5, 1e-4), "5.50 s of a window of 4.99 s"),
    ],
)
def test_what_codecarbon_does_not_tell_is_an_error_and_never_a_zero(answer: Any, reason: str) -> None:
    with pytest.raises(MeterError, match=reason):
        read_after(5.0, FakeTracker(answer))


def test_a_component_that_codecarbon_has_not_found_is_an_error() -> None:
    with pytest.raises(MeterError, match="no processor"):
        CodecarbonMeter(["processor"], open_tracker=lambda: FakeTracker(None))


def test_every_argument_of_codecarbon_is_given() -> None:
    offline, base = codecarbon.OfflineEmissionsTracker, codecarbon.BaseEmissionsTracker
    known = {*inspect.signature(offline.__init__).parameters, *inspect.signature(base.__init__).parameters}
    assert set(settings()) == known - GIVEN_UP


def test_hidden_settings_change_nothing_write_nothing_and_ask_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = CodecarbonMeter(["processor", "memory"])
    file = "[codecarbon]\n" + "".join(f"{name} = {value}\n" for name, value in HIDDEN.items())
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
        (folder / ".codecarbon.config").write_text(file)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    for name, value in HIDDEN.items():
        monkeypatch.setenv(f"CODECARBON_{name.upper()}", value)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    hidden = CodecarbonMeter(["processor", "memory"])
    assert hidden.parts == plain.parts
    hidden.begin()
    time.sleep(0.1)
    reading = hidden.end()
    # 500 W or a PUE of 3 would show here: memory is a constant times time.
    watts = float(hidden.parts[1].model.split(" ")[0])
    assert reading.joules["memory"] == pytest.approx(0.1 * watts, rel=0.5)
    assert reading.joules["processor"] > 0
    assert [path.name for path in here.iterdir()] == [".codecarbon.config"]


def test_the_model_is_named_with_its_constants_and_what_is_guessed_has_no_bounds() -> None:
    processor, memory = CodecarbonMeter(["processor", "memory"]).parts
    tracker = open_tracker()
    (cpu,) = [one for one in tracker._hardware if type(one).__name__ == "CPU"]
    assert processor.model.startswith(f"{cpu._tdp:g} W")
    assert "load³" in processor.model and processor.method == "modelled"
    guessed = "does not know" in processor.model
    assert (processor.certainty.low is None) == guessed
    assert (memory.method, memory.certainty.low) == ("assumed", None)
    assert processor.tool.startswith("codecarbon 3.")


class Told:
    """Stands for codecarbon's meter: remembers what it was asked for."""

    asked: tuple[Component, ...] = ()
    parts = ()

    def __init__(self, components: Any) -> None:
        type(self).asked = tuple(components)


def opened(device: str, *counters: MadeUpCounter) -> tuple[Meter, tuple[Component, ...]]:
    Told.asked = ()
    found = Found(counters=counters, refusals=())
    meter = open_meter(device, counters=lambda: found, model=Told)  # type: ignore[arg-type]
    return meter, Told.asked


def test_what_has_a_counter_is_counted_and_the_rest_modelled() -> None:
    processor, gpu = MadeUpCounter("processor"), MadeUpCounter("accelerator", "gpu-0")
    assert opened("cpu")[1] == ("processor", "memory")
    assert opened("cpu", processor)[1] == ("memory",)
    assert opened("cpu", processor, MadeUpCounter("memory", "dram-0"))[1] == ()
    assert opened("cuda", processor)[1] == ("accelerator", "memory")
    assert opened("cuda", processor, gpu)[1] == ("memory",)


def test_an_accelerator_that_nobody_uses_is_left_out() -> None:
    meter, _ = opened("cpu", MadeUpCounter("processor"), MadeUpCounter("accelerator", "gpu-0"))
    assert [part.component for part in meter.parts] == ["processor"]
    replayed = MadeUpCounter("accelerator", "gpu-0", tool="made up, replayed")
    meter, _ = opened("cpu", MadeUpCounter("processor"), replayed)
    assert [part.component for part in meter.parts] == ["processor", "accelerator"]


def test_an_accelerator_in_use_without_a_counter_is_refused_with_the_reason() -> None:
    refusal = Refusal(subject="NVML", reason="no permission", advice="none")
    found = Found(counters=(MadeUpCounter("processor"),), refusals=(refusal,))

    def model(_components: object) -> Meter:
        raise MeterError("codecarbon found no accelerator to meter")

    with pytest.raises(NotImplementedError, match="no energy counter for cuda: NVML: no permission"):
        open_meter("cuda", counters=lambda: found, model=model)
    with pytest.raises(MeterError):
        open_meter("cpu", counters=lambda: Found(counters=(), refusals=()), model=model)


def test_several_meters_are_one() -> None:
    first, second = MadeUpCounter("processor"), MadeUpCounter("memory", "dram-0")
    with Meters([CounterMeter([first]), CounterMeter([second])]) as meter:
        meter.begin()
        first.told.append(3.0)
        second.told.append(4.0)
        assert meter.end().joules == pytest.approx({"processor": 3.0, "memory": 4.0})


def test_load_from_outside_is_what_others_took() -> None:
    before, after = Busy(machine=100.0, own=10.0), Busy(machine=106.0, own=12.0)
    assert outside_load(before, after, seconds=4.0, cores=2) == pytest.approx(0.5)
    assert outside_load(before, Busy(machine=101.0, own=11.5), seconds=4.0, cores=2) == 0.0


def test_this_process_counts_its_own_work_and_the_machine_counts_it_too() -> None:
    before = busy()
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    after = busy()
    assert after.own - before.own == pytest.approx(0.3, abs=0.1)
    assert after.machine - before.machine >= 0.2
