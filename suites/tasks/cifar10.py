"""CIFAR-10 (Krizhevsky 2009) as sequences of patches: which of ten things does a small photograph show?

50,000 training and 10,000 test images of 32×32 RGB pixels, through Hugging Face (``uoft-cs/cifar10``) or
from a folder. An image becomes 64 tokens of 4×4×3 = 48 values in 0 to 1. The published split is kept;
training images equal to a test image are left out.

Own settings: ``folder``, a local folder with the published binary version (``data_batch_1.bin`` to
``data_batch_5.bin`` and ``test_batch.bin``), or with one folder of PNG files a class, ``airplane`` to
``truck``, under ``train`` and ``test`` or, where the split is lost, directly. What is in
such a folder directly is split by the pixels' hash as `digits` is, and the source says so. The version for
Python is pickled and is not read.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import Task
from suites.tasks.cifar10_files import CLASSES, SHAPE, SIDE, image, read_folder
from suites.tasks.data import Source, TaskData, source_of
from suites.tasks.huggingface import load_splits
from suites.tasks.labelled_images import (
    Picture,
    Sides,
    classification,
    content_hash,
    intensities,
    without_copies,
)
from suites.tasks.patches import PatchLayout

CANONICAL = "uoft-cs/cifar10"
OWN_SETTINGS = frozenset({"folder"})
PATCH = 4
LAYOUT = PatchLayout(SIDE, PATCH, SHAPE[-1])
COMPONENTS = 64


def load(task: Task) -> TaskData:
    """The task's data: inputs are patches ``[examples, 64, 48]`` (float32, 0 to 1).

    Raises:
        DataMissing: the data set is not to be had from Hugging Face, or the folder does not hold it.
        ValueError: for a setting that has no meaning here.
    """
    width = PATCH * PATCH * SHAPE[-1]
    return classification(task, read(task), patches, OWN_SETTINGS, patch_width=width, classes=len(CLASSES))


def read(task: Task) -> Sides:
    """Training and test images from the folder where one is set, otherwise from Hugging Face."""
    has_folder = "folder" in task.settings
    source = source_of(task, ("folder", "huggingface") if has_folder else ("huggingface", "folder"))
    if has_folder != (source == "folder"):
        raise ValueError(f"{task.name}: source 'folder' and the setting folder go together, got {source!r}")
    return _from_folder(task) if has_folder else _from_huggingface(task)


def _from_folder(task: Task) -> Sides:
    found = read_folder(Path(str(task.settings["folder"])).expanduser())
    kept, counts = without_copies(found.train, found.test)
    source = Source(
        name=f"CIFAR-10, {found.form}",
        version="as found",
        sha256=content_hash(found.train, found.test),
        licence="none stated; images collected by Krizhevsky, Nair and Hinton",
        origin=found.origin,
    )
    return kept, found.test, source, counts


def _from_huggingface(task: Task) -> Sides:
    otherwise = "set folder to a local copy (the binary version, or PNG files by class)"
    found = load_splits(task, CANONICAL, ("img", "label"), otherwise=otherwise)
    train, test = (
        [image(np.asarray(row["img"]), int(row["label"])) for row in side]
        for side in (found.train, found.test)
    )
    kept, counts = without_copies(train, test)
    return kept, test, found.source(content_hash(train, test)), counts


def patches(images: Sequence[Picture]) -> np.ndarray:
    """Tokens ``[images, 64, 48]``: patches row by row, their pixels row by row, red, green and blue."""
    return LAYOUT.from_image(intensities(images))


def principal_components(data: TaskData) -> dict[str, list[float]]:
    """Logistic regression on the pixels' first 64 principal components, scaled to unit variance."""
    decomposition: Any = importlib.import_module("sklearn.decomposition")
    linear_model: Any = importlib.import_module("sklearn.linear_model")
    train, test = (side[0].reshape(len(side[0]), -1) for side in (data.train_inputs, data.test_inputs))
    components = min(COMPONENTS, *train.shape)
    reduced = decomposition.PCA(components, whiten=True, svd_solver="randomized", random_state=0).fit(train)
    model = linear_model.LogisticRegression(max_iter=2000)
    answers = model.fit(reduced.transform(train), data.train_targets).predict(reduced.transform(test))
    return {"accuracy": (answers == data.test_targets).astype(float).tolist()}
