"""What the auditor gives: intensity, PUE, embodied carbon, functional unit. Nothing is made up here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from bench.units import grams_of_kilograms
from reports.audit.intensities import Countries, Intensity, IntensityError, given, read_countries

Unit: TypeAlias = Literal["inference", "token", "training"]
UNITS: tuple[Unit, ...] = get_args(Unit)
SECONDS_A_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Embodied:
    """Carbon of making and scrapping the whole machine, its expected life, and the share of it reserved."""

    kilograms: float
    years: float
    share: float
    source: str

    @property
    def grams_a_second(self) -> float:
        """What one second of the reserved share stands for: the SCI's TE · RS / EL."""
        return grams_of_kilograms(self.kilograms) * self.share / (self.years * SECONDS_A_YEAR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The inputs of an audit. `intensity` and `embodied` are None where they were not given;
    `countries` is None where there is no table to ask what if, for the reason in `no_countries`."""

    unit: Unit = "inference"
    intensity: Intensity | None = None
    pue: float | None = None
    embodied: Embodied | None = None
    countries: Countries | None = None
    no_countries: str = ""
    country: str = ""
    command: str = ""

    @property
    def applied_pue(self) -> float:
        """The factor on energy; 1 where no PUE was given."""
        return 1.0 if self.pue is None else self.pue

    @property
    def grams_per_kilowatt_hour(self) -> float | None:
        """The intensity's value; None without one."""
        return None if self.intensity is None else self.intensity.grams_per_kilowatt_hour


def asked(
    *,
    country: str = "",
    intensity: float | None = None,
    intensity_source: str = "",
    pue: float | None = None,
    embodied: str = "",
    embodied_source: str = "",
    functional_unit: str = "inference",
    command: str = "",
) -> Asked:
    """The inputs as typed, checked; raises ValueError with what is wrong.

    `intensity` is in grams of CO2 equivalent a kilowatt-hour and wins over the country's annual mean;
    `embodied` is ``KILOGRAMS,YEARS,SHARE``.
    """
    if functional_unit not in UNITS:
        raise ValueError(f"unknown functional unit {functional_unit!r}; known: {', '.join(UNITS)}")
    if intensity is not None and not (intensity > 0 and math.isfinite(intensity)):
        raise ValueError(f"--intensity must be above 0 g/kWh, got {intensity:g}")
    if pue is not None and not (pue >= 1 and math.isfinite(pue)):
        raise ValueError(f"--pue is all energy over that of the computers: at least 1, got {pue:g}")
    table, reason = _table()
    if country and table is None and intensity is None:
        raise IntensityError(reason)
    mean = table.intensity(country) if table is not None and country else None
    chosen = mean if intensity is None else given(intensity, mean.zone if mean else country, intensity_source)
    return Asked(
        unit=next(unit for unit in UNITS if unit == functional_unit),
        intensity=chosen,
        pue=pue,
        embodied=_embodied(embodied, embodied_source) if embodied else None,
        countries=table,
        no_countries=reason,
        country=country.strip().upper(),
        command=command,
    )


def _table() -> tuple[Countries | None, str]:
    try:
        return read_countries(), ""
    except IntensityError as error:
        return None, str(error)


def _embodied(text: str, source: str) -> Embodied:
    """``KILOGRAMS,YEARS,SHARE``: a machine of 1,200 kg, four years, a half of it: ``1200,4,0.5``."""
    parts = text.split(",")
    try:
        kilograms, years, share = map(float, parts)
    except ValueError as error:
        raise ValueError(
            f"--embodied must be KILOGRAMS,YEARS,SHARE such as 1200,4,1, got {text!r}"
        ) from error
    if not (kilograms > 0 and years > 0 and 0 < share <= 1 and math.isfinite(kilograms / years)):
        raise ValueError(
            f"--embodied needs kilograms and years above 0 and a share from 0 to 1, got {text!r}"
        )
    return Embodied(kilograms=kilograms, years=years, share=share, source=source or "none named")
