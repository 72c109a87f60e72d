"""Energy and carbon change their units here and nowhere else.

Names carry their unit through the whole path: `joules`, `watts`, `kilowatt_hours`, `grams` (of CO2
equivalent), `grams_per_kilowatt_hour`. All functions are linear, take a float and answer a float.
"""

JOULES_A_KILOWATT_HOUR = 3_600_000.0  # by definition: 1,000 W for 3,600 s


def joules_of_kilowatt_hours(kilowatt_hours: float) -> float:
    """1 kWh is 3.6 MJ."""
    return kilowatt_hours * JOULES_A_KILOWATT_HOUR


def kilowatt_hours_of_joules(joules: float) -> float:
    """3.6 MJ are 1 kWh."""
    return joules / JOULES_A_KILOWATT_HOUR


def joules_of_microjoules(microjoules: float) -> float:
    """The unit in which powercap counts."""
    return microjoules / 1e6


def joules_of_millijoules(millijoules: float) -> float:
    """The unit in which NVML counts."""
    return millijoules / 1e3


def watts_of_milliwatts(milliwatts: float) -> float:
    """The unit in which NVML tells power."""
    return milliwatts / 1e3


def grams_of_kilograms(kilograms: float) -> float:
    """The unit in which codecarbon tells emissions is the kilogram; ours is the gram."""
    return kilograms * 1e3


def kilograms_of_grams(grams: float) -> float:
    """For formats that ask for kilograms."""
    return grams / 1e3


def grams_of_joules(joules: float, grams_per_kilowatt_hour: float) -> float:
    """What energy emits at an intensity in grams of CO2 equivalent a kilowatt-hour."""
    return kilowatt_hours_of_joules(joules) * grams_per_kilowatt_hour
