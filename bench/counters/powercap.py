"""Linux's powercap files: which zones of RAPL there are, and which of them meter what.

A zone is a folder ``intel-rapl:0`` with `name`, `energy_uj` and `max_energy_range_uj`; its parts are
``intel-rapl:0:1``. Linux serves AMD's processors under the same name. Of the zones (Linux,
Documentation/power/powercap; Intel's Software Developer's Manual, volume 3, on RAPL):

- ``package-0``, ``package-0-die-1`` are whole processors or dies: they add up;
- ``core`` and ``uncore`` are parts of their package: not counted again;
- ``dram`` below a package is memory: told apart, never added to the processor;
- ``intel-rapl-mmio`` tells the same packages by another way: used only where the first cannot be;
- ``psys`` is the whole platform, packages within it: never used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.counters.counter import Component, CounterError

POWERCAP = Path("/sys/class/powercap")
ZONE = re.compile(r"(?P<control>intel-rapl|intel-rapl-mmio):\d+(?::\d+)?")
PACKAGE = re.compile(r"package-(?P<place>\d+(?:-die-\d+)?)")
DEEPEST = 3


class NotAllowedError(CounterError):
    """The file at `path` is there and may not be read by this user."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path.name} may not be read by this user")
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A folder whose energy is counted; `domain` is what we call the thing that it meters."""

    folder: Path
    control: str
    domain: str
    component: Component

    def microjoules(self) -> int:
        """What the register reads now. Raises CounterError."""
        return whole_number(self.folder / "energy_uj")

    def span_microjoules(self) -> int:
        """The largest reading. Raises CounterError, also where it is 0."""
        span = whole_number(self.folder / "max_energy_range_uj")
        if span <= 0:
            raise CounterError("has a range of 0, so that a wrap cannot be told")
        return span


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """`zones` that meter a package or memory, and the names of the other zones at the top."""

    zones: tuple[Zone, ...]
    others: tuple[str, ...]


def whole_number(path: Path) -> int:
    """What a file of one number holds. Raises CounterError with the reason, NotAllowedError for rights."""
    try:
        return int(path.read_text())
    except PermissionError:
        raise NotAllowedError(path) from None
    except OSError as error:
        raise CounterError(f"{path.name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CounterError(f"{path.name} does not hold a whole number") from None


def find_zones(root: Path) -> Tree:
    """The zones below a powercap folder, each once, whether it lies flat or nested."""
    folders = {path.name: path for path in _folders(root) if ZONE.fullmatch(path.name)}
    names = {zone: _name(folder) for zone, folder in folders.items()}
    zones: list[Zone] = []
    others: list[str] = []
    for zone, folder in sorted(folders.items(), key=lambda item: _order(item[0])):
        top = ":".join(zone.split(":")[:2])
        package = PACKAGE.fullmatch(names.get(top, ""))
        control = zone.partition(":")[0]
        if package is None:
            others += [names[zone]] if zone == top else []
        elif zone == top:
            zones.append(Zone(folder=folder, control=control, domain=package[0], component="processor"))
        elif names[zone] == "dram":
            domain = f"dram-{package['place']}"
            zones.append(Zone(folder=folder, control=control, domain=domain, component="memory"))
    return Tree(zones=tuple(zones), others=tuple(others))


def on_sysfs(root: Path) -> bool:
    """Whether the kernel writes these files; where not, someone replays them."""
    path = str(root.resolve())
    mounts = {
        mount.mountpoint: mount.fstype
        for mount in psutil.disk_partitions(all=True)
        if path == mount.mountpoint or path.startswith(mount.mountpoint.rstrip("/") + "/")
    }
    return bool(mounts) and mounts[max(mounts, key=len)] == "sysfs"


def _folders(folder: Path, depth: int = 1) -> Iterator[Path]:
    # Links beside one another in /sys/class/powercap; within one another in /sys/devices/virtual/powercap,
    # which is what containers mount. A dangling link is a folder that a container hides.
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name.startswith("intel-rapl") and path.is_dir():
            yield path
            if depth < DEEPEST:
                yield from _folders(path, depth + 1)


def _name(folder: Path) -> str:
    try:
        return (folder / "name").read_text().strip()
    except OSError:
        return ""


def _order(zone: str) -> tuple[bool, list[int]]:
    control, *numbers = zone.split(":")
    return control != "intel-rapl", [int(number) for number in numbers]
