"""CIFAR-10 out of a local folder: the published binary version, or PNG files in a folder for each class.

A record of the binary version is a byte for the class and 3,072 for the pixels: 1,024 red ones row by row,
then green, then blue (https://www.cs.toronto.edu/~kriz/cifar.html).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from suites.tasks.data import DataMissing
from suites.tasks.labelled_images import Picture, picture, split

SIDE = 32
SHAPE = (SIDE, SIDE, 3)
RECORD = 1 + SIDE * SIDE * 3
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
BINARY_FOLDER = "cifar-10-batches-bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Both sides of what a folder holds, in which form it was, and the names of what was read."""

    train: list[Picture]
    test: list[Picture]
    form: str
    origin: str


def image(pixels: np.ndarray, label: int) -> Picture:
    """An image with its key; raises ValueError for one that is not 32×32 RGB."""
    return picture(pixels, label, SHAPE, "an image of CIFAR-10")


def read_folder(folder: Path) -> Found:
    """Whatever form of CIFAR-10 is in `folder`; raises DataMissing, which says what is expected."""
    if not folder.is_dir():
        raise DataMissing(f"the folder {str(folder)!r}, which should hold CIFAR-10, does not exist")
    for place in (folder, folder / BINARY_FOLDER):
        if (place / TEST_FILE).is_file():
            return _binary(place)
    if all(_class_folders(folder / side) for side in ("train", "test")):
        return Found(
            train=_pictures(folder / "train"),
            test=_pictures(folder / "test"),
            form="PNG files with a split",
            origin="train, test",
        )
    if _class_folders(folder):
        train, test = split(_pictures(folder))
        return Found(
            train=train,
            test=test,
            form="PNG files without a split, split by their pixels",
            origin="class folders",
        )
    pickled = " (its pickled files are not read)" if (folder / "test_batch").is_file() else ""
    raise DataMissing(
        f"the folder {str(folder)!r} does not hold CIFAR-10{pickled}: put in the binary version"
        f" ({TRAIN_FILES[0]} to {TRAIN_FILES[-1]} and {TEST_FILE}), or PNG files in folders named"
        f" {', '.join(CLASSES)}, under train and test or directly"
    )


def _binary(folder: Path) -> Found:
    return Found(
        train=[one for name in TRAIN_FILES for one in read_records(folder / name)],
        test=read_records(folder / TEST_FILE),
        form="binary version",
        origin=", ".join((*TRAIN_FILES, TEST_FILE)),
    )


def read_records(path: Path) -> list[Picture]:
    """The images of one file of the binary version; raises DataMissing for one that is absent or damaged."""
    if not path.is_file():
        raise DataMissing(f"CIFAR-10's binary version lacks {path.name}")
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if not content.size or content.size % RECORD:
        raise DataMissing(f"{path.name} has {content.size} bytes, not whole records of {RECORD}")
    records = content.reshape(-1, RECORD)
    labels = records[:, 0].astype(int)
    if labels.max() >= len(CLASSES):
        raise DataMissing(f"{path.name} has a label of {labels.max()}; CIFAR-10 has classes 0 to 9")
    pixels = records[:, 1:].reshape(-1, SHAPE[-1], SIDE, SIDE).transpose(0, 2, 3, 1)
    return [image(one, int(label)) for one, label in zip(pixels, labels, strict=True)]


def _class_folders(folder: Path) -> list[tuple[int, Path]]:
    return [(label, folder / name) for label, name in enumerate(CLASSES) if (folder / name).is_dir()]


def _pictures(folder: Path) -> list[Picture]:
    found = [
        _opened(path, label)
        for label, place in _class_folders(folder)
        for path in sorted(place.glob("*.png"))
    ]
    if not found:
        raise DataMissing(f"the class folders in {str(folder)!r} hold no PNG files")
    return found


def _opened(path: Path, label: int) -> Picture:
    pillow: Any = importlib.import_module("PIL.Image")
    try:
        with pillow.open(path, formats=("PNG",)) as opened:
            pixels = np.asarray(opened.convert("RGB"))
    except OSError as error:
        raise DataMissing(f"{path.parent.name}/{path.name} is not a readable PNG file: {error}") from error
    if pixels.shape != SHAPE:
        raise DataMissing(
            f"{path.parent.name}/{path.name} has {pixels.shape[1]}×{pixels.shape[0]} pixels, not 32×32"
        )
    return image(pixels, label)
