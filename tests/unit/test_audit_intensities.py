"""Intensities by country: the table that codecarbon carries, its years, and what it does not have."""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any

import pytest

from reports.audit import intensities
from reports.audit.asked import asked
from reports.audit.intensities import IntensityError, parsed, read_countries

ROWS = {
    "AAA": {"country_name": "Alphaland", "year": 2023, "carbon_intensity": 50.0, "total_TWh": 500.0},
    "AAB": {"country_name": "Alphabeta", "year": 2022, "carbon_intensity": 400.0, "total_TWh": 900.0},
    "ZZZ": {"country_name": "Zeroland", "year": 2022, "carbon_intensity": 0.0, "total_TWh": 9000.0},
}


def table() -> intensities.Countries:
    return parsed(json.dumps(ROWS).encode(), "codecarbon 0.0.0")


def test_an_intensity_says_value_zone_year_source_and_that_it_is_an_annual_mean() -> None:
    found = table().intensity(" aab ")
    assert (found.grams_per_kilowatt_hour, found.zone, found.year) == (400.0, "Alphabeta (AAB)", "2022")
    assert found.kind.startswith("annual mean of 2022, location-based")
    assert "Our World in Data" in found.source and "codecarbon 0.0.0" in found.source


@pytest.mark.parametrize("typed", ["AA", "Alphaland", "alpha", "AAC"])
def test_an_unknown_country_is_an_error_that_names_near_ones(typed: str) -> None:
    with pytest.raises(IntensityError, match=r"AAA \(Alphaland\)"):
        table().intensity(typed)


def test_a_country_with_an_intensity_of_zero_is_refused() -> None:
    with pytest.raises(IntensityError, match="0 g/kWh for 2022, which no grid has"):
        table().intensity("ZZZ")


def test_the_largest_grids_are_told_cleanest_first_without_those_of_zero() -> None:
    assert [row.code for row in table().largest()] == ["AAA", "AAB"]


def test_nothing_falls_back_to_a_world_average() -> None:
    for code in ("", "XXX", "WORLD", "OWID_WRL"):
        with pytest.raises(IntensityError):
            table().intensity(code)


def test_the_installed_table_gives_years_by_country() -> None:
    found = read_countries()
    france = found.intensity("FRA")
    raw = json.loads(
        metadata.distribution("codecarbon").locate_file(intensities.TABLE).read_text(encoding="utf-8")  # type: ignore[attr-defined]
    )
    assert france.grams_per_kilowatt_hour == raw["FRA"]["carbon_intensity"]
    assert france.year == str(raw["FRA"]["year"])
    assert len(found.largest()) == intensities.LARGEST


def test_without_codecarbon_a_country_is_refused_and_an_intensity_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(intensities.metadata, "distribution", nothing)
    with pytest.raises(IntensityError, match=r"install attnbench\[energy\]"):
        asked(country="FRA")
    found = asked(country="FRA", intensity=40.0, intensity_source="the grid's operator, 2024")
    assert found.intensity is not None and found.intensity.source == "the grid's operator, 2024"
    assert (found.countries, found.intensity.zone) == (None, "FRA")


def test_nothing_is_assumed_where_nothing_was_given() -> None:
    found = asked()
    assert found.intensity is None and found.pue is None and found.embodied is None
    assert found.applied_pue == 1.0


def test_a_given_intensity_wins_over_the_country_s_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.audit.asked.read_countries", table)
    found = asked(country="AAB", intensity=12.5)
    assert found.intensity is not None
    assert (found.intensity.grams_per_kilowatt_hour, found.intensity.zone) == (12.5, "Alphabeta (AAB)")
    assert found.intensity.kind == "as given on the command line"
    # Where the table's value is unusable, a given one still has its zone; an unknown country has none.
    unusable = asked(country="ZZZ", intensity=12.5).intensity
    assert unusable is not None and unusable.zone == "Zeroland (ZZZ)"
    with pytest.raises(IntensityError):
        asked(country="XXX", intensity=12.5)
