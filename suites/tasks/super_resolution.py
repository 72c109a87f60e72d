"""Photographs at four times the size, with the document's image generator.

The photographs and split of `photographs`. The encoder sees a patch of a quarter of its side, each pixel
the mean colour of 4×4 (box filter) and laid out 4×4 times, so that it has as many tokens as the decoder:
several variants can attend to a context of their own length only. Channels 0 to 2 are a token's red, green
and blue, stretched as `photographs` stretches grey, then come 61 features of its position. The decoder sees
positions only (channels 0 to 2 are 0), and must look the colours up. The target is RGB in 0 to 1, scored by
PSNR and SSIM on RGB; published super-resolution often scores luminance after a bicubic shrink, so figures
are to be held against the baselines here and not against the literature's.

Own settings: ``side``, the side of a patch in pixels (default 32), a multiple of 4.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np

from bench.schema import Task
from suites.tasks.data import TaskData
from suites.tasks.photographs import (
    CHANNELS,
    GREY_CENTRE,
    GREY_GAIN,
    Patch,
    colours,
    generation,
    position_features,
    side_of,
)
from suites.tasks.scores import image_quality

FACTOR = 4
COLOURS = 3


def load(task: Task) -> TaskData:
    """The task's data: inputs are encoder and decoder tokens, each ``[examples, side * side, 64]`` (float32).

    Raises:
        DataMissing: a package that carries the photographs is not installed.
        ValueError: for a setting that has no meaning here.
    """
    if side_of(task) % FACTOR:
        raise ValueError(f"{task.name}: side must be a multiple of {FACTOR}, got {side_of(task)}")
    return generation(task, coarse_and_fine_tokens)


def shrunk(patches: Sequence[Patch]) -> np.ndarray:
    """The mean colours ``[patches, side / 4, side / 4, 3]`` (float32) of blocks of 4×4 pixels, in 0 to 1."""
    small = patches[0].pixels.shape[0] // FACTOR
    blocks = colours(patches).reshape(len(patches), small, FACTOR, small, FACTOR, COLOURS)
    means: np.ndarray = blocks.mean(axis=(2, 4))
    return means


def repeated(small: np.ndarray) -> np.ndarray:
    """Images ``[n, side, side, 3]`` in which each pixel of small ones stands 4×4 times."""
    return small.repeat(FACTOR, axis=1).repeat(FACTOR, axis=2)


def coarse_and_fine_tokens(patches: Sequence[Patch]) -> tuple[np.ndarray, np.ndarray]:
    """Both inputs, ``[patches, side * side, 64]``; the second repeats one array as a view."""
    side = patches[0].pixels.shape[0]
    features = position_features(side)[:, : CHANNELS - COLOURS]
    decoder = np.concatenate([np.zeros((side * side, COLOURS), np.float32), features], axis=-1)
    shape = (len(patches), side * side, CHANNELS)
    encoder = np.broadcast_to(decoder, shape).copy()
    coarse = repeated(shrunk(patches)).reshape(len(patches), -1, COLOURS)
    encoder[:, :, :COLOURS] = GREY_GAIN * (coarse - GREY_CENTRE)
    return encoder, np.broadcast_to(decoder, shape)


def small_of(encoder_tokens: np.ndarray) -> np.ndarray:
    """The small images ``[patches, side / 4, side / 4, 3]`` in 0 to 1 that encoder tokens hold."""
    side = isqrt(encoder_tokens.shape[1])
    values: np.ndarray = encoder_tokens[:, :, :COLOURS] / GREY_GAIN + GREY_CENTRE
    return values.reshape(-1, side, side, COLOURS)[:, ::FACTOR, ::FACTOR]


def bicubic(data: TaskData) -> dict[str, np.ndarray]:
    """Each small image enlarged by cubic splines (scikit-image's resize of order 3), cut off at 0 and 1."""
    transform: Any = importlib.import_module("skimage.transform")
    small = small_of(data.test_inputs[0]).astype(np.float64)
    size = (small.shape[1] * FACTOR, small.shape[2] * FACTOR)
    large = [transform.resize(one, size, order=3, mode="edge", anti_aliasing=False) for one in small]
    return image_quality(np.clip(large, 0, 1).reshape(data.test_targets.shape), data.test_targets)


def nearest(data: TaskData) -> dict[str, np.ndarray]:
    """Each pixel the colour of the block that it lies in."""
    large = repeated(small_of(data.test_inputs[0]))
    return image_quality(large.reshape(data.test_targets.shape), data.test_targets)
