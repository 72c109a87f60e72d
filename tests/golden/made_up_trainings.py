"""Rows of made-up trainings, for `make_run`: curves, grids, norms, and a score of which less is better.

NOT results: every number here is invented.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

RATES = ("0.001", "0.003", "0.01")
PARTS = "embedding blocks.0 head"
UNMATCHED = "no: the architecture has no feed-forward width to change"
LANGUAGE = {"softmax": 2.31, "linear": 2.44, "uniform": 2.28}
Fields = dict[str, Any]


def chance(*names: object) -> random.Random:
    """Randomness that depends on what it is for and on nothing else."""
    return random.Random(hashlib.sha256(repr(names).encode()).hexdigest())


def training_rows(run: Any, scores: Mapping[str, float]) -> Iterator[Fields]:
    """What the trainings on sentiment were like, and a language task on which a control does best."""
    for seed in range(run.seeds):
        for variant in scores:
            yield from (_row("sentiment", variant, seed) | fields for fields in _training(variant, seed))
        for variant, bits in LANGUAGE.items():
            yield from (_row("language", variant, seed) | fields for fields in _language(variant, seed, bits))
    yield _row("language", "", 0) | {
        "implementation": "three_grams@numpy",
        "role": "baseline",
        "metric": "bits_per_byte",
        "unit": "bits",
        "values": (2.97,) * 7,
    }


def _row(task: str, variant: str, seed: int) -> Fields:
    return {
        "suite": "accuracy",
        "subject": task,
        "seed": seed,
        "launch": seed,
        "implementation": f"{variant}@torch",
        "role": "reference" if variant == "softmax" else "candidate",
        "details": {"task": task, "grid": " ".join(RATES)},
    }


def _language(variant: str, seed: int, bits: float) -> Iterator[Fields]:
    scatter = chance("language", variant, seed)
    shift = scatter.gauss(0, 0.002)
    per_example = tuple(bits + shift + place / 50 for place in range(-3, 4))
    yield {"metric": "bits_per_byte", "unit": "bits", "values": per_example}
    profile = tuple(bits + 1 / (1 + place) for place in range(5))
    yield {"metric": "bits_by_position", "unit": "bits", "values": profile}


def _training(variant: str, seed: int) -> Iterator[Fields]:
    scatter = chance("training", variant, seed)
    best = RATES[0] if variant == "linear" else RATES[1]
    told = {"task": "sentiment", "grid": " ".join(RATES)}
    large = variant == "performer"
    size = {"parameters_off": "+6.10% without tables", "parameters_matched": UNMATCHED} if large else {}
    yield {
        "metric": "parameters",
        "unit": "count",
        "values": (131_000.0 if large else 123_456.0,),
        "details": {
            **told,
            **(size or {"parameters_off": "+0.02% without tables", "parameters_matched": "yes"}),
        },
    }
    yield {"metric": "learning_rate", "unit": "1", "values": (float(best),)}
    yield {"metric": "loss_spikes", "unit": "count", "values": (float(scatter.randrange(3)),)}
    losses = tuple(0.2 + 0.5 * math.exp(-step / 20) + scatter.uniform(0, 0.05) for step in range(60))
    yield {"metric": "loss_curve", "unit": "loss", "values": losses, "details": {**told, "every": "5"}}
    for place, name in enumerate(("p50", "p95", "max"), 1):
        norms = tuple(place**2 * scatter.uniform(0.5, 1) for _ in PARTS.split())
        yield {
            "metric": f"gradient_norm_{name}",
            "unit": "norm",
            "values": norms,
            "details": {**told, "parts": PARTS},
        }
    if seed == 0:
        yield from _grid(variant, told)


def _grid(variant: str, told: dict[str, str]) -> Iterator[Fields]:
    lost = variant == "linear"
    scored = RATES[:1] if lost else RATES
    reasons = "; ".join(f"{rate}: training diverged at step 17: loss is nan" for rate in RATES[1:] if lost)
    details = {**told, "scored": " ".join(scored), "diverged": reasons}
    values = tuple(0.7 - 0.02 * abs(place - 1) for place, _ in enumerate(scored))
    yield {"metric": "validation", "unit": "score", "values": values, "details": details}
    share = 1 - len(scored) / len(RATES)
    yield {"metric": "diverged", "unit": "fraction", "values": (share,), "details": details}
