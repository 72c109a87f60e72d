"""A meter over codecarbon, for what has no counter; the only file that imports it.

codecarbon reads its settings from two files and the environment wherever an argument is left out, writes
files, asks the network for the carbon intensity of a place, and goes on after its own failures. So every
argument is given, nothing is written and nobody asked, and what it does not tell is an error here. PUE stays
1 and its carbon figures are not used: `attnbench audit` applies both once.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from importlib.metadata import version
from types import TracebackType
from typing import Any

from bench.counters import Component
from bench.schema import Method
from bench.units import joules_of_kilowatt_hours
from suites.metering.certainty import CODECARBON_METER, KNOWN_PROCESSOR, MEMORY_GUESS, UNKNOWN_PROCESSOR
from suites.metering.meter import Certainty, MeterError, Part, Reading

ENERGIES: dict[Component, str] = {
    "processor": "cpu_energy",
    "accelerator": "gpu_energy",
    "memory": "ram_energy",
}
# codecarbon's names of its ways to find a processor's energy that are no model.
READ: dict[str, Method] = {
    "intel_rapl": "measured",
    "windows_emi": "measured",
    "intel_power_gadget": "sampled",
    "AppleSiliconChip": "sampled",
    "Raspberry": "sampled",
}
LOAD_MODE, CONSTANT_MODE = "cpu_load", "constant"
CONSTANT_SHARE = 0.5
# Its time lies between ours without and with what its own calls took, but for rounding.
ROUNDING_SECONDS = 0.01


def settings() -> dict[str, Any]:
    """All arguments of codecarbon's offline tracker, but for those that it has given up."""
    return {
        "project_name": "attnbench",
        "measure_power_secs": 15.0,
        "api_call_interval": -1,
        "api_endpoint": "",
        "api_key": "",
        "output_dir": tempfile.gettempdir(),
        "output_file": "",
        "output_methods": [],
        "logging_logger": None,
        "prometheus_url": "",
        "output_handlers": [],
        "gpu_ids": None,
        "emissions_endpoint": None,
        "experiment_id": "",
        "experiment_name": "",
        # Empty and not None, which would let a token from a file in, and with it the network.
        "electricitymaps_api_token": "",
        "tracking_mode": "machine",
        "log_level": "critical",
        "on_csv_write": "append",
        "logger_preamble": "",
        "force_cpu_power": None,
        "force_ram_power": None,
        "pue": 1.0,
        "wue": 0.0,
        # A number, so that no country is looked for; what it makes of it is not used.
        "force_carbon_intensity_g_co2e_kwh": 0.0,
        # On Linux its other way is RAPL, which our own counters read, or have refused for a reason.
        "force_mode_cpu_load": sys.platform == "linux",
        "allow_multiple_runs": True,
        "rapl_include_dram": False,
        "rapl_prefer_psys": False,
        "metadata": None,
        "country_iso_code": None,
        "region": None,
        "cloud_provider": None,
        "cloud_region": None,
        "country_2letter_iso_code": None,
    }


def open_tracker() -> Any:
    """codecarbon's offline tracker, ready to meter; takes about three seconds in a new process.

    Raises MeterError where it cannot be made.
    """
    from codecarbon import OfflineEmissionsTracker

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    tracker = OfflineEmissionsTracker(**settings())
    try:
        tracker.get_detected_hardware()
        # The first task loads more of codecarbon than it meters: a second, which no window must hold.
        tracker.start_task("first")
        tracker.stop_task("first")
    except Exception as error:
        raise MeterError(f"codecarbon could not be opened: {type(error).__name__}: {error}") from error
    return tracker


