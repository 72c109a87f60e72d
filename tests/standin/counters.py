"""Energy counters of machines that are not there: powercap trees and an NVML whose true joules are known.

A clock that is moved by hand drives them. Registers count as the hardware does: 32 bits of a unit of
1/16,384 J (or 1/65,536 J), moved every millisecond, written in microjoules; NVML's in millijoules, every
0.1 s.
"""

import contextlib
import json
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

NOBODY = 65534
FOREVER = math.inf


class Clock:
    """Seconds that pass only when `pause` is called; what follows it is refreshed then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._followers: list[Callable[[], None]] = []

    def __call__(self) -> float:
        return self.now

    def follow(self, refresh: Callable[[], None]) -> None:
        self._followers.append(refresh)
        refresh()

    def pause(self, seconds: float) -> None:
        self.now += seconds
        for refresh in self._followers:
            refresh()


@dataclass(frozen=True)
class Power:
    """Watts over time: pieces of (seconds, watts), over and over."""

    pieces: tuple[tuple[float, float], ...]

    @property
    def cycle(self) -> tuple[float, float]:
        """Seconds and joules of one round."""
        return sum(long for long, _ in self.pieces), sum(long * watts for long, watts in self.pieces)

    def joules(self, seconds: float) -> float:
        """From 0 to `seconds`, exactly."""
        long, whole = self.cycle
        rounds, left = divmod(seconds, long)
        joules = rounds * whole
        for piece, watts in self.pieces:
            joules += min(piece, left) * watts
            left -= min(piece, left)
        return joules

    def watts(self, seconds: float) -> float:
        left = seconds % self.cycle[0]
        for piece, watts in self.pieces:
            if left < piece:
                return watts
            left -= piece
        return self.pieces[-1][1]


def steady(watts: float) -> Power:
    return Power(pieces=((1.0, watts),))


@dataclass(frozen=True)
class Register:
    """A register over `power`: what it reads at a time. It may stand still or fall to 0 at some time, or
    lose its file between two times."""

    power: Power
    start: float = 0.0
    """Of the register's span, at second 0."""
    units_a_joule: int = 1 << 14
    bits: int = 32
    update_seconds: float = 0.001
    still_from: float = FOREVER
    back_at: float = FOREVER
    gone: tuple[float, float] = (FOREVER, FOREVER)
    counts_a_joule: int = 1_000_000

    @property
    def span(self) -> int:
        """What the driver names its largest reading."""
        return ((1 << self.bits) - 1) * self.counts_a_joule // self.units_a_joule

    def reading(self, seconds: float) -> int | None:
        if self.gone[0] <= seconds < self.gone[1]:
            return None
        moved = math.floor(min(seconds, self.still_from) / self.update_seconds + 1e-6) * self.update_seconds
        units = int(self.start * (1 << self.bits)) + int(self.power.joules(moved) * self.units_a_joule)
        if moved >= self.back_at:
            units = int((self.power.joules(moved) - self.power.joules(self.back_at)) * self.units_a_joule)
        return units % (1 << self.bits) * self.counts_a_joule // self.units_a_joule


@dataclass(frozen=True)
class Recording:
    """A stream of (seconds, counts) pairs that is replayed over and over, with the power behind it."""

    power: Power
    span: int
    pairs: tuple[tuple[float, int], ...]
    seconds: float

    @classmethod
    def load(cls, path: Path) -> "Recording":
        held = json.loads(path.read_text())
        return cls(
            power=Power(pieces=tuple((long, watts) for long, watts in held["seconds_and_watts"])),
            span=held["span"],
            pairs=tuple((seconds, counts) for seconds, counts in held["pairs"]),
            seconds=held["seconds"],
        )

    def reading(self, seconds: float) -> int:
        rounds, within = divmod(seconds, self.seconds)
        first, last = self.pairs[0][1], self.pairs[-1][1]
        counts = self.pairs[bisect_right(self.pairs, (within, math.inf)) - 1][1]
        # A round's counts are those between its ends, across its wraps.
        wraps = sum(
            after < before for (_, before), (_, after) in zip(self.pairs, self.pairs[1:], strict=False)
        )
        return (counts + int(rounds) * (last - first + wraps * self.span)) % self.span


