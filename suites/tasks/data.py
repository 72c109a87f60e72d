"""What every task hands to a training: arrays on both sides of a fixed split, and where they come from.

A task's ``load(task) -> TaskData`` reads `Task.settings`:

- ``source``: ``"packages"`` (files inside installed packages) or ``"huggingface"`` (the canonical data set
  through Hugging Face `datasets`); by default packages, where they carry the data. One is never taken in
  place of the other.
- ``huggingface_name``: another name or a local folder for that data set.
- ``train_examples``, ``test_examples``: how many at most on each side, always the same ones.

and whatever else the task's own file names. All other settings go to the architecture as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np

from bench.schema import Option, Task
from suites.framework import Loss

Score = Literal[
    "accuracy",
    "token_accuracy",
    "accuracy_by_distance",
    "image_quality",
    "language",
    "language_tokens",
    "language_memory",
    "translation",
]
SOURCES = ("packages", "huggingface")
DATA_SETTINGS = frozenset({"source", "huggingface_name", "train_examples", "test_examples"})

Item = TypeVar("Item")


class DataMissing(Exception):  # noqa: N818 - reads as what it is, where it is raised and caught
    """Data that is not on this machine; the message says what to install or change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where data comes from. `sha256` is of the files as installed, or of the rows as loaded."""

    name: str
    version: str
    sha256: str
    licence: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """Both sides of a task, ready for the architecture.

    `train_inputs` and `test_inputs` are the model's positional inputs, each ``[examples, …]``;
    `train_targets` is integer labels ``[examples]``, token numbers ``[examples, time]`` with `NOT_SCORED`
    (-1) where nothing is asked, or float targets ``[examples, …]``. `settings` go to the architecture.
    `train_texts` and `test_texts` are the texts behind the token ids, where there are any, and `vocabulary`
    the word of each id from 2 on (0 is padding, 1 an unknown word). `pieces` are the bytes that each token id
    stands for, where ids spell text exactly (none for marks such as the beginning). `classes` are the
    names of the labels 0, 1, …, where they have names. `validation_examples` says how many of the first
    training examples are a validation side of the data's own; 0 leaves that to the engine. `counts` says what
    was read and what was left out, `notes` what else a measurement should carry.
    """

    train_inputs: tuple[np.ndarray, ...]
    train_targets: np.ndarray
    test_inputs: tuple[np.ndarray, ...]
    test_targets: np.ndarray
    loss: Loss
    score: Score
    source: Source
    settings: Mapping[str, Option] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    train_texts: tuple[str, ...] = ()
    test_texts: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    pieces: tuple[bytes, ...] = ()
    classes: tuple[str, ...] = ()
    validation_examples: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for side, inputs, targets in (
            ("train", self.train_inputs, self.train_targets),
            ("test", self.test_inputs, self.test_targets),
        ):
            lengths = {len(array) for array in (*inputs, targets)}
            if len(lengths) != 1 or 0 in lengths:
                raise ValueError(
                    f"the {side} side must have as many inputs as targets, and at least one; got {lengths}"
                )

    def details(self) -> dict[str, str]:
        """Source, hash, counts and names of classes (a JSON list): text that a measurement carries."""
        return {
            "data_source": self.source.name,
            "data_version": self.source.version,
            "data_sha256": self.source.sha256,
            "data_licence": self.source.licence,
            "data_origin": self.source.origin,
            "train_examples": str(len(self.train_targets)),
            "test_examples": str(len(self.test_targets)),
            **{name: str(count) for name, count in self.counts.items()},
            **({"classes": json.dumps(self.classes, ensure_ascii=False)} if self.classes else {}),
            **self.notes,
        }


def source_of(task: Task, known: Sequence[str] = SOURCES) -> str:
    """The source that the task's settings name, the first that is known where they name none.

    Raises ValueError for one that the task does not have.
    """
    source = str(task.settings.get("source", known[0]))
    if source not in known:
        raise ValueError(f"{task.name} has data from {' or '.join(known)}, got source {source!r}")
    return source


def count_setting(task: Task, name: str, default: int | None = None) -> int | None:
    """A setting that counts something; raises ValueError when it is not a positive whole number."""
    value = task.settings.get(name, default)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{task.name}: {name} must be a whole number of at least 1, got {value!r}")
    return value


def architecture_settings(
    task: Task, own: frozenset[str] = frozenset(), **found: Option
) -> dict[str, Option]:
    """The task's settings that are not about data (`own` names the loader's), and what the data gave."""
    return {**{k: v for k, v in task.settings.items() if k not in DATA_SETTINGS | own}, **found}


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def held_out(key: str, share: float) -> bool:
    """Whether an example whose content has this SHA-256 belongs to the test side of a split by content."""
    return int(key[:8], 16) < share * 16**8


def in_fixed_order(items: Sequence[Item], key: Callable[[Item], str], limit: int | None) -> list[Item]:
    """The first `limit` items in the order of their content's hash: mixed, and always the same ones."""
    return sorted(items, key=key)[:limit]
