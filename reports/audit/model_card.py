"""Front matter for a Hugging Face model card: what one training of each variant emitted, in grams.

Fields as the Hub documents them (https://huggingface.co/docs/hub/model-cards-co2): emissions in grams of
CO2, source, training_type (pre-training or fine-tuning), geographical_location, hardware_used. The figure is
operational: E · I of one training at the chosen learning rate, with PUE, without embodied carbon and without
the search.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from importlib import metadata

from reports.audit.carbon import operational_grams
from reports.audit.cases import Case
from reports.audit.dossier import Dossier
from reports.audit.emissions_csv import environment_of
from reports.audit.readings import Reading
from reports.writers.markdown import escaped

PATTERN = "model_card_[0-9]*.md"


def files(dossier: Dossier) -> Iterator[tuple[str, str, str]]:
    """Name, description and text of each file; none without an intensity, as grams cannot be told then."""
    if dossier.asked.grams_per_kilowatt_hour is None:
        return
    number = 0
    for case in dossier.cases:
        for reading in case.training.values():
            number += 1
            what = f"front matter for the model card of {reading.implementation} on {case.task}, in grams"
            yield f"model_card_{number:02}.md", what, text(dossier, case, reading)


def text(dossier: Dossier, case: Case, reading: Reading) -> str:
    """The front matter, and below it which model it belongs to."""
    lines = ["---", "co2_eq_emissions:"]
    lines += [f"  {name}: {value}" for name, value in _fields(dossier, reading)]
    lines += ["---", "", f"Training of {escaped(reading.implementation)} on {escaped(case.task)}.", ""]
    return "\n".join(lines)


def _fields(dossier: Dossier, reading: Reading) -> Iterator[tuple[str, str]]:
    asked, environment = dossier.asked, environment_of(dossier, reading)
    intensity = asked.grams_per_kilowatt_hour
    assert intensity is not None
    grams = operational_grams(reading.joules, pue=asked.applied_pue, grams_per_kilowatt_hour=intensity)
    yield "emissions", plain(grams)
    yield (
        "source",
        _quoted(
            f"attnbench {metadata.version('attnbench')} audit: energy {reading.method} ({reading.tool}), one "
            f"training at the chosen learning rate, PUE {asked.applied_pue:g}, {intensity:g} g/kWh"
        ),
    )
    yield "training_type", _quoted("pre-training")
    row = asked.countries.rows.get(asked.country) if asked.countries else None
    if row or asked.country:
        yield "geographical_location", _quoted(row.name if row else asked.country)
    parts = [environment.get("cpu"), environment.get("accelerator")]
    hardware = ", ".join(str(part) for part in parts if part)
    if hardware:
        yield "hardware_used", _quoted(hardware)


def plain(number: float) -> str:
    """A positive number with six significant digits and no exponent, which YAML 1.1 would read as text."""
    decimals = max(1, 5 - math.floor(math.log10(number)))
    return f"{number:.{decimals}f}"


def _quoted(value: str) -> str:
    """A YAML text in double quotes, whose escapes are JSON's: nothing in it can end it."""
    return json.dumps(value)
