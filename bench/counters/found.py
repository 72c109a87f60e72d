"""All energy counters of this machine that can be used, and why the others cannot."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from bench.counters.counter import Found, Refusal
from bench.counters.nvml import open_nvml
from bench.counters.powercap import POWERCAP
from bench.counters.rapl import open_rapl

HWMON = Path("/sys/class/hwmon")
# Names another powercap folder: a mount of the host's in a container, or a recorded tree.
ROOT_VARIABLE = "ATTNBENCH_POWERCAP"


def open_counters(
    root: Path | None = None,
    nvml: object | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
    pause: Callable[[float], None] = time.sleep,
    hwmon: Path = HWMON,
) -> Found:
    """Open what counts energy here; takes about two seconds at most, less where all is well.

    Args:
        root: A powercap folder; None is the one that ATTNBENCH_POWERCAP names, or Linux's own.
        nvml: The module `pynvml` or what stands for it; None imports it.
        clock: Seconds, for the counters that are opened as well.
        pause: Waits some seconds.
        hwmon: Where other drivers of counters would be.
    """
    root = root if root is not None else Path(os.environ.get(ROOT_VARIABLE) or POWERCAP)
    rapl = open_rapl(root, clock=clock, pause=pause)
    gpus = open_nvml(nvml, environment=os.environ, clock=clock, pause=pause)
    return Found(
        counters=rapl.counters + gpus.counters,
        refusals=rapl.refusals + (() if rapl.counters else _of_amd(hwmon)) + gpus.refusals,
    )


def _of_amd(hwmon: Path) -> tuple[Refusal, ...]:
    """The counters of the driver amd_energy, which Linux dropped in 5.13, are not read."""
    try:
        named = any(name.read_text().strip() == "amd_energy" for name in hwmon.glob("*/name"))
    except OSError:
        return ()  # nothing is lost: these would not be read anyway
    if not named:
        return ()
    reason = "counters of the driver amd_energy are not supported: powercap has the same energy"
    return (Refusal(subject="amd_energy", reason=reason, advice="sudo modprobe intel_rapl_msr"),)
