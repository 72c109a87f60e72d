"""Machine-readable files of the audit, held against the formats' own definitions."""

from __future__ import annotations

import ast
import copy
import csv
import io
import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from made_up_audit import MadeUpAudit, modelled, write

from reports.audit import boamps, emissions_csv, model_card
from reports.audit.asked import asked
from reports.audit.boamps_fields import problems
from reports.audit.dossier import Dossier, dossier
from reports.frame import read_results

WHEN = "2026-01-03T00:00:00+00:00"


def found(folder: Path, run: MadeUpAudit | None = None, **typed: Any) -> Dossier:
    return dossier(read_results([write(folder / "run", run or MadeUpAudit())]), asked(**typed), WHEN)


def rows(whole: Dossier) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(emissions_csv.text(whole))))


def test_the_columns_are_those_of_the_installed_codecarbon() -> None:
    distribution = metadata.distribution("codecarbon")
    source = Path(str(distribution.locate_file("codecarbon/output_methods/emissions_data.py"))).read_text(
        encoding="utf-8"
    )
    (made,) = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == "EmissionsData"
    ]
    names = [
        line.target.id
        for line in made.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    ]
    assert list(emissions_csv.COLUMNS) == names


def test_a_row_of_emissions_is_in_kilowatt_hours_and_kilograms(tmp_path: Path) -> None:
    whole = found(tmp_path, intensity=100.0, pue=1.5)
    (row,) = [row for row in rows(whole) if row["project_name"] == "sentiment/training_run performer@torch"]
    (reading,) = [
        r
        for r in whole.readings
        if (r.subject, r.implementation) == ("sentiment/training_run", "performer@torch")
    ]
    # 4,800 J · 1.5 / 3.6e6 = 0.002 kWh; at 100 g/kWh 0.2 g, 0.0002 kg.
    assert float(row["energy_consumed"]) == pytest.approx(0.002, rel=0.005)
    assert float(row["emissions"]) == pytest.approx(float(row["energy_consumed"]) * 100 / 1000)
    assert float(row["emissions_rate"]) == pytest.approx(float(row["emissions"]) / float(row["duration"]))
    assert float(row["cpu_energy"]) + float(row["gpu_energy"]) == pytest.approx(float(row["energy_consumed"]))
    assert float(row["cpu_power"]) + float(row["gpu_power"]) == pytest.approx(100, rel=0.001)
    assert (row["pue"], row["ram_energy"], row["water_consumed"]) == ("1.5", "", "")
    assert float(row["duration"]) == pytest.approx(reading.seconds)


def test_what_is_not_known_is_empty_and_never_zero(tmp_path: Path) -> None:
    for row in rows(found(tmp_path, modelled())):
        assert row["emissions"] == row["emissions_rate"] == row["country_name"] == row["gpu_energy"] == ""
        assert float(row["energy_consumed"]) > 0


