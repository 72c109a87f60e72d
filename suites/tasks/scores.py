"""How outputs are scored: one value for each test example, so that intervals can be taken over examples.

Outputs and targets may come batch by batch: no value depends on another example.

PSNR in decibels and SSIM are scikit-image's, for colours in 0 to 1.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from suites.framework import NOT_SCORED
from suites.tasks.data import Score

UNITS: dict[Score, dict[str, str]] = {
    "accuracy": {"accuracy": "fraction"},
    "token_accuracy": {"accuracy": "fraction", "exact": "fraction"},
    "accuracy_by_distance": {"accuracy": "fraction", "accuracy_by_distance": "fraction"},
    "image_quality": {"psnr": "dB", "ssim": "index"},
    "language": {"bits_per_byte": "bits", "bits_by_position": "bits"},
    "language_tokens": {"bits_per_byte": "bits", "bits_by_position": "bits", "perplexity": "tokens"},
    "language_memory": {"bits_per_byte": "bits", "bits_by_position": "bits", "bits_per_byte_alone": "bits"},
    "translation": {
        "chrf": "chrF",
        "chrf_greedy": "chrF",
        "bleu": "BLEU",
        "bleu_greedy": "BLEU",
        "bits_per_byte": "bits",
    },
}

# The PSNR of a perfect answer is infinite, which no mean survives. 100 dB is an error of 1e-5 of the range,
# far below the half grey level (54 dB) that an 8-bit photograph resolves.
PSNR_CEILING = 100.0


LOWER_IS_BETTER = frozenset(
    {"bits_per_byte", "bits_per_byte_alone", "bits_by_position", "masked_loss", "perplexity"}
)
"""The metrics of which less is better; of all others more is."""


def accuracy(outputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """1.0 where the largest of `outputs` ``[examples, classes]`` is the label in `targets` ``[examples]``."""
    return {"accuracy": (outputs.argmax(axis=-1) == targets).astype(np.float64)}


def token_accuracy(outputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """The share of an example's scored tokens that are right, and 1.0 where all of them are.

    `outputs` are ``[examples, time, vocabulary]``, `targets` ``[examples, time]`` with `NOT_SCORED` where
    nothing is asked. Raises ValueError for an example of which nothing is asked.
    """
    return share_right(outputs.argmax(axis=-1), targets)


def share_right(answers: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """`token_accuracy` of token numbers ``[examples, time]``."""
    if answers.shape != targets.shape:
        raise ValueError(f"there must be one answer a target, got {answers.shape} and {targets.shape}")
    scored = targets != NOT_SCORED
    asked, right = scored.sum(axis=1), ((answers == targets) & scored).sum(axis=1)
    if not asked.all():
        raise ValueError(f"{int((asked == 0).sum())} of {len(targets)} examples have no scored token")
    return {"accuracy": right / asked, "exact": (right == asked).astype(np.float64)}


def image_quality(outputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
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
    return {"psnr": np.array(psnr), "ssim": np.array(ssim)}


def _image(tokens: np.ndarray) -> np.ndarray:
    side = round(len(tokens) ** 0.5)
    if side * side != len(tokens):
        raise ValueError(f"an image must have a square number of tokens, got {len(tokens)}")
    return tokens.astype(np.float64).reshape(side, side, -1)


_SCORERS: dict[Score, Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]] = {
    "accuracy": accuracy,
    "token_accuracy": token_accuracy,
    "image_quality": image_quality,
}


def score(name: Score, outputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Metric to values ``[examples]``.

    Raises ValueError when outputs and targets do not fit each other, and for a score that takes more than
    outputs and targets: its task names an evaluator.
    """
    if name not in _SCORERS:
        raise ValueError(f"{name} is scored by the evaluator that its task names; this one names none")
    if len(outputs) != len(targets):
        raise ValueError(f"there must be one output a target, got {len(outputs)} and {len(targets)}")
    return _SCORERS[name](outputs, targets)