class CodecarbonMeter:
    """Energy of the components asked for, as codecarbon models or reads it.

    Raises MeterError where codecarbon has nothing for one of them, or does not say how it knows.
    """

    def __init__(
        self,
        components: Sequence[Component],
        *,
        open_tracker: Callable[[], Any] = open_tracker,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        # When the window's first call of codecarbon was made, and when it came back.
        self._called = self._began = 0.0
        self._task = ""
        self._tracker = open_tracker()
        self.parts = tuple(self._part(component) for component in components)

    def _part(self, component: Component) -> Part:
        hardware = _hardware(self._tracker, component)
        if hardware is None:
            raise MeterError(f"codecarbon found no {component} to meter")
        method, model, certainty = _way(component, hardware)
        return Part(component=component, method=method, tool=_tool(), certainty=certainty, model=model)

    def begin(self) -> None:
        """Begin a task of codecarbon's."""
        self._task = uuid.uuid4().hex
        self._called = self._clock()
        try:
            self._tracker.start_task(self._task)
        except Exception as error:
            raise MeterError(f"codecarbon could not begin: {type(error).__name__}: {error}") from error
        self._began = self._clock()

    def end(self) -> Reading:
        """What the task has taken; raises MeterError for nothing, for 0, and for another time than ours."""
        ended = self._clock()
        try:
            told = self._tracker.stop_task(self._task)
        except Exception as error:
            raise MeterError(f"codecarbon could not end: {type(error).__name__}: {error}") from error
        if told is None:
            raise MeterError("codecarbon told nothing: its task had failed")
        least, most = ended - self._began, self._clock() - self._called
        if not least - ROUNDING_SECONDS <= told.duration <= most + ROUNDING_SECONDS:
            raise MeterError(f"codecarbon metered {told.duration:.2f} s of a window of {least:.2f} s")
        joules = {
            part.component: joules_of_kilowatt_hours(getattr(told, ENERGIES[part.component]))
            for part in self.parts
        }
        for component, value in joules.items():
            if not value > 0:
                raise MeterError(f"codecarbon told {value:g} J for the {component}: it failed")
        return Reading(joules=joules)

    def __enter__(self) -> CodecarbonMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A task is over as soon as it is ended: nothing to close, and nothing must be written."""


def _tool() -> str:
    return f"codecarbon {version('codecarbon')}"


def _hardware(tracker: Any, component: Component) -> Any:
    """What codecarbon meters a component with. It has no public way to say."""
    for hardware in tracker._hardware:
        kind, chip = type(hardware).__name__, getattr(hardware, "chip_part", "")
        found = {"CPU": "processor", "GPU": "accelerator", "RAM": "memory"}
        if found.get(chip or kind) == component:
            return hardware
    return None


def _way(component: Component, hardware: Any) -> tuple[Method, str, Certainty]:
    """Method, model and certainty of codecarbon's way to meter a component."""
    mode = getattr(hardware, "_mode", type(hardware).__name__)
    if component == "accelerator":
        return READ.get(mode, "sampled"), "", CODECARBON_METER
    if mode in READ:
        return READ[mode], "", CODECARBON_METER
    if component == "memory":
        return "assumed", f"{hardware.total_power().W:g} W, constant: 5 W a module, guessed", MEMORY_GUESS
    return _modelled(mode, hardware)


def _modelled(mode: str, hardware: Any) -> tuple[Method, str, Certainty]:
    watts, name = float(hardware._tdp), hardware.get_model()
    known = _known_watts(name)
    told = f"{watts:g} W, the TDP of {name}" if known else f"{watts:g} W, constant, {_guess(watts)}"
    certainty = KNOWN_PROCESSOR if known else UNKNOWN_PROCESSOR
    if mode == LOAD_MODE:
        return "modelled", f"{told}; times 0.1 + 0.9 load³ of the whole machine", certainty
    if mode == CONSTANT_MODE:
        return "assumed", f"{told}; times {CONSTANT_SHARE}, whatever the load", certainty
    raise MeterError(f"codecarbon meters the processor in a way that is not known here: {mode}")


def _guess(watts: float) -> str:
    from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE
    from codecarbon.core.util import count_cpus

    threads = count_cpus()
    if watts % (DEFAULT_POWER_PER_CORE * threads) == 0:
        return f"as {DEFAULT_POWER_PER_CORE} W a thread for each of {threads}: it does not know the processor"
    return "for a processor that it does not know"


def _known_watts(name: str | None) -> float | None:
    """The TDP that codecarbon's table has for a processor."""
    from codecarbon.core import cpu, hardware_cache

    table: Any = hardware_cache
    found: float | None = table.get_cached_tdp(cpu)._get_cpu_power_from_registry(name) if name else None
    return found
