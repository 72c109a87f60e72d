"""Handwritten digits (MNIST) pixel by pixel: the same images and split as `digits`, as long sequences.

Each token is one pixel in 0 to 1, row by row: 784 of them at 28×28 (sequential MNIST, Le, Jaitly and Hinton
2015, arXiv:1504.00941), so that a variant must put a stroke together over hundreds of tokens which tell
nothing alone.

Own settings: ``side``, a divisor of 28 (default 28): smaller images are means over blocks of pixels, 196
tokens at 14. `Task.max_length` must cover the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from bench.schema import Task
from suites.tasks import digits
from suites.tasks.data import TaskData, count_setting
from suites.tasks.labelled_images import Picture, classification, intensities

OWN_SETTINGS = frozenset({"side"})


def load(task: Task) -> TaskData:
    """The task's data: inputs are pixels ``[examples, side * side, 1]`` (float32, 0 to 1).

    Raises:
        DataMissing: the package, or the data set on Hugging Face, is not there.
        ValueError: for a side that does not divide 28, or more tokens than `max_length`.
    """
    side = count_setting(task, "side", digits.SIDE) or digits.SIDE
    if digits.SIDE % side:
        raise ValueError(f"{task.name}: side must divide {digits.SIDE}, got {side}")
    if task.max_length < side * side:
        raise ValueError(f"{task.name}: {side * side} pixels do not fit into max_length {task.max_length}")
    tokens = partial(pixels, side=side)
    return classification(
        task, digits.read(task), tokens, OWN_SETTINGS, patch_width=1, classes=digits.CLASSES
    )


def pixels(pictures: Sequence[Picture], side: int) -> np.ndarray:
    """Tokens ``[digits, side * side, 1]``: the mean of each block of pixels, row by row."""
    block = digits.SIDE // side
    blocks = intensities(pictures).reshape(len(pictures), side, block, side, block)
    means: np.ndarray = blocks.mean(axis=(2, 4))
    return means.reshape(len(pictures), side * side, 1)
