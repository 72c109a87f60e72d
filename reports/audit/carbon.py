"""The arithmetic of the audit, free of tables and words.

Software Carbon Intensity, specification v1.1 of the Green Software Foundation (ISO/IEC 21031:2024):

    SCI = (E · I + M) per R        M = TE · (TiR / EL) · (RR / ToR)

E is energy in kWh, here gross joules of processor and accelerator times PUE; I grams of CO2 equivalent a
kWh; TE the machine's embodied grams, TiR the time it is reserved, EL its life, RR / ToR the share of it.
Everything is linear in energy and time, so where two variants change places is where two lines cross.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.statistics import interval
from bench.units import grams_of_joules


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its t interval; `low` and `high` are None where fewer than two values stand behind it."""

    mean: float
    low: float | None = None
    high: float | None = None
    count: int = 1


def estimated(values: Sequence[float], level: float) -> Estimate:
    """Mean and Student's t interval at confidence `level`."""
    if len(values) < 2:
        return Estimate(mean=values[0])
    mean, low, high = interval(values, level)
    return Estimate(mean=mean, low=low, high=high, count=len(values))


def operational_grams(joules: float, *, pue: float, grams_per_kilowatt_hour: float) -> float:
    """O = E · I, with E = joules · PUE: the one place where PUE enters."""
    return grams_of_joules(joules * pue, grams_per_kilowatt_hour)


@dataclass(frozen=True, slots=True, kw_only=True)
class Straight:
    """A cost that grows with one thing: ``fixed + slope · x``."""

    fixed: float
    slope: float

    def at(self, x: float) -> float:
        """The cost at x."""
        return self.fixed + self.slope * x


def crossing(first: Straight, second: Straight) -> float | None:
    """The x at which both cost the same; None for lines that never meet, or are one line."""
    apart = first.slope - second.slope
    if apart == 0:
        return None
    x = (second.fixed - first.fixed) / apart
    return x if math.isfinite(x) else None


def crossing_on_logs(
    lengths: tuple[float, float], first: tuple[float, float], second: tuple[float, float]
) -> float | None:
    """Where two costs cross between two lengths, both taken as straight in logarithms; None if nowhere.

    `first` and `second` are the costs at the two lengths, all above zero.
    """
    before, after = (math.log(one / other) for one, other in zip(first, second, strict=True))
    if before == after or before * after > 0:
        return None
    start, end = map(math.log, lengths)
    return math.exp(start + (end - start) * before / (before - after))


def break_even(training: float, serving: float) -> float:
    """How many requests cost as much as the training did; serving one must cost something."""
    if serving <= 0:
        raise ValueError(f"a request that costs {serving:g} never comes up to a training")
    return training / serving
