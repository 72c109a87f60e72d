"""How far a figure's method may be trusted: what was read, and what was worked out from something else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from bench.schema import Method

READ: tuple[Method, ...] = ("measured", "sampled")
"""By a counter or a sensor. Energy that was modelled or assumed adds nothing to the time it was made of."""


def weakest(methods: Iterable[Method]) -> Method:
    """The one that says least, of at least one: what a sum of figures may be called."""
    return max(methods, key=get_args(Method).index)
