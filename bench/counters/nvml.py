"""NVML: what NVIDIA's GPUs count of their energy, memory on the board included.

Since Volta a GPU counts its energy (`nvmlDeviceGetTotalEnergyConsumption`, in millijoules since the driver
was loaded; it moves about every 0.1 s). Older ones tell their power only, which is then sampled. How true
either is, is another matter: on A100 and H100 the sensor behind both looks at a quarter of the time
(Yang, Adamek and Armour, SC24, arXiv 2312.02741).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from bench.counters.accumulating import EnergyCounter
from bench.counters.counter import Counter, CounterError, Domain, Found, Refusal
from bench.counters.pace import Watched, watch
from bench.counters.sampled import SampledPower, watch_power
from bench.counters.unwrapping import Register
from bench.counters.visible import Device, VisibilityError, visible
from bench.units import joules_of_millijoules, watts_of_milliwatts

# A register of 64 bits never fills: one that falls was set back. No GPU draws half of these watts.
ENERGY = Register(span=(1 << 64) - 1, unit="mJ", in_joules=joules_of_millijoules, most_watts=3000.0)
NOT_SUPPORTED = (3, 13)  # NVML_ERROR_NOT_SUPPORTED, and FUNCTION_NOT_FOUND of an old driver
NO_PERMISSION = 4
NO_DRIVER = (9, 12)  # NVML_ERROR_DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND
WATCHED_MOVES = 8
WATCHED_SECONDS = 1.5


class RefusedError(Exception):
    """No GPU is metered; holds the refusal."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(subject="NVML", reason=reason, advice=advice)


def open_nvml(
    nvml: Any,
    *,
    environment: Mapping[str, str],
    clock: Callable[[], float],
    pause: Callable[[float], None],
) -> Found:
    """The counters of the GPUs that this process may use. `nvml` is the module `pynvml` or stands for it;
    None imports it. Watching takes 8 updates of each, a second and a half at most."""
    try:
        library = Library(nvml if nvml is not None else _imported())
        devices = visible(library.devices(), environment)
    except RefusedError as refused:
        return Found(counters=(), refusals=(refused.refusal,))
    except VisibilityError as error:
        return Found(counters=(), refusals=(Refusal(subject="NVML", reason=str(error), advice=error.advice),))
    if not devices:
        reason = f"CUDA_VISIBLE_DEVICES={environment.get('CUDA_VISIBLE_DEVICES', '')} shows no GPU"
        hidden = Refusal(subject="NVML", reason=reason, advice="unset CUDA_VISIBLE_DEVICES")
        return Found(counters=(), refusals=(hidden,))
    opened = list(_open_gpus(library, devices, clock, pause))
    return Found(
        counters=tuple(one for one in opened if not isinstance(one, Refusal)),
        refusals=tuple(one for one in opened if isinstance(one, Refusal)),
    )


def _imported() -> Any:
    try:
        return importlib.import_module("pynvml")
    except ModuleNotFoundError:
        reason = "GPUs are not looked for: nvidia-ml-py is not installed"
        raise RefusedError(reason, "pip install 'attnbench[energy]'") from None


