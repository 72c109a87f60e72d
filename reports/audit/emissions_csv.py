"""`emissions.csv` with the columns that codecarbon 3.3.2 writes, so that its readers can read ours.

Names and order are those of `codecarbon.output_methods.emissions_data.EmissionsData`. A row is one call:
one whole training, one batch of inferences, one call of made-up work. As there, energy is in kWh with PUE,
power in watts without it, emissions in kilograms. What is not known is empty, never 0. Memory is left empty
because it is outside the boundary, so that energy_consumed = cpu_energy + gpu_energy.
"""

from __future__ import annotations

import csv
import io
import uuid
from typing import Any

from bench.units import kilograms_of_grams, kilowatt_hours_of_joules
from reports.audit.asked import Asked
from reports.audit.carbon import operational_grams
from reports.audit.dossier import Dossier
from reports.audit.readings import Reading
from reports.writers.figures_csv import guarded

WHAT = "a row a call in the columns of codecarbon 3.3.2: energy in kWh with PUE, emissions in kilograms"
COLUMNS = (
    "timestamp",
    "project_name",
    "run_id",
    "experiment_id",
    "duration",
    "emissions",
    "emissions_rate",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "water_consumed",
    "country_name",
    "country_iso_code",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "tracking_mode",
    "cpu_utilization_percent",
    "gpu_utilization_percent",
    "ram_utilization_percent",
    "ram_used_gb",
    "on_cloud",
    "pue",
    "wue",
)
_GIGABYTE = 1e9
_IDENTITY = uuid.UUID("6f0f4f0e-1a57-5f0b-9a53-0d8a4a1c6b1e")


def text(dossier: Dossier) -> str:
    """The whole file."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for reading in dossier.readings:
        row = {name: value for name, value in _row(dossier, reading).items() if value is not None}
        writer.writerow({name: guarded(value) for name, value in row.items()})
    return file.getvalue()


def environment_of(dossier: Dossier, reading: Reading) -> dict[str, Any]:
    """The recorded environment that a reading was made in; empty where no manifest holds it."""
    for manifest in dossier.results.manifests:
        environment = manifest.get("environment") or {}
        if environment.get("id") == reading.environment_id:
            return dict(environment)
    return {}


def identity(dossier: Dossier, reading: Reading) -> str:
    """The same for the same reading of the same run, whenever it is written."""
    runs = sorted(str(manifest["run"]) for manifest in dossier.results.manifests)
    return str(
        uuid.uuid5(_IDENTITY, repr((runs, reading.environment_id, reading.subject, reading.implementation)))
    )


def _row(dossier: Dossier, reading: Reading) -> dict[str, Any]:
    environment, asked = environment_of(dossier, reading), dossier.asked
    memory = environment.get("memory_bytes")
    return {
        "timestamp": reading.started_at[:19],
        "project_name": f"{reading.subject} {reading.implementation}",
        "run_id": identity(dossier, reading),
        "duration": reading.seconds,
        **_energy(asked, reading),
        "country_name": _country(asked),
        "country_iso_code": asked.country or None,
        "os": environment.get("os"),
        "python_version": (environment.get("versions") or {}).get("python"),
        "cpu_count": environment.get("cores"),
        "cpu_model": environment.get("cpu"),
        "gpu_model": environment.get("accelerator"),
        "ram_total_size": memory / _GIGABYTE if memory else None,
        "tracking_mode": "machine",
        "pue": asked.applied_pue,
    }


def _country(asked: Asked) -> str | None:
    row = asked.countries.rows.get(asked.country) if asked.countries else None
    return row.name if row else None


def _energy(asked: Asked, reading: Reading) -> dict[str, Any]:
    seconds, intensity = reading.seconds, asked.grams_per_kilowatt_hour
    kilograms = None
    if intensity is not None:
        grams = operational_grams(reading.joules, pue=asked.applied_pue, grams_per_kilowatt_hour=intensity)
        kilograms = kilograms_of_grams(grams)
    fields: dict[str, Any] = {
        "emissions": kilograms,
        "emissions_rate": kilograms / seconds if kilograms is not None and seconds else None,
        "energy_consumed": kilowatt_hours_of_joules(reading.joules * asked.applied_pue),
    }
    for name, ours in (("cpu", "processor"), ("gpu", "accelerator")):
        part = reading.components.get(ours)
        if part is not None:
            fields[f"{name}_energy"] = kilowatt_hours_of_joules(part.joules * asked.applied_pue)
            fields[f"{name}_power"] = part.joules / seconds if seconds else None
    return fields
