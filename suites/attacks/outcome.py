"""What every attack answers, so that all are judged by the same gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Kind: TypeAlias = Literal["random", "black_box", "white_box", "corruption"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """What one attack did to the same test examples in the same order.

    Attacks that may be compared with one another share a `family`: "character", "word", "embedding",
    "linf", "l2". `budget` is in `unit`: queries an example, or the size of the perturbation ("queries",
    "linf", "l2", "severity", "embedding l2"). Arrays hold one value an example, 0 where it was wrong
    before: `right_after` is False there too, as an attack never helps. `queries` counts forward passes,
    `changed` is the share of words changed or the norm of the perturbation in `unit`, `candidates` how many
    different perturbed inputs were tried.
    """

    attack: str
    kind: Kind
    family: str
    budget: float
    unit: str
    right_before: np.ndarray
    right_after: np.ndarray
    queries: np.ndarray
    changed: np.ndarray
    candidates: np.ndarray