class Library:
    """NVML, opened, with its errors turned into ours."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._handles: dict[int, Any] = {}
        self.replayed = bool(getattr(nvml, "REPLAYED", False))
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            if getattr(error, "value", 0) in NO_DRIVER:
                advice = "nvidia-smi must list a GPU (in a container: docker run --gpus all)"
                raise RefusedError("there is no NVIDIA driver", advice) from None
            raise RefusedError(f"does not open: {error}", "nvidia-smi") from None

    def devices(self) -> list[Device]:
        """All GPUs. Raises RefusedError where there is none or one does not answer."""
        nvml = self._nvml
        try:
            devices = []
            for index in range(nvml.nvmlDeviceGetCount()):
                handle = self._handles[index] = nvml.nvmlDeviceGetHandleByIndex(index)
                uuid, model = nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
                devices.append(Device(index=index, uuid=uuid, model=model))
        except nvml.NVMLError as error:
            raise RefusedError(f"does not list the GPUs: {error}", "nvidia-smi") from None
        if not devices:
            raise RefusedError("the driver lists no GPU", "nvidia-smi")
        return devices

    def energy(self, device: Device) -> int:
        """Millijoules. Raises CounterError."""
        return int(self._ask("energy", self._nvml.nvmlDeviceGetTotalEnergyConsumption, device))

    def watts(self, device: Device) -> float:
        """Raises CounterError."""
        return watts_of_milliwatts(self._ask("power", self._nvml.nvmlDeviceGetPowerUsage, device))

    def counts_energy(self, device: Device) -> bool:
        """Whether it has a counter of energy. Raises CounterError where that cannot be told."""
        try:
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handles[device.index])
        except self._nvml.NVMLError as error:
            if getattr(error, "value", 0) in NOT_SUPPORTED:
                return False
            raise _unreadable("energy", error) from None
        return True

    def is_split(self, device: Device) -> bool:
        """Whether it is split into instances (MIG), whose energy it counts together."""
        try:
            return bool(self._nvml.nvmlDeviceGetMigMode(self._handles[device.index])[0])
        except self._nvml.NVMLError:
            return False

    def _ask(self, what: str, question: Callable[[Any], float], device: Device) -> float:
        try:
            return question(self._handles[device.index])
        except self._nvml.NVMLError as error:
            raise _unreadable(what, error) from None


class ForbiddenError(CounterError):
    """NVML refuses this user."""


def _unreadable(what: str, error: Exception) -> CounterError:
    kind = ForbiddenError if getattr(error, "value", 0) == NO_PERMISSION else CounterError
    return kind(f"{what} cannot be read: {error}")


def _open_gpus(
    library: Library, devices: Sequence[Device], clock: Callable[[], float], pause: Callable[[float], None]
) -> Iterator[Counter | Refusal]:
    """A counter or a refusal for each, in order; all are watched at once."""
    watched = {device.index: _watched(library, device) for device in devices}
    registers = [one for one in watched.values() if isinstance(one, Watched)]
    waited = watch(registers, moves=WATCHED_MOVES, seconds=WATCHED_SECONDS, clock=clock, pause=pause)
    for device in devices:
        seen = watched[device.index]
        if isinstance(seen, Refusal):
            yield seen
            continue
        try:
            yield _counter(library, device, seen, waited, clock, pause)
        except CounterError as error:
            yield _refusal(device, error)


def _watched(library: Library, device: Device) -> Watched | Refusal | None:
    """Its register; None where it has none and its power must do."""
    if library.is_split(device):
        return Refusal(
            subject=device.name,
            reason="is split into instances (MIG), and counts the energy of all of them together",
            advice=f"sudo nvidia-smi -i {device.index} -mig 0",
        )
    try:
        counts = library.counts_energy(device)
    except CounterError as error:
        return _refusal(device, error)
    return Watched(read=partial(library.energy, device), register=ENERGY) if counts else None


def _counter(
    library: Library,
    device: Device,
    seen: Watched | None,
    waited: float,
    clock: Callable[[], float],
    pause: Callable[[float], None],
) -> Counter:
    replayed = ", replayed" if library.replayed else ""
    domain = partial(Domain, name=device.name, component="accelerator")
    if seen is None:
        read = partial(library.watts, device)
        pace = watch_power(read, clock=clock, pause=pause)
        sampled = domain(tool=f"NVML power, sampled{replayed}", method="sampled")
        return SampledPower(sampled, read, pace, clock)
    moved = None if seen.failure else seen.pace(waited)
    if moved is None:
        raise CounterError(seen.failure or f"stood still for {waited:.1f} s while it was being read")
    measured = domain(tool=f"NVML total energy{replayed}", method="measured")
    return EnergyCounter(measured, seen.read, ENERGY, moved, clock)


def _refusal(device: Device, error: CounterError) -> Refusal:
    forbidden = isinstance(error, ForbiddenError)
    advice = (
        f"sudo chmod a+rw /dev/nvidiactl /dev/nvidia{device.index}"
        if forbidden
        else f"sudo nvidia-smi -i {device.index} --gpu-reset"
    )
    return Refusal(subject=device.name, reason=str(error), advice=advice)
