"""All that was done to one trained model: attacks, gates, figures, and the texts that fooled it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bench import wire
from suites.attacks.gates import Gate
from suites.attacks.outcome import Attacked
from suites.learning.checkpoints import Shelf

Figure = tuple[str, str]
"""A metric, and what stands after the task in its subject (empty for the task itself)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adversarial:
    """The texts that an attack left, one for each attacked test text, and where they fooled the model."""

    attack: str
    budget: float
    family: str
    texts: tuple[str, ...]
    fooled: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """`right` is bool ``[n]``: right before any attack. `unsupported` names attacks that cannot be made."""

    right: np.ndarray
    attacked: tuple[Attacked, ...]
    gates: tuple[Gate, ...]
    figures: Mapping[Figure, np.ndarray] = field(default_factory=dict)
    unsupported: Mapping[str, str] = field(default_factory=dict)
    adversarial: tuple[Adversarial, ...] = ()

    def keep(self, folder: str, task: str, implementation: str, seed: int) -> None:
        """Put the adversarial texts beside the model's weights, for who asks whether they fool others too."""
        if self.adversarial:
            shelf = Shelf(folder, task, implementation)
            found = Found(implementation=implementation, found=self.adversarial)
            shelf.write(_name(seed), wire.pretty(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file of adversarial texts: whose."""

    implementation: str
    found: tuple[Adversarial, ...]


def found_against(folder: str, task: str, seed: int) -> list[Found]:
    """The adversarial texts of all implementations that were attacked on a task, by name."""
    paths = sorted(Shelf(folder, task, "").path.parent.glob(f"*/{_name(seed)}"))
    read = [wire.decode(path.read_bytes(), Found) for path in paths]
    return sorted(read, key=lambda one: one.implementation)


def _name(seed: int) -> str:
    return f"adversarial-{seed}.json"
