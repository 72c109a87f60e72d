"""Where a run is measured: machine, limits, software, commit. What cannot be read is None, never a guess."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

import psutil

from bench import wire
from bench.schema import Environment

PACKAGES = (
    "attnbench",
    "torch",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "jax",
    "numpy",
    "scipy",
    "scikit-learn",
)
CGROUP = Path("/sys/fs/cgroup")
IDENTIFYING = ("os", "cpu", "cores", "threads", "memory_bytes", "accelerator", "governor", "versions")


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def cpu_model(text: str | None = None) -> str:
    """The processor's name as the kernel gives it, otherwise what the platform says."""
    text = _read(Path("/proc/cpuinfo")) if text is None else text
    for line in (text or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _accelerator() -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _cpu_limit() -> float | None:
    quota, _, period = (_read(CGROUP / "cpu.max") or "max").partition(" ")
    return None if quota == "max" else int(quota) / int(period or 100_000)


def container_memory() -> int | None:
    """The control group's memory limit in bytes; None without one."""
    limit = _read(CGROUP / "memory.max")
    return None if limit in (None, "max", "") else int(limit or 0)


def memory_available() -> int:
    """Bytes that a worker may take: what the system has free, or less where the container allows less."""
    free = int(psutil.virtual_memory().available)
    limit = container_memory()
    return free if limit is None else min(free, limit)


def versions() -> dict[str, str]:
    """Installed versions by package, without importing any."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _blas() -> dict[str, str]:
    import numpy  # noqa: F401  threadpoolctl sees the libraries that are loaded
    from threadpoolctl import threadpool_info

    return {
        f"blas ({item['internal_api']})": f"{item.get('version')} {item.get('architecture', '')}".strip()
        for item in threadpool_info()
        if item["user_api"] == "blas"
    }


def _git(*arguments: str) -> str | None:
    if shutil.which("git") is None:
        return None
    answer = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None


def _power_source() -> str | None:
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError):
        return None
    return None if battery is None else "mains" if battery.power_plugged else "battery"


def identify(environment: Environment) -> str:
    """A short hash of what identifies machine and software; loads, limits and commits do not enter."""
    identifying = {name: getattr(environment, name) for name in IDENTIFYING}
    if environment.node is not None:
        identifying["node"] = environment.node
    return hashlib.sha256(wire.encode(_sorted(identifying))).hexdigest()[:12]


def _sorted(values: Mapping[str, object]) -> dict[str, object]:
    return {
        key: _sorted(value) if isinstance(value, Mapping) else value for key, value in sorted(values.items())
    }


def capture(*, threads: int, backend: str, country: str | None = None) -> Environment:
    """The environment of this process and machine; `backend` is the one Keras will be given."""
    dirty = _git("status", "--porcelain")
    environment = Environment(
        id="",
        os=f"{platform.system()} {platform.release()}",
        cpu=cpu_model(),
        cores=psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        threads=threads,
        memory_bytes=int(psutil.virtual_memory().total),
        accelerator=_accelerator(),
        governor=_read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        container_cpu_limit=_cpu_limit(),
        container_memory_bytes=container_memory(),
        versions={**versions(), **_blas(), "keras backend": backend},
        commit=_git("rev-parse", "HEAD"),
        dirty=None if dirty is None else bool(dirty),
        power_source=_power_source(),
        country=country,
        load_before=os.getloadavg()[0],
    )
    return replace(environment, id=identify(environment))


def differences(one: Environment, other: Environment) -> list[str]:
    """What identifies the two environments and differs, a line each."""
    first, second = asdict(one), asdict(other)
    return [f"{name}: {first[name]} / {second[name]}" for name in IDENTIFYING if first[name] != second[name]]