@dataclass
class Tree:
    """A powercap folder that a clock drives. Links lie flat beside one another as in /sys/class/powercap;
    `nested` puts a part within its package as well."""

    folder: Path
    clock: Clock
    registers: dict[Path, Register | Recording] = field(default_factory=dict)
    locked: set[Path] = field(default_factory=set)

    def zone(
        self,
        zone: str,
        name: str,
        register: Register | Recording,
        *,
        nested: bool = False,
        span: int | None = None,
    ) -> Path:
        folder = self.folder / zone
        if nested:
            folder = self.folder / zone.rpartition(":")[0] / zone
        folder.mkdir(parents=True)
        (folder / "name").write_text(name + "\n")
        (folder / "max_energy_range_uj").write_text(f"{register.span if span is None else span}\n")
        self.registers[folder / "energy_uj"] = register
        self.refresh()
        return folder

    def lock(self) -> None:
        """As Linux since 5.10: only root reads the energy."""
        for path in self.registers:
            path.chmod(0o400)
            self.locked.add(path)

    def refresh(self) -> None:
        for path, register in self.registers.items():
            if path in self.locked:
                continue
            reading = register.reading(self.clock.now - 1000.0)
            if reading is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(f"{reading}\n")


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root reads everything: without its rights for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


NVML_TEXTS = {3: "Not Supported", 4: "Insufficient Permissions", 12: "Library Not Found", 15: "GPU is lost"}


class NVMLError(Exception):
    """As pynvml's, with NVML's number."""

    def __init__(self, value: int) -> None:
        super().__init__(NVML_TEXTS[value])
        self.value = value


@dataclass(frozen=True)
class Gpu:
    """A made-up GPU. One that `counts` has a register of energy; `error` is what it answers with from
    `fails_from` on."""

    power: Power
    counts: bool = True
    still_from: float = FOREVER
    back_at: float = FOREVER
    fails_from: float = FOREVER
    error: int = 15
    split: bool = False
    uuid: str = "GPU-7f0a"
    model: str = "made up"
    start: float = 0.25

    def register(self) -> Register:
        return Register(
            power=self.power,
            start=self.start,
            units_a_joule=1000,
            bits=48,
            update_seconds=0.1,
            still_from=self.still_from,
            back_at=self.back_at,
            counts_a_joule=1000,
        )


class Nvml:
    """What of the module `pynvml` is used, over made-up GPUs; without any there is no driver."""

    NVMLError = NVMLError

    def __init__(self, clock: Clock, *gpus: Gpu) -> None:
        self._clock, self._gpus = clock, gpus

    def _asked(self, gpu: Gpu) -> float:
        now = self._clock.now - 1000.0
        if now >= gpu.fails_from:
            raise NVMLError(gpu.error)
        return now

    def nvmlInit(self) -> None:
        if not self._gpus:
            raise NVMLError(12)

    def nvmlDeviceGetCount(self) -> int:
        return len(self._gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:
        return self._gpus[index]

    def nvmlDeviceGetUUID(self, gpu: Gpu) -> str:
        return gpu.uuid

    def nvmlDeviceGetName(self, gpu: Gpu) -> str:
        return gpu.model

    def nvmlDeviceGetMigMode(self, gpu: Gpu) -> list[int]:
        if not gpu.split:
            raise NVMLError(3)
        return [1, 1]

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: Gpu) -> int:
        now = self._asked(gpu)
        if not gpu.counts:
            raise NVMLError(3)
        reading = gpu.register().reading(now)
        assert reading is not None
        return reading

    def nvmlDeviceGetPowerUsage(self, gpu: Gpu) -> int:
        return round(gpu.power.watts(self._asked(gpu)) * 1000)
