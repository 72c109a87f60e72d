"""Steps that most series measured against one reference took together: the reference's doing, not theirs.

A reference that slows by 3% makes every ratio to it fall by 3% on one night. A step is called common on the
night that finds it if most of the other series moved with it by then: the median of their moves, over the
same nights, between half and one and a half of its own, and three quarters of them the same way.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from bench.changes.noise import Values
from bench.changes.walk import Step

PEERS = 4
"""Others that must have been measured in the same nights: of fewer, a majority says little."""
BEFORE = 12
"""Nights before a step that a move is told from."""


def common_steps(
    series: Sequence[Sequence[float]],
    nights: Sequence[Sequence[int]],
    steps: Sequence[Sequence[Step]],
    references: Sequence[Hashable],
) -> list[list[bool]]:
    """Of each series' steps whether they are common; series of one reference (None: of none) are compared."""
    peers: dict[Hashable, list[int]] = {}
    for i, reference in enumerate(references):
        if reference is not None:
            peers.setdefault(reference, []).append(i)
    moments = [np.asarray(mine) for mine in nights]
    values = [np.asarray(mine, dtype=float) for mine in series]
    answers = []
    for i, mine in enumerate(steps):
        others = [j for j in peers.get(references[i], ()) if j != i]
        answer, begun = [], 0
        for step in mine:
            before = (moments[i][max(begun, step.at - BEFORE)], moments[i][step.at])
            since = (moments[i][step.at], moments[i][step.found] + 1)
            moves = [_move(values[j], moments[j], before, since) for j in others if not step.marked]
            known = np.array([move for move in moves if move is not None])
            answer.append(len(known) >= PEERS and _with(known / step.size))
            begun = step.at
        answers.append(answer)
    return answers


def _with(shares: Values) -> bool:
    """Whether these moves, as shares of a step, are the same move."""
    return bool(0.5 <= np.median(shares) <= 1.5 and np.mean(shares > 0) >= 0.75)


def _move(values: Values, moments: Values, before: tuple[int, int], since: tuple[int, int]) -> float | None:
    """From the median of the nights before to that of the nights since; None where either has none."""
    old, new = (values[(moments >= first) & (moments < last)] for first, last in (before, since))
    return float(np.median(new) - np.median(old)) if len(old) and len(new) else None
