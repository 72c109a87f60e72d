"""Which of a machine's GPUs a process may use, in NVML's numbers, so that no other one's energy is counted.

CUDA numbers GPUs with the fastest first unless CUDA_DEVICE_ORDER says PCI_BUS_ID; NVML numbers them as they
lie on the bus (NVIDIA, CUDA programming guide, on environment variables).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A GPU as NVML tells it."""

    index: int
    uuid: str
    model: str

    @property
    def name(self) -> str:
        """As NVML and nvidia-smi number it."""
        return f"gpu-{self.index}"


class VisibilityError(Exception):
    """It cannot be told which GPUs these are; `advice` is the command that would tell."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


def visible(devices: Sequence[Device], environment: Mapping[str, str]) -> list[Device]:
    """The GPUs that CUDA shows; as CUDA does, what stands behind the first wrong name is hidden.

    Raises VisibilityError where they are parts of a GPU, or numbers among GPUs of several models.
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(devices)
    chosen: list[Device] = []
    for name in (part.strip() for part in named.split(",")):
        if name.startswith("MIG-"):
            raise VisibilityError(
                "CUDA_VISIBLE_DEVICES names a part of a GPU, and only whole GPUs count energy",
                "sudo nvidia-smi -mig 0",
            )
        if name.isdigit():
            _require_one_order(devices, environment)
            found = [device for device in devices if device.index == int(name)]
        else:
            found = [device for device in devices if name and device.uuid.startswith(name)]
        if len(found) != 1 or found[0] in chosen:
            break
        chosen += found
    return chosen


def _require_one_order(devices: Sequence[Device], environment: Mapping[str, str]) -> None:
    several_models = len({device.model for device in devices}) > 1
    if several_models and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise VisibilityError(
            "CUDA_VISIBLE_DEVICES numbers GPUs of several models by speed and NVML by their place",
            "export CUDA_DEVICE_ORDER=PCI_BUS_ID",
        )
