"""Units of energy and carbon: by definition, and there and back."""

import pytest

from bench import units


def test_a_kilowatt_hour_is_1000_watts_for_an_hour() -> None:
    assert units.joules_of_kilowatt_hours(1.0) == 1000 * 60 * 60
    assert units.kilowatt_hours_of_joules(1000 * 60 * 60) == 1.0


def test_counts_become_joules() -> None:
    assert units.joules_of_microjoules(262_143_328_850) == 262_143.328850
    assert units.joules_of_millijoules(812_345) == 812.345
    assert units.watts_of_milliwatts(71_500) == 71.5


def test_grams_and_kilograms() -> None:
    assert units.grams_of_kilograms(0.017) == pytest.approx(17)
    assert units.kilograms_of_grams(17.0) == 0.017


def test_energy_at_an_intensity_is_grams() -> None:
    # Half a kilowatt-hour at 380 g a kilowatt-hour.
    assert units.grams_of_joules(1_800_000.0, 380.0) == pytest.approx(190.0)


@pytest.mark.parametrize("value", [0.0, 1e-9, 3.7, 8.1e12])
def test_there_and_back_changes_nothing(value: float) -> None:
    assert units.joules_of_kilowatt_hours(units.kilowatt_hours_of_joules(value)) == pytest.approx(value)
    assert units.grams_of_kilograms(units.kilograms_of_grams(value)) == pytest.approx(value)
