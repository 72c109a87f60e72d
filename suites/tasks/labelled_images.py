"""What tasks of classified images share: keys by content, a split, and the way from pixels to data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from bench.schema import Option, Task
from suites.tasks.data import (
    Source,
    TaskData,
    architecture_settings,
    count_setting,
    digest,
    held_out,
    in_fixed_order,
)

TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels (uint8), the number of the class they show, and the SHA-256 of the pixels."""

    pixels: np.ndarray
    label: int
    key: str


Sides: TypeAlias = tuple[list[Picture], list[Picture], Source, dict[str, int]]
"""Training and test pictures, where they come from, and counts of what was read and left out."""


def picture(pixels: np.ndarray, label: int, shape: tuple[int, ...], kind: str) -> Picture:
    """The picture with its key; raises ValueError for pixels of another shape than a `kind` has."""
    if pixels.shape != shape:
        raise ValueError(f"{kind} must have shape {shape}, got {pixels.shape}")
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    return Picture(pixels, label, digest(pixels.tobytes()))


def split(pictures: Iterable[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Training and test pictures, about 4 to 1, by their pixels alone."""
    sides: tuple[list[Picture], list[Picture]] = ([], [])
    for one in pictures:
        sides[held_out(one.key, TEST_SHARE)].append(one)
    return sides


def without_copies(train: Sequence[Picture], test: Sequence[Picture]) -> tuple[list[Picture], dict[str, int]]:
    """The training pictures that no test picture equals, and the counts of all read and of those left out."""
    tested = {one.key for one in test}
    kept = [one for one in train if one.key not in tested]
    return kept, {"images_read": len(train) + len(test), "left_out_of_training": len(train) - len(kept)}


def content_hash(*sides: Sequence[Picture]) -> str:
    """The SHA-256 of all labels and pixels, side by side, in their order."""
    return digest("\n".join(f"{one.label}\t{one.key}" for side in sides for one in side).encode())


def intensities(pictures: Sequence[Picture]) -> np.ndarray:
    """The pixels of all pictures ``[pictures, …]`` (float32) in 0 to 1."""
    return np.stack([one.pixels for one in pictures]).astype(np.float32) / np.float32(255)


def classification(
    task: Task,
    sides: Sides,
    tokens: Callable[[Sequence[Picture]], np.ndarray],
    own: frozenset[str] = frozenset(),
    **found: Option,
) -> TaskData:
    """The task of telling the pictures' classes, from `tokens` ``[examples, time, patch_width]`` of them.

    `own` names the loader's settings and `found` goes to the architecture. Raises ValueError for limits
    that are not positive whole numbers.
    """
    train, test, source, counts = sides
    train = in_fixed_order(train, lambda one: one.key, count_setting(task, "train_examples"))
    test = in_fixed_order(test, lambda one: one.key, count_setting(task, "test_examples"))
    return TaskData(
        train_inputs=(tokens(train),),
        train_targets=np.array([one.label for one in train], dtype=np.int64),
        test_inputs=(tokens(test),),
        test_targets=np.array([one.label for one in test], dtype=np.int64),
        loss="cross_entropy",
        score="accuracy",
        source=source,
        settings=architecture_settings(task, own, **found),
        counts=counts,
    )
