"""BoAmps reports (Boavizta): one JSON file for each training and each inference of each variant.

Energy is in kWh, without PUE, a measure for the processor and one for the accelerator. What a run does not
say is left out; the kind of infrastructure is not known to it, so it is "other". Each report is held against
the published fields (`reports.audit.boamps_fields`) before it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from statistics import fmean
from typing import Any

from bench.registry import registry
from bench.units import kilowatt_hours_of_joules
from reports.audit.boamps_fields import problems
from reports.audit.cases import Case
from reports.audit.dossier import Dossier
from reports.audit.emissions_csv import environment_of, identity
from reports.audit.readings import TRAINING, Component, Reading

PATTERN = "boamps_[0-9]*.json"
_SPECIFICATION = "https://github.com/Boavizta/BoAmps/tree/main/model"
_VERSION = "1.1.0"
_QUALITY = ((0.1, "high"), (0.25, "medium"), (0.5, "low"))
_GIGABYTE = 1e9
_TYPES = {"text": "text", "image": "image"}


def files(dossier: Dossier) -> Iterator[tuple[str, str, str]]:
    """Name, description and text of each file."""
    number = 0
    for case in dossier.cases:
        for reading in (*case.training.values(), *case.serving.values()):
            if not _parts(reading):
                continue
            number += 1
            what = f"BoAmps report: {reading.subject}, {reading.implementation}"
            yield f"boamps_{number:02}.json", what, text(report(dossier, case, reading))


def text(found: dict[str, Any]) -> str:
    """The report as JSON; raises ValueError where it is not what BoAmps publishes."""
    wrong = problems(found)
    if wrong:
        raise ValueError(f"not a BoAmps report: {'; '.join(wrong)}")
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def report(dossier: Dossier, case: Case, reading: Reading) -> dict[str, Any]:
    """One report on one call: a whole training, or a batch of inferences."""
    environment = environment_of(dossier, reading)
    found = {
        "header": {
            "formatVersion": _VERSION,
            "formatVersionSpecificationUri": _SPECIFICATION,
            "reportId": identity(dossier, reading),
            "reportDatetime": dossier.written_at[:19].replace("T", " "),
            "reportStatus": "draft",
        },
        "task": _task(dossier, case, reading, environment),
        "measures": [_measure(reading, name, part) for name, part in _parts(reading).items()],
        "infrastructure": {"infraType": "other", "components": list(_components(environment))},
    }
    if environment.get("os"):
        found["system"] = {"os": str(environment["os"])}
    python = (environment.get("versions") or {}).get("python")
    found["software"] = {"language": "python"} | ({"version": str(python)} if python else {})
    found |= _place(dossier)
    quality = _quality(reading)
    return found | ({"quality": quality} if quality else {})


def _parts(reading: Reading) -> dict[str, Component]:
    return {name: part for name, part in reading.components.items() if name != "memory"}


def _task(dossier: Dossier, case: Case, reading: Reading, environment: dict[str, Any]) -> dict[str, Any]:
    training = reading.phase == TRAINING
    score = case.scores.get(reading.implementation)
    modality = getattr(registry().tasks.get(case.task), "modality", "")
    data: dict[str, Any] = {"dataUsage": "input", "dataType": _TYPES.get(modality, "other")}
    if reading.items:
        data["dataQuantity"] = reading.items
    found: dict[str, Any] = {
        "taskStage": "training" if training else "inference",
        "taskFamily": case.task,
        "algorithms": [_algorithm(dossier, case, reading, environment)],
        "dataset": [data],
        "taskDescription": f"{reading.subject}, one call; {reading.basis}; energy {reading.method}",
    }
    if not training and reading.items:
        found["nbRequest"] = reading.items
    if score is not None and score.metric == "accuracy":
        found["measuredAccuracy"] = fmean(score.by_seed.values())
    return found


def _algorithm(dossier: Dossier, case: Case, reading: Reading, environment: dict[str, Any]) -> dict[str, Any]:
    variant = reading.implementation.rpartition("@")[0]
    found: dict[str, Any] = {
        "algorithmType": "neural network",
        "algorithmName": f"transformer with {variant} attention",
        "framework": reading.framework,
    }
    version = (environment.get("versions") or {}).get(reading.framework)
    if version:
        found["frameworkVersion"] = str(version)
    if reading.phase == TRAINING:
        found["trainingType"] = "supervisedLearning"
    rows = dossier.results.select("accuracy", "parameters")
    rows = rows[(rows["implementation"] == reading.implementation) & (rows["subject"] == case.task)]
    counts = [value for values in rows["values"] for value in values]
    if counts:
        found["parametersNumber"] = counts[0] / 1e9
    return found


def _measure(reading: Reading, name: str, part: Component) -> dict[str, Any]:
    mode = "cpuTrackingMode" if name == "processor" else "gpuTrackingMode"
    found: dict[str, Any] = {
        "measurementMethod": "attnbench",
        "version": metadata.version("attnbench"),
        mode: f"{part.tool} ({part.method})",
        "powerConsumption": kilowatt_hours_of_joules(part.joules),
        "measurementDateTime": reading.started_at[:19].replace("T", " "),
    }
    if reading.seconds is not None:
        found["measurementDuration"] = reading.seconds
    return found


def _components(environment: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for the processor (its count is not recorded, so 1), one for what else was found."""
    name = environment.get("cpu")
    yield {"componentType": "cpu", "nbComponent": 1} | ({"componentName": str(name)} if name else {})
    if environment.get("accelerator"):
        yield {"componentType": "gpu", "nbComponent": 1, "componentName": str(environment["accelerator"])}
    if environment.get("memory_bytes"):
        size = round(environment["memory_bytes"] / _GIGABYTE)
        yield {"componentType": "ram", "nbComponent": 1, "memorySize": size}


def _place(dossier: Dossier) -> dict[str, Any]:
    """The country, where one was given: the format has no place for an intensity without one."""
    asked = dossier.asked
    row = asked.countries.rows.get(asked.country) if asked.countries else None
    name = row.name if row else asked.country
    if not name:
        return {}
    found: dict[str, Any] = {"country": name}
    if asked.grams_per_kilowatt_hour is not None:
        found["powerSourceCarbonIntensity"] = asked.grams_per_kilowatt_hour
    return {"environment": found}


def _quality(reading: Reading) -> str:
    """BoAmps's word for the error: 10, 25 or 50 percent; none where nobody can say, or it is larger."""
    bounds = reading.method_bounds()
    if bounds is None:
        return ""
    error = max(1 - bounds[0], bounds[1] - 1)
    return next((word for limit, word in _QUALITY if error <= limit + 1e-9), "")
