"""Colours of photographs from their grey values: the document's image generator on real pictures.

32×32 patches, side by side, of the ten RGB scenes that the wheels of scikit-image and scikit-learn carry.
Whole scenes are held out for the test, fixed by name; two views of one scene are on one side. The
encoder sees 1,024 tokens: a pixel's grey value in channel 0, then 63 features of its position. The decoder
sees positions only (channel 0 is 0), and must look the grey values up. The target is RGB in 0 to 1.

Grey is centred and stretched to -2 to 2, or 63 position channels would drown it. The features of a
position (row r, column c) are sines and cosines of 2 pi f (r cos a + c sin a) / side, for four directions a
and eight frequencies f in a geometric series from half a wave a patch to nearly the finest that pixels
hold; the last cosine is left out. Low ones tell far places apart, high ones neighbours. They are fixed
Fourier features as in Tancik et al. 2020 (arXiv:2006.10739), but chosen, not drawn at random.

Own settings: ``side``, the side of a patch in pixels (default 32); the tokens are its square.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import Task
from suites.tasks.data import (
    Source,
    TaskData,
    architecture_settings,
    count_setting,
    digest,
    source_of,
)
from suites.tasks.installed import data_file, installed
from suites.tasks.scores import image_quality

SIDE = 32
OWN_SETTINGS = frozenset({"side"})
CHANNELS = 64
GREY_CHANNEL = 0
GREY_CENTRE, GREY_GAIN = 0.5, 4.0
# Rec. 709, as scikit-image's own conversion to grey has it.
GREY_WEIGHTS = np.array([0.2125, 0.7154, 0.0721])

IMAGE, SAMPLE = ("scikit-image", "skimage/data"), ("scikit-learn", "sklearn/datasets/images")
TRAIN_SCENES: Mapping[str, tuple[tuple[str, str], tuple[str, ...]]] = {
    "astronaut": (IMAGE, ("astronaut.png",)),
    "flower": (SAMPLE, ("flower.jpg",)),
    "hubble": (IMAGE, ("hubble_deep_field.jpg",)),
    "ihc": (IMAGE, ("ihc.png",)),
    "motorcycle": (IMAGE, ("motorcycle_left.png", "motorcycle_right.png")),
    "retina": (IMAGE, ("retina.jpg",)),
    "rocket": (IMAGE, ("rocket.jpg",)),
}
TEST_SCENES: Mapping[str, tuple[tuple[str, str], tuple[str, ...]]] = {
    "chelsea": (IMAGE, ("chelsea.png",)),
    "china": (SAMPLE, ("china.jpg",)),
    "coffee": (IMAGE, ("coffee.png",)),
}


@dataclass(frozen=True, slots=True)
class Patch:
    """Pixels ``[side, side, 3]`` (uint8), the scene they are cut from and their SHA-256."""

    pixels: np.ndarray
    scene: str
    key: str


def load(task: Task) -> TaskData:
    """The task's data: inputs are encoder and decoder tokens, each ``[examples, side * side, 64]`` (float32).

    Examples are taken from the scenes in turn, so that a large scene does not outweigh the others.

    Raises:
        DataMissing: a package that carries the photographs is not installed.
        ValueError: for a setting that has no meaning here.
    """
    return generation(task, encoder_and_decoder_tokens)


def generation(task: Task, tokens: Callable[[Sequence[Patch]], tuple[np.ndarray, np.ndarray]]) -> TaskData:
    """The task of making colours out of `tokens`, the generator's two inputs; raises as `load` does."""
    source_of(task, known=("packages",))
    if task.width != CHANNELS:
        raise ValueError(
            f"{task.name}: width must be {CHANNELS}, the channels of its tokens; got {task.width}"
        )
    side = side_of(task)
    files = [file for scenes in (TRAIN_SCENES, TEST_SCENES) for file in _files(scenes)]
    train = choose(cut_scenes(TRAIN_SCENES, side), count_setting(task, "train_examples"))
    test = choose(cut_scenes(TEST_SCENES, side), count_setting(task, "test_examples"))
    return TaskData(
        train_inputs=tokens(train),
        train_targets=colours(train),
        test_inputs=tokens(test),
        test_targets=colours(test),
        loss="mean_squared_error",
        score="image_quality",
        source=_source(files),
        settings=architecture_settings(task, OWN_SETTINGS),
        counts={"side": side, "train_scenes": len(TRAIN_SCENES), "test_scenes": len(TEST_SCENES)},
    )


def side_of(task: Task) -> int:
    """The side of the task's patches in pixels; raises ValueError for what is no positive whole number."""
    return count_setting(task, "side", SIDE) or SIDE


def _files(scenes: Mapping[str, tuple[tuple[str, str], tuple[str, ...]]]) -> Iterator[tuple[str, Path]]:
    """The scene's name and the place of each of its files."""
    for scene, ((package, folder), names) in scenes.items():
        for name in names:
            yield scene, data_file(installed(package), f"{folder}/{name}")


