"""Common corruptions of images at five severities, after Hendrycks and Dietterich 2019 (arXiv:1903.12261).

Strengths that are intensities are ImageNet-C's: the deviation of Gaussian noise, the contrast that is left,
the brightness added, the quality of JPEG, whose blocks have 8×8 pixels at any size. Lengths are scaled to
the image: the deviation of Gaussian blur is CIFAR-10-C's at 32×32, times side / 32; occlusion, which is not
among theirs, lays a grey square of 4, 6, 8, 10 or 12 pixels at 28×28 on the image, each inside the next.
Noise and places depend on the seed and the number of the image alone, so that severities of one corruption
differ in strength only and all variants see the same images. Brightness and noise are clipped to 0 to 1.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from scipy import ndimage

from suites.attacks.image_search import AttackedImages, Images, outcome, sizes
from suites.attacks.outcome import Attacked
from suites.attacks.victim import Victim
from suites.tasks.data import DataMissing
from suites.tasks.patches import PatchLayout

Corrupt: TypeAlias = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]

SEVERITIES = (1, 2, 3, 4, 5)
NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)
BLUR, BLUR_SIDE = (0.4, 0.6, 0.7, 0.8, 1.0), 32
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
JPEG_QUALITY = (25, 18, 15, 10, 7)
OCCLUSION, OCCLUSION_SIDE, OCCLUDED = (4, 6, 8, 10, 12), 28, 0.5
CORRUPTION_SEED = 0xC0


def gaussian_noise(images: np.ndarray, severity: int, chance: np.random.Generator) -> np.ndarray:
    """Independent normal noise on every value."""
    noisy: np.ndarray = np.clip(images + NOISE[severity - 1] * chance.standard_normal(images.shape), 0, 1)
    return noisy


def gaussian_blur(images: np.ndarray, severity: int, chance: np.random.Generator) -> np.ndarray:
    """A Gaussian filter over rows and columns; edges are repeated."""
    deviation = BLUR[severity - 1] * images.shape[1] / BLUR_SIDE
    blurred: np.ndarray = ndimage.gaussian_filter(images, (0, deviation, deviation, 0), mode="nearest")
    return blurred


def contrast(images: np.ndarray, severity: int, chance: np.random.Generator) -> np.ndarray:
    """Each image drawn towards its mean colour."""
    means = images.mean(axis=(1, 2), keepdims=True)
    drawn: np.ndarray = means + CONTRAST[severity - 1] * (images - means)
    return drawn


def brightness(images: np.ndarray, severity: int, chance: np.random.Generator) -> np.ndarray:
    """The value of HSV raised, hue and saturation kept; black becomes grey."""
    value = images.max(axis=-1, keepdims=True)
    raised = np.minimum(value + BRIGHTNESS[severity - 1], 1)
    hue = np.divide(images, value, out=np.ones_like(images), where=value > 0)
    bright: np.ndarray = hue * raised
    return bright


def jpeg(images: np.ndarray, severity: int, chance: np.random.Generator) -> np.ndarray:
    """Written as JPEG by Pillow and read back; raises DataMissing where Pillow is not installed."""
    if importlib.util.find_spec("PIL") is None:
        raise DataMissing("Pillow, which writes JPEG, is not installed: pip install attnbench[data]")
    pillow: Any = importlib.import_module("PIL.Image")
    levels = np.round(images * 255).astype(np.uint8)
    found = np.empty_like(images)
    for number, one in enumerate(levels):
        written = io.BytesIO()
        pillow.fromarray(one.squeeze(-1) if one.shape[-1] == 1 else one).save(
            written, format="JPEG", quality=JPEG_QUALITY[severity - 1]
        )
        with pillow.open(written, formats=("JPEG",)) as opened:
            found[number] = np.asarray(opened).reshape(one.shape) / 255
    return found


def occlusion(images: np.ndarray, severity: int, chance: np.random.Generator) -> np.ndarray:
    """A grey square that lies wholly inside, around a place that all severities share."""
    count, side = len(images), images.shape[1]
    widths = [round(width * side / OCCLUSION_SIDE) for width in OCCLUSION]
    width, largest = widths[severity - 1], widths[-1]
    corners = chance.integers(0, side - largest + 1, (2, count, 1)) + (largest - width) // 2
    pixels = np.arange(side)
    rows, columns = ((pixels >= corner) & (pixels < corner + width) for corner in corners)
    return np.where((rows[:, :, None] & columns[:, None, :])[..., None], OCCLUDED, images)


CORRUPTIONS: Mapping[str, Corrupt] = {
    "gaussian_noise": gaussian_noise,
    "gaussian_blur": gaussian_blur,
    "contrast": contrast,
    "brightness": brightness,
    "jpeg": jpeg,
    "occlusion": occlusion,
}


def corrupted(images: np.ndarray, name: str, severity: int, *, seed: int = 0) -> np.ndarray:
    """Images ``[n, side, side, channels]`` in 0 to 1 after the corruption `name`, in float32.

    Raises ValueError for a corruption or a severity that there is not.
    """
    if name not in CORRUPTIONS or severity not in SEVERITIES:
        raise ValueError(
            f"corruptions are {', '.join(CORRUPTIONS)} at severities {SEVERITIES},"
            f" got {name!r} at {severity!r}"
        )
    chance = np.random.default_rng((CORRUPTION_SEED, list(CORRUPTIONS).index(name), seed))
    return CORRUPTIONS[name](images.astype(np.float64), severity, chance).astype(np.float32)


def corruption(
    victim: Victim, images: Images, layout: PatchLayout, name: str, severity: int, *, seed: int = 0
) -> AttackedImages:
    """How the victim answers corrupted images; `changed` is the corruption's L2 norm.

    Raises as `corrupted` and `jpeg` do.
    """
    points = layout.from_image(corrupted(layout.to_image(images.inputs), name, severity, seed=seed))
    moved = sizes(points - images.inputs, "l2")
    tried = Attacked(
        attack=name,
        kind="corruption",
        family="corruption",
        budget=severity,
        unit="severity",
        right_before=images.right,
        right_after=images.right,
        queries=np.zeros(len(images.labels), dtype=np.int64),
        changed=moved,
        candidates=(moved > 0).astype(np.int64),
    )
    return outcome(victim, images, points, tried)
