"""What one functional unit of each variant costs: joules with PUE, operational, embodied and total grams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.units import kilowatt_hours_of_joules
from reports.audit.asked import Asked, Unit
from reports.audit.carbon import Estimate, estimated, operational_grams
from reports.audit.cases import Case, divisor, per_unit
from reports.audit.readings import Reading

NOTHING = "no energy was metered for this functional unit"
NO_INTENSITY = "no carbon intensity was given (neither --country nor --intensity)"
NO_EMBODIED = "no embodied estimate was given (--embodied), and M is part of the score"
NO_ACCURACY = "no score on the task was measured, so R has no stated accuracy"
NO_TIMES = "its windows carry no time, from which embodied carbon is allocated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One variant's price of one functional unit, sample by sample.

    `joules` are gross, with PUE; `seconds`, `operational` and `embodied` (grams) are empty where they cannot
    be told.
    """

    name: str
    reading: Reading
    level: float
    joules: tuple[float, ...]
    seconds: tuple[float, ...] = ()
    operational: tuple[float, ...] = ()
    embodied: tuple[float, ...] = ()

    @property
    def kilowatt_hours(self) -> float:
        """The E of the score."""
        return kilowatt_hours_of_joules(self.estimate(self.joules).mean)

    @property
    def total(self) -> tuple[float, ...]:
        """O + M in grams: the score; empty where one of the two is missing."""
        if not self.operational or not self.embodied:
            return ()
        return tuple(o + m for o, m in zip(self.operational, self.embodied, strict=True))

    @property
    def deciding(self) -> tuple[float, ...]:
        """What variants are ordered by: the score, else operational grams, else joules."""
        return self.total or self.operational or self.joules

    @property
    def unit(self) -> str:
        """The unit of `deciding`: g or J."""
        return "g" if self.operational else "J"

    def estimate(self, values: Sequence[float]) -> Estimate:
        """Mean and interval of one of the tuples."""
        return estimated(values, self.level)

    def with_method_error(self) -> tuple[float, float] | None:
        """`deciding`, its mean, were joules off by the method's factors; None where nobody can say."""
        bounds = self.reading.method_bounds()
        if bounds is None:
            return None
        energy = self.estimate(self.operational or self.joules).mean
        fixed = self.estimate(self.deciding).mean - energy
        return fixed + bounds[0] * energy, fixed + bounds[1] * energy


def prices(case: Case, asked: Asked, unit: Unit) -> dict[str, Price]:
    """A price for each variant with a reading of that unit, in the case's order."""
    found: Mapping[str, Reading] = case.of_unit(unit)
    return {
        name: price(found[name], asked, unit, 1 - case.alpha)
        for name in case.names
        if name in found and divisor(found[name], unit)
    }


def price(reading: Reading, asked: Asked, unit: Unit, level: float) -> Price:
    """The price of one functional unit of a reading."""
    pairs = per_unit(reading, unit)
    times = tuple(seconds for _, seconds in pairs if seconds is not None)
    if len(times) != len(pairs):
        times = ()
    intensity = asked.grams_per_kilowatt_hour
    operational = (
        ()
        if intensity is None
        else tuple(
            operational_grams(joules, pue=asked.applied_pue, grams_per_kilowatt_hour=intensity)
            for joules, _ in pairs
        )
    )
    rate = asked.embodied.grams_a_second if asked.embodied else None
    return Price(
        name=reading.implementation,
        reading=reading,
        level=level,
        joules=tuple(joules * asked.applied_pue for joules, _ in pairs),
        seconds=times,
        operational=operational,
        embodied=tuple(rate * time for time in times) if rate is not None else (),
    )


def no_score(case: Case, asked: Asked, found: Mapping[str, Price]) -> str:
    """Why the total is no SCI score; empty where it is one."""
    if not found:
        return NOTHING
    reasons = [
        NO_INTENSITY if asked.intensity is None else "",
        NO_EMBODIED if asked.embodied is None else "",
        NO_ACCURACY if not any(name in case.scores for name in found) else "",
        NO_TIMES if asked.embodied and any(not price.seconds for price in found.values()) else "",
    ]
    return "; ".join(filter(None, reasons))
