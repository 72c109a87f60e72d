"""The fields of a BoAmps report, as Boavizta publishes them, written as a table of our own, and a check.

Source: https://github.com/Boavizta/BoAmps, folder ``model``: report_schema.json at commit 01f4c8eac529,
algorithm_schema.json at 5546e7f6e9c0, dataset_schema.json at 408019338f10, hardware_schema.json at
20c9a9808111. The names of a measure are those that db_model/insertors/parsers.py reads at 1a175eea3077; its
energy is in kWh and its duration in seconds. Which of them are required is taken from the measure_schema.json
of the project's former repository (Boavizta/ai-power-measures-sharing at 2b146a64c06c), whose field for a
unit the reports of today no longer hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["text", "number", "integer", "object", "list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: `words` are the values it may have, `low` and `high` the bounds of a number; `fields` are
    those of an object, or of each entry of a list, which must not be empty."""

    kind: Kind = "text"
    required: bool = False
    words: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    fields: Mapping[str, Field] = field(default_factory=dict)


TEXT, NUMBER = Field(), Field(kind="number")
NEEDED = Field(required=True)
SHARE = Field(kind="number", low=0, high=1)


def _words(*words: str, required: bool = False) -> Field:
    return Field(words=words, required=required)


def _texts(*names: str) -> dict[str, Field]:
    return dict.fromkeys(names, TEXT)


def _numbers(*names: str) -> dict[str, Field]:
    return dict.fromkeys(names, NUMBER)


ALGORITHM = {
    **_texts("trainingType", "algorithmType", "algorithmName", "algorithmUri", "foundationModelName"),
    **_texts("foundationModelUri", "framework", "frameworkVersion", "classPath", "optimizer", "quantization"),
    **_numbers("parametersNumber", "layersNumber", "epochsNumber"),
}
DATASET = {
    "dataUsage": _words("input", "output", required=True),
    "dataType": _words(
        *("tabular", "audio", "boolean", "image", "video", "object", "text", "token", "word", "other"),
        required=True,
    ),
    "source": _words("public", "private", "other"),
    **_texts("dataFormat", "shape", "sourceUri", "owner"),
    **_numbers("dataSize", "dataQuantity"),
}
MEASURE = {
    "measurementMethod": NEEDED,
    "powerConsumption": Field(kind="number", required=True),
    "averageUtilizationCpu": SHARE,
    "averageUtilizationGpu": SHARE,
    **_texts("manufacturer", "version", "cpuTrackingMode", "gpuTrackingMode", "measurementDateTime"),
    **_numbers("powerCalibrationMeasurement", "durationCalibrationMeasurement", "measurementDuration"),
}
HARDWARE = {
    "componentType": NEEDED,
    "nbComponent": Field(kind="integer", required=True),
    "memorySize": Field(kind="integer"),
    "share": SHARE,
    **_texts("componentName", "manufacturer", "family", "series"),
}
HEADER = {
    "reportDatetime": NEEDED,
    "reportStatus": _words("draft", "final", "corrective", "other"),
    **_texts("licensing", "formatVersion", "formatVersionSpecificationUri", "reportId"),
    "publisher": Field(
        kind="object",
        fields={
            "confidentialityLevel": _words("public", "internal", "confidential", "secret", required=True),
            **_texts("name", "division", "projectName", "publicKey"),
        },
    ),
}
TASK = {
    "taskStage": NEEDED,
    "taskFamily": NEEDED,
    "taskDescription": TEXT,
    "nbRequest": NUMBER,
    "measuredAccuracy": SHARE,
    "estimatedAccuracy": _words("veryPoor", "poor", "average", "good", "veryGood"),
    "algorithms": Field(kind="list", required=True, fields=ALGORITHM),
    "dataset": Field(kind="list", required=True, fields=DATASET),
}
REPORT = {
    "header": Field(kind="object", fields=HEADER),
    "task": Field(kind="object", required=True, fields=TASK),
    "measures": Field(kind="list", required=True, fields=MEASURE),
    "system": Field(kind="object", fields={"os": NEEDED, **_texts("distribution", "distributionVersion")}),
    "software": Field(kind="object", fields={"language": NEEDED, "version": TEXT}),
    "infrastructure": Field(
        kind="object",
        required=True,
        fields={
            "infraType": _words("publicCloud", "privateCloud", "onPremise", "other", required=True),
            "components": Field(kind="list", required=True, fields=HARDWARE),
            **_texts("cloudProvider", "cloudInstance", "cloudService"),
        },
    ),
    "environment": Field(
        kind="object",
        fields={
            "country": NEEDED,
            "location": TEXT,
            "powerSupplierType": _words("public", "private", "internal", "other"),
            "powerSource": _words("solar", "wind", "nuclear", "hydroelectric", "gas", "coal", "other"),
            **_numbers("latitude", "longitude", "powerSourceCarbonIntensity"),
        },
    ),
    "quality": _words("high", "medium", "low"),
}


def problems(report: Any) -> list[str]:
    """What keeps a report from being one: missing, unknown and wrong fields, each with its place."""
    return list(_of_object(report, REPORT, "report"))


def _of_object(found: Any, fields: Mapping[str, Field], place: str) -> Iterator[str]:
    if not isinstance(found, Mapping):
        yield f"{place} must be an object"
        return
    for name in found:
        if name not in fields:
            yield f"{place}.{name} is no field of BoAmps"
    for name, known in fields.items():
        if name in found:
            yield from _of_field(found[name], known, f"{place}.{name}")
        elif known.required:
            yield f"{place}.{name} is missing"


def _of_field(value: Any, known: Field, place: str) -> Iterator[str]:
    if known.kind == "object":
        yield from _of_object(value, known.fields, place)
    elif known.kind == "list":
        if not isinstance(value, (list, tuple)) or not value:
            yield f"{place} must be a list with an entry"
            return
        for number, entry in enumerate(value):
            yield from _of_object(entry, known.fields, f"{place}[{number}]")
    elif known.kind == "text":
        if not isinstance(value, str) or (known.words and value not in known.words):
            yield f"{place} must be {' or '.join(known.words) or 'text'}, not {value!r}"
    else:
        yield from _of_number(value, known, place)


def _of_number(value: Any, known: Field, place: str) -> Iterator[str]:
    kinds = (int,) if known.kind == "integer" else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
        yield f"{place} must be {'a whole number' if known.kind == 'integer' else 'a number'}, not {value!r}"
    elif not known.low <= value <= known.high:
        yield f"{place} must lie between {known.low:g} and {known.high:g}, not {value:g}"