def test_names_that_a_spreadsheet_would_run_are_guarded(tmp_path: Path) -> None:
    run = write(tmp_path / "run", MadeUpAudit())
    manifest = json.loads((run / "run.json").read_bytes())
    manifest["environment"]["cpu"] = "=HYPERLINK(1)"
    (run / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    whole = dossier(read_results([run]), asked(), WHEN)
    assert {row["cpu_model"] for row in rows(whole)} == {"'=HYPERLINK(1)"}


def reports(whole: Dossier) -> list[dict[str, Any]]:
    return [json.loads(text) for _, _, text in boamps.files(whole)]


def test_boamps_reports_hold_the_published_fields(tmp_path: Path) -> None:
    made = reports(found(tmp_path, country="FRA", pue=1.2))
    assert len(made) == 6
    assert [problems(report) for report in made] == [[]] * 6
    training, serving = made[0], made[3]
    assert (training["task"]["taskStage"], serving["task"]["taskStage"]) == ("training", "inference")
    # 150 W · 40 s without PUE, 0.3 of it the processor's: 1,800 J and 4,200 J.
    measures = [measure["powerConsumption"] for measure in training["measures"]]
    assert measures == pytest.approx([1800 / 3.6e6, 4200 / 3.6e6], rel=0.005)
    assert serving["task"]["nbRequest"] == 32
    assert serving["task"]["measuredAccuracy"] == pytest.approx(0.76)
    assert (training["environment"]["country"], training["quality"]) == ("France", "high")


def test_a_boamps_report_says_nothing_of_a_country_that_was_not_given(tmp_path: Path) -> None:
    for report in reports(found(tmp_path, modelled(), intensity=100.0)):
        assert "environment" not in report and "quality" not in report
        assert report["infrastructure"]["infraType"] == "other"


def without(report: dict[str, Any], *place: str) -> dict[str, Any]:
    del _at(report, *place[:-1])[place[-1]]
    return report


def with_value(report: dict[str, Any], value: Any, *place: str) -> dict[str, Any]:
    _at(report, *place[:-1])[place[-1]] = value
    return report


def _at(report: Any, *place: str) -> Any:
    for name in place:
        report = report[0] if isinstance(report, list) else report
        report = report[name]
    return report[0] if isinstance(report, list) else report


def test_what_is_wrong_with_a_boamps_report_is_named_with_its_place(tmp_path: Path) -> None:
    right = reports(found(tmp_path))[0]
    wrong = {
        "report.measures[0].powerConsumption is missing": without(
            copy.deepcopy(right), "measures", "powerConsumption"
        ),
        "report.task.taskFamily is missing": without(copy.deepcopy(right), "task", "taskFamily"),
        "report.task.dataset[0].dataType must be tabular or": with_value(
            copy.deepcopy(right), "prose", "task", "dataset", "dataType"
        ),
        "report.task.measuredAccuracy must lie between 0 and 1": with_value(
            copy.deepcopy(right), 76.0, "task", "measuredAccuracy"
        ),
        "report.infrastructure.components[0].nbComponent must be a whole number": with_value(
            copy.deepcopy(right), 1.5, "infrastructure", "components", "nbComponent"
        ),
        "report.measures must be a list with an entry": with_value(copy.deepcopy(right), [], "measures"),
        "report.joules is no field of BoAmps": with_value(copy.deepcopy(right), 1.0, "joules"),
        "report.quality must be high or medium or low": with_value(copy.deepcopy(right), "best", "quality"),
    }
    for said, report in wrong.items():
        (problem,) = problems(report)
        assert problem.startswith(said)
        with pytest.raises(ValueError, match="not a BoAmps report"):
            boamps.text(report)


def test_a_model_card_is_in_grams(tmp_path: Path) -> None:
    whole = found(tmp_path, country="FRA", intensity=100.0, pue=1.5)
    texts = {what: text for _, what, text in model_card.files(whole)}
    (card,) = [text for what, text in texts.items() if "performer" in what]
    assert card.startswith("---\nco2_eq_emissions:\n  emissions: ")
    fields = dict(re.findall(r"^  (\w+): (.*)$", card, flags=re.MULTILINE))
    # 4,800 J · 1.5 at 100 g/kWh: 0.2 grams, not 0.0002 kilograms.
    assert float(fields["emissions"]) == pytest.approx(0.2, rel=0.005)
    assert json.loads(fields["geographical_location"]) == "France"
    assert json.loads(fields["training_type"]) == "pre-training"
    assert json.loads(fields["hardware_used"]) == "Made-up processor, Made-up accelerator"
    assert "energy measured (RAPL (powercap)" in json.loads(fields["source"])


def test_without_an_intensity_there_is_no_model_card(tmp_path: Path) -> None:
    assert list(model_card.files(found(tmp_path))) == []


@pytest.mark.parametrize(
    ("grams", "text"),
    [(0.2, "0.200000"), (1234567.0, "1234567.0"), (3.2e-7, "0.000000320000"), (15.5, "15.5000")],
)
def test_grams_are_written_without_an_exponent(grams: float, text: str) -> None:
    assert model_card.plain(grams) == text


def test_front_matter_cannot_be_left_by_a_name_from_outside(tmp_path: Path) -> None:
    run = write(tmp_path / "run", MadeUpAudit())
    manifest = json.loads((run / "run.json").read_bytes())
    manifest["environment"]["cpu"] = 'x"\n---\nlicense: mit\n'
    (run / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    whole = dossier(read_results([run]), asked(intensity=100.0), WHEN)
    for _, _, text in model_card.files(whole):
        assert text.count("\n---\n") == 1
        assert "\nlicense" not in text
