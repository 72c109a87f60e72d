"""Stands for nvidia-ml-py where this folder is on the path: one GPU, replayed from a recorded stream since
this was imported. Counters over it say ``replayed``."""

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from counters import NVMLError, Recording

REPLAYED = True
GPU = Recording.load(Path(__file__).parent.parent / "recorded" / "gpu.json")
BEGIN = time.monotonic()

__all__ = ["REPLAYED", "NVMLError"]


def nvmlInit() -> None:
    """There is always a driver."""


def nvmlDeviceGetCount() -> int:
    return 1


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetUUID(handle: int) -> str:
    return "GPU-replayed"


def nvmlDeviceGetName(handle: int) -> str:
    return "replayed GPU"


def nvmlDeviceGetMigMode(handle: int) -> list[int]:
    raise NVMLError(3)


def nvmlDeviceGetTotalEnergyConsumption(handle: int) -> int:
    return GPU.reading(time.monotonic() - BEGIN)


def nvmlDeviceGetPowerUsage(handle: int) -> int:
    return round(GPU.power.watts(time.monotonic() - BEGIN) * 1000)