def _source(files: Sequence[tuple[str, Path]]) -> Source:
    packages = (IMAGE[0], SAMPLE[0])
    return Source(
        name="photographs out of " + " and ".join(packages) + " (PyPI)",
        version=", ".join(f"{package} {installed(package).version}" for package in packages),
        sha256=digest("".join(digest(path.read_bytes()) for _, path in files).encode()),
        licence="each photograph's own, listed in the packages; china and flower CC BY 2.0",
        origin=", ".join(path.name for _, path in files),
    )


def cut_scenes(scenes: Mapping[str, tuple[tuple[str, str], tuple[str, ...]]], side: int) -> list[Patch]:
    """All patches of these scenes that lie wholly inside, without overlap."""
    image: Any = importlib.import_module("PIL.Image")
    found: list[Patch] = []
    for scene, path in _files(scenes):
        with image.open(path) as opened:
            found.extend(cut(np.asarray(opened.convert("RGB")), scene, side))
    return found


def cut(picture: np.ndarray, scene: str, side: int) -> Iterator[Patch]:
    """The patches of one picture ``[height, width, 3]``, row by row."""
    height, width = (length // side * side for length in picture.shape[:2])
    for top in range(0, height, side):
        for left in range(0, width, side):
            pixels = np.ascontiguousarray(picture[top : top + side, left : left + side])
            yield Patch(pixels, scene, digest(pixels.tobytes()))


def choose(patches: Sequence[Patch], limit: int | None) -> list[Patch]:
    """The first `limit` patches, scene by scene in turn, within a scene in the order of their hash."""
    scenes: dict[str, list[Patch]] = {}
    for patch in sorted(patches, key=lambda one: (one.scene, one.key)):
        scenes.setdefault(patch.scene, []).append(patch)
    in_turn = chain.from_iterable(zip_longest(*scenes.values()))
    return [patch for patch in in_turn if patch is not None][:limit]


@functools.cache
def position_features(side: int) -> np.ndarray:
    """Fixed Fourier features ``[side * side, 63]`` (float32) of the pixels' positions, row by row."""
    frequencies = np.geomspace(0.5, side / 2 / np.sqrt(2), 8)
    rows, columns = np.divmod(np.arange(side * side), side)
    waves = []
    for direction in np.pi * np.arange(4) / 4:
        along = rows * np.cos(direction) + columns * np.sin(direction)
        angles = 2 * np.pi * frequencies * along[:, None] / side
        waves.extend([np.sin(angles), np.cos(angles)])
    features: np.ndarray = np.concatenate(waves, axis=-1)[:, : CHANNELS - 1].astype(np.float32)
    return features


def grey(patches: Sequence[Patch]) -> np.ndarray:
    """Grey values ``[patches, side * side]`` (float32) in 0 to 1."""
    values: np.ndarray = colours(patches) @ GREY_WEIGHTS.astype(np.float32)
    return values


def grey_of(encoder_tokens: np.ndarray) -> np.ndarray:
    """The grey values in 0 to 1 that encoder tokens ``[patches, side * side, 64]`` hold."""
    values: np.ndarray = encoder_tokens[:, :, GREY_CHANNEL] / GREY_GAIN + GREY_CENTRE
    return values


def colours(patches: Sequence[Patch]) -> np.ndarray:
    """RGB ``[patches, side * side, 3]`` (float32) in 0 to 1."""
    pixels = np.stack([patch.pixels for patch in patches]).astype(np.float32) / 255
    return pixels.reshape(len(patches), -1, 3)


def encoder_and_decoder_tokens(patches: Sequence[Patch]) -> tuple[np.ndarray, np.ndarray]:
    """Both inputs, ``[patches, side * side, 64]``; the second repeats one array as a view."""
    side = patches[0].pixels.shape[0]
    shape = (len(patches), side * side, CHANNELS)
    decoder = np.concatenate([np.zeros((side * side, 1), np.float32), position_features(side)], axis=-1)
    encoder = np.broadcast_to(decoder, shape).copy()
    encoder[:, :, GREY_CHANNEL] = GREY_GAIN * (grey(patches) - GREY_CENTRE)
    return encoder, np.broadcast_to(decoder, shape)


def grey_repeated(data: TaskData) -> dict[str, np.ndarray]:
    """The trivial answer that keeps the picture and has no colour: the grey value for red, green and blue."""
    values = grey_of(data.test_inputs[0])
    return image_quality(np.repeat(values[:, :, None], 3, axis=-1), data.test_targets)


def mean_colour(data: TaskData) -> dict[str, np.ndarray]:
    """The trivial answer that has no picture: the mean colour of the training patches, everywhere."""
    mean = data.train_targets.mean(axis=(0, 1), dtype=np.float64)
    return image_quality(np.broadcast_to(mean, data.test_targets.shape), data.test_targets)
