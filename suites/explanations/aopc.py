"""How faithful an order of importance is: AOPC, from both ends, and normalised.

    AOPC(order) = mean over i = 1 … n of p_c(x) - p_c(x without the first i features of the order)
    comprehensiveness: the most important first, high is good; sufficiency: the least important, low is good
    NAOPC = (comprehensiveness - lowest) / (highest - lowest), over all n! orders of this model and input

n counts the features (tokens, patches), p_c is the probability of the predicted class. Samek and others
2017, arXiv:1509.06321 (AOPC); DeYoung and others 2020, arXiv:1911.03429 (comprehensiveness and sufficiency);
Edin and others 2024, arXiv:2408.08137: without normalising, AOPC compares what models depend on, not how
well they are explained.

The limits are exact for `EXACT_FEATURES` features at most: an order is a path through the 2^n sets of hidden
features, so 2^n answers settle all n!. Beyond that a beam search over sets goes one feature deeper at a time
and keeps the `beam` best. Limits that a search missed are widened to every order that is scored, so that
NAOPC stays within 0 and 1; a narrow beam therefore flatters. On trained classifiers of texts (17 to 22 words)
and of digits (49 patches) beams of 2, 3 and 6 agreed to 0.002 in NAOPC, while a beam of 1 once missed the
highest by 0.28.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from suites.explanations.occlusion import Example

EXACT_FEATURES = 8
# Two probabilities closer than float32 resolves are one.
SMALLEST_RANGE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The lowest and the highest AOPC of an example, and whether they are known or searched for."""

    lowest: float
    highest: float
    exact: bool

    def normalised(self, aopc: float) -> float | None:
        """Where an AOPC lies between the limits, 0 to 1; None where hiding changes nothing at all."""
        span = self.highest - self.lowest
        return None if span < SMALLEST_RANGE else (aopc - self.lowest) / span

    def widened(self, scored: Iterable[float]) -> Limits:
        """The limits with these AOPCs within them; those of exact limits move by rounding only."""
        found = list(scored)
        return Limits(lowest=min(self.lowest, *found), highest=max(self.highest, *found), exact=self.exact)


def falling(importance: np.ndarray) -> np.ndarray:
    """The features ``[n]`` by falling importance; of equals the earlier first."""
    return np.argsort(-importance, kind="stable")


def aopc(example: Example, order: np.ndarray) -> float:
    """The AOPC of an order of all features ``[n]``; raises ValueError for one that is no permutation."""
    if sorted(order.tolist()) != list(range(example.features)):
        raise ValueError(f"an order must name each of {example.features} features once, got {order.tolist()}")
    hidden = np.zeros((example.features, example.features), dtype=bool)
    for step, feature in enumerate(order):
        hidden[step:, feature] = True
    return float(example.probability - np.exp(example.log_probabilities(hidden)).mean())


def both_ends(example: Example, importance: np.ndarray) -> tuple[float, float]:
    """Comprehensiveness and sufficiency of importances ``[n]``."""
    order = falling(importance)
    return aopc(example, order), aopc(example, order[::-1])


def limits(example: Example, beam: int) -> Limits:
    """The lowest and highest AOPC over all orders; raises ValueError for a beam below 1."""
    if beam < 1:
        raise ValueError(f"a beam must keep at least 1 order, got {beam}")
    exact = example.features <= EXACT_FEATURES
    # A level has at most C(n, n / 2) sets: as wide a beam drops none.
    width = 2**EXACT_FEATURES if exact else beam
    least, most = (_search(example, width, highest) for highest in (False, True))
    # Least probability left means the greatest fall.
    return Limits(lowest=example.probability - most, highest=example.probability - least, exact=exact)


def limits_cost(features: int, beam: int) -> int:
    """How many answers of the model `limits` asks for at most."""
    if features <= EXACT_FEATURES:
        return int(2 ** (features + 1))
    return int(beam * features * (features + 1))


def _search(example: Example, width: int, highest: bool) -> float:
    """The highest (or lowest) mean probability along an order that a beam of this width finds."""
    sets, sums = np.zeros((1, example.features), dtype=bool), np.zeros(1)
    sign = -1.0 if highest else 1.0
    for _ in range(example.features):
        sets, parents = _children(sets, sign * sums)
        sums = sums[parents] + np.exp(example.log_probabilities(sets))
        best = np.argsort(sign * sums, kind="stable")[:width]
        sets, sums = sets[best], sums[best]
    return float(sums[0] / example.features)


def _children(sets: np.ndarray, costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All sets ``[m, n]`` with one feature more, each once, and the parent that reaches it most cheaply."""
    parents, added = np.nonzero(~sets)
    children = sets[parents]
    children[np.arange(len(children)), added] = True
    cheapest = np.argsort(costs[parents], kind="stable")
    _, first = np.unique(np.packbits(children[cheapest], axis=1), axis=0, return_index=True)
    chosen = cheapest[first]
    return children[chosen], parents[chosen]
