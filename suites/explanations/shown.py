"""One explained example as plain data, for a report to draw: words or pixels, with an importance each.

    {"kind": "text", "words": […], …} or {"kind": "image", "side": 7, "pixels": [[…], …], …}, and
    "label", "predicted", "probability", "occlusion": […], "rollout": […] or null

`side` counts the features of a row; `pixels` are the image's rows in 0 (dark) to 1. Occlusion is in nats,
rollout in shares. JSON text, because a measurement's details are text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from suites.explanations.occlusion import Example
from suites.explanations.study import Study
from suites.tasks.data import TaskData

FIRST_WORD = 2
DIGITS = 4
UNKNOWN_WORD = "[unknown]"


def shown(study: Study, data: TaskData) -> str:
    """The first example of a study; the same one for every variant."""
    example = study.examples[0]
    occlusion = study.faithfulness["occlusion"].chosen
    rolled = study.faithfulness.get("rollout")
    has_rollout = rolled is not None and rolled.chosen[:1] == occlusion[:1]
    told: dict[str, Any] = {
        "label": int(data.test_targets[occlusion[0]]),
        "predicted": example.label,
        "probability": round(example.probability, DIGITS),
        "occlusion": _rounded(study.importances["occlusion"][0]),
        "rollout": _rounded(study.importances["rollout"][0]) if has_rollout else None,
    }
    features = _words(example, data.vocabulary) if len(example.inputs) > 1 else _image(example)
    return json.dumps({**features, **told}, ensure_ascii=False, allow_nan=False)


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


def _words(example: Example, vocabulary: Sequence[str]) -> dict[str, Any]:
    numbers = [int(number) - FIRST_WORD for number in example.inputs[0][example.covers.any(axis=0)]]
    known = [vocabulary[n] if 0 <= n < len(vocabulary) else UNKNOWN_WORD for n in numbers]
    return {"kind": "text", "words": known}


def _image(example: Example) -> dict[str, Any]:
    """The image and how many features stand in a row of it: all of them where patches are in no square."""
    count = example.features
    side, pixels = math.isqrt(count), _pixels(example.inputs[0])
    in_square = side * side == count and len(pixels) > 1
    return {"kind": "image", "side": side if in_square else count, "pixels": pixels}


def _pixels(patches: np.ndarray) -> list[list[float]]:
    """Square patches of grey pixels in a square grid as an image; any others as one grey a patch."""
    count, width = patches.shape
    side, pixels = math.isqrt(count), math.isqrt(width)
    if pixels * pixels != width:
        patches, pixels = patches.mean(axis=1, keepdims=True), 1
    if side * side != count:
        return [_rounded(patches.mean(axis=1))]
    tiles = patches.reshape(side, side, pixels, pixels).transpose(0, 2, 1, 3)
    image = tiles.reshape(side * pixels, side * pixels)
    return [_rounded(row) for row in image]
