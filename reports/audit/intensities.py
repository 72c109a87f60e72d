"""How many grams of CO2 equivalent a kilowatt-hour of a country's grid stands for.

Read from the table that the installed codecarbon carries, without importing codecarbon: annual means by
country, each with its own year, which codecarbon takes from Our World in Data. Nothing falls back to a
world average: a country that is not in the table is an error.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

TABLE = "codecarbon/data/private_infra/global_energy_mix.json"
ORIGIN = "Our World in Data, carbon intensity of electricity generation (from Ember and the Energy Institute)"
LARGEST = 10
_NEAR = 5


class IntensityError(ValueError):
    """A country without a usable intensity; the message says what to give instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity:
    """An intensity with everything that an auditor asks of it. `kind` says what sort of value it is."""

    grams_per_kilowatt_hour: float
    zone: str
    year: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """A row of the table: `terawatt_hours` is what the country generated in that year."""

    code: str
    name: str
    year: int
    grams_per_kilowatt_hour: float
    terawatt_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Countries:
    """The table by ISO 3166-1 alpha-3 code, and where it was read."""

    rows: Mapping[str, Country]
    source: str

    def intensity(self, code: str) -> Intensity:
        """The annual mean of a country; raises IntensityError for one that the table has no value of."""
        row = self.rows.get(code.strip().upper())
        if row is None:
            near = ", ".join(self._near(code)) or "none"
            raise IntensityError(
                f"no intensity for the country {code!r}: give the three letters of ISO 3166-1; near: {near}"
            )
        if not row.grams_per_kilowatt_hour > 0:
            raise IntensityError(
                f"the table gives {row.name} ({row.code}) {row.grams_per_kilowatt_hour:g} g/kWh for "
                f"{row.year}, which no grid has; give --intensity with a source"
            )
        return Intensity(
            grams_per_kilowatt_hour=row.grams_per_kilowatt_hour,
            zone=f"{row.name} ({row.code})",
            year=str(row.year),
            kind=f"annual mean of {row.year}, location-based; hours of the day and seasons are not in it",
            source=self.source,
        )

    def largest(self) -> tuple[Country, ...]:
        """The countries that generate most electricity, as far as they have an intensity; cleanest first."""
        usable = [row for row in self.rows.values() if row.grams_per_kilowatt_hour > 0]
        usable.sort(key=lambda row: -row.terawatt_hours)
        return tuple(sorted(usable[:LARGEST], key=lambda row: row.grams_per_kilowatt_hour))

    def _near(self, asked: str) -> list[str]:
        """Codes and names that look alike, and countries whose name holds what was typed."""
        wanted = asked.strip().lower()
        names = {row.name.lower(): code for code, row in self.rows.items()}
        held = [code for name, code in names.items() if wanted and wanted in name]
        starts = [code for code in self.rows if wanted and code.lower().startswith(wanted)]
        alike = difflib.get_close_matches(wanted.upper(), self.rows, n=_NEAR, cutoff=0.5)
        by_name = [names[name] for name in difflib.get_close_matches(wanted, names, n=_NEAR, cutoff=0.6)]
        found = list(dict.fromkeys((*by_name, *starts, *held, *alike)))[:_NEAR]
        return [f"{code} ({self.rows[code].name})" for code in found]


def read_countries() -> Countries:
    """The table of the installed codecarbon; raises IntensityError where there is none."""
    try:
        distribution = metadata.distribution("codecarbon")
    except metadata.PackageNotFoundError as error:
        raise IntensityError(
            "intensities by country come with codecarbon: install attnbench[energy], or give --intensity"
        ) from error
    path = Path(str(distribution.locate_file(TABLE)))
    if not path.is_file():
        raise IntensityError(f"codecarbon {distribution.version} has no {TABLE}; give --intensity")
    return parsed(path.read_bytes(), f"codecarbon {distribution.version}")


def parsed(content: bytes, carrier: str) -> Countries:
    """The table from the bytes of its file; `carrier` names the package and version that brought it."""
    digest = hashlib.sha256(content).hexdigest()
    rows = {
        str(code): Country(
            code=str(code),
            name=str(row["country_name"]),
            year=int(row["year"]),
            grams_per_kilowatt_hour=float(row["carbon_intensity"]),
            terawatt_hours=float(row.get("total_TWh") or 0.0),
        )
        for code, row in json.loads(content).items()
    }
    if not all(math.isfinite(row.grams_per_kilowatt_hour) for row in rows.values()):
        raise IntensityError(f"the table of {carrier} holds an intensity that is no number")
    source = f"{ORIGIN}, as {carrier} carries it in {TABLE} (sha256 {digest[:12]}…)"
    return Countries(rows=rows, source=source)


def given(value: float, zone: str, source: str) -> Intensity:
    """An intensity that the auditor brings."""
    return Intensity(
        grams_per_kilowatt_hour=value,
        zone=zone or "not given",
        year="not given",
        kind="as given on the command line",
        source=source or "none named",
    )
