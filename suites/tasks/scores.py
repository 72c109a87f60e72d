"""How outputs are scored: one value for each test example, so that intervals can be taken over examples.

PSNR in decibels and SSIM are scikit-image's, for colours in 0 to 1.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from suites.tasks.data import Score

UNITS: dict[Score, dict[str, str]] = {
    "accuracy": {"accuracy": "fraction"},
    "image_quality": {"psnr": "dB", "ssim": "index"},
}

# The PSNR of a perfect answer is infinite, which no mean survives. 100 dB is an error of 1e-5 of the range,
# far below the half grey level (54 dB) that an 8-bit photograph resolves.
PSNR_CEILING = 100.0


LOWER_IS_BETTER = frozenset({"bits_per_byte", "perplexity"})
"""The metrics of which less is better; of all others more is."""


def accuracy(outputs: np.ndarray, targets: np.ndarray) -> dict[str, list[float]]:
    """1.0 where the largest of `outputs` ``[examples, classes]`` is the label in `targets` ``[examples]``."""
    return {"accuracy": (outputs.argmax(axis=-1) == targets).astype(float).tolist()}


def image_quality(outputs: np.ndarray, targets: np.ndarray) -> dict[str, list[float]]:
    """PSNR (dB) and SSIM of each patch, ``[examples, side * side, 3]`` row by row, colours in 0 to 1."""
    metrics: Any = importlib.import_module("skimage.metrics")
    psnr, ssim = [], []
    for output, target in zip(outputs, targets, strict=True):
        made, true = _image(output), _image(target)
        if np.mean((made - true) ** 2) <= 10 ** (-PSNR_CEILING / 10):
            psnr.append(PSNR_CEILING)
        else:
            psnr.append(float(metrics.peak_signal_noise_ratio(true, made, data_range=1.0)))
        ssim.append(float(metrics.structural_similarity(true, made, data_range=1.0, channel_axis=-1)))
    return {"psnr": psnr, "ssim": ssim}


def _image(tokens: np.ndarray) -> np.ndarray:
    side = round(len(tokens) ** 0.5)
    if side * side != len(tokens):
        raise ValueError(f"an image must have a square number of tokens, got {len(tokens)}")
    return tokens.astype(np.float64).reshape(side, side, -1)


def score(name: Score, outputs: np.ndarray, targets: np.ndarray) -> dict[str, list[float]]:
    """Metric to per-example values; raises ValueError when outputs and targets do not fit each other."""
    if len(outputs) != len(targets):
        raise ValueError(f"there must be one output a target, got {len(outputs)} and {len(targets)}")
    return accuracy(outputs, targets) if name == "accuracy" else image_quality(outputs, targets)
