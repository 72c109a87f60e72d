"""Trained weights in a run's folder: safetensors, with a JSON file beside each that says what it is.

Names of variants come from outside, so they never become paths: a folder's name is what is harmless of
the name and a hash of all of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from bench import wire
from suites.tasks.data import digest

HARMLESS = re.compile(r"[^A-Za-z0-9_@-]+")
READABLE = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which learning rate an implementation got on a task, and what each rate of the grid came to on the
    validation examples (None where training diverged)."""

    learning_rate: float
    validation: Mapping[str, float | None]
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a file of weights is: whose, of which task and seed, trained how, on which data."""

    implementation: str
    task: str
    seed: int
    learning_rate: float
    steps: int
    expansion: float
    weights_sha256: str
    data_sha256: str
    tool: str
    details: Mapping[str, str] = field(default_factory=dict)


def safe_name(name: str) -> str:
    """A name for a file or folder: readable, and another one for every other name."""
    return f"{HARMLESS.sub('_', name)[:READABLE]}-{digest(name.encode())[:8]}"


class Shelf:
    """Where one implementation's weights of one task stand."""

    def __init__(self, folder: str, task: str, implementation: str) -> None:
        if not folder:
            raise ValueError("a training needs a folder for its weights: start it from a run")
        self.path = Path(folder) / safe_name(task) / safe_name(implementation)

    def save(self, checkpoint: Checkpoint, weights: Mapping[str, np.ndarray]) -> None:
        """Put weights and what they are on disk; the description comes last and makes them count."""
        self.write_arrays(self._weights(checkpoint.seed), weights)
        self.write(self._about(checkpoint.seed).name, wire.pretty(checkpoint))

    def load(self, seed: int) -> tuple[Checkpoint, dict[str, np.ndarray]]:
        """The weights of a seed; raises FileNotFoundError where none were kept, ValueError where they are
        not those that were saved."""
        about = wire.decode(self._about(seed).read_bytes(), Checkpoint)
        weights = load_file(self._weights(seed))
        if hash_of(weights) != about.weights_sha256:
            raise ValueError(f"{self._weights(seed)} is not what was saved there: train again")
        return about, weights

    def choose(self, chosen: Chosen) -> None:
        """Keep the learning rate for the seeds that follow."""
        self.write("chosen.json", wire.pretty(chosen))

    @property
    def chosen(self) -> Chosen | None:
        """The learning rate that was chosen; None where no rate of the grid could be."""
        path = self.path / "chosen.json"
        return wire.decode(path.read_bytes(), Chosen) if path.is_file() else None

    def write_arrays(self, path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        """One safetensors file, whole or not there at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _aside(path)
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, temporary)
        temporary.replace(path)

    def read_arrays(self, path: Path) -> dict[str, np.ndarray] | None:
        """The arrays of a file; None where there is none."""
        return load_file(path) if path.is_file() else None

    def _weights(self, seed: int) -> Path:
        return self.path / f"seed-{seed}.safetensors"

    def _about(self, seed: int) -> Path:
        return self.path / f"seed-{seed}.json"

    def write(self, name: str, content: bytes) -> None:
        """A file beside the weights, whole or not there at all; `name` is ours, never one from outside."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _aside(path)
        temporary.write_bytes(content)
        temporary.replace(path)


def _aside(path: Path) -> Path:
    """Where a file is written before it takes its place; another one for every process."""
    return path.with_name(f"{path.name}.{os.getpid()}.new")


def hash_of(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and numbers, in the order of the names."""
    parts: list[Any] = []
    for name in sorted(weights):
        array = np.asarray(weights[name], order="C")
        parts.append(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest(b"".join(parts))
