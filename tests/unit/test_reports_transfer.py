"""The view of transfer: accuracies beside their differences, each with a verdict or a reason."""

from __future__ import annotations

from typing import Any

import pandas
import pytest

from reports.content import Cell, Group, Items, Paragraph, Table
from reports.evidence import Evidence
from reports.frame import COLUMNS, Results
from reports.learnt.transfer import render


def row(metric: str, part: str, values: tuple[float, ...] = (), **more: Any) -> dict[str, Any]:
    known: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    known |= {"run": "run", "suite": "transfer", "metric": metric, "unit": "fraction", "seed": 0, "launch": 0}
    known |= {"implementation": "linear@torch", "subject": f"drop_in/{part}".strip("/"), "values": values}
    known |= {"status": "ok" if values else "failed", "environment_id": "here", "details": {"grid": "0.001"}}
    return known | more


def table_of(*rows: dict[str, Any]) -> Table:
    frame = pandas.DataFrame(list(rows), columns=list(COLUMNS))
    manifest = {"run": "run", "alpha": 0.01, "score_alpha": 0.05, "launches_planned": 1}
    results = Results(frame=frame, manifests=(manifest,), set_aside=0, mixed=False)
    blocks = render(Evidence(results=results, comparisons=(), figures=())).blocks
    assert isinstance(blocks[0], Items)
    group = blocks[1]
    assert isinstance(group, Group)
    table, told = group.blocks
    assert isinstance(table, Table)
    assert told == Items(items=(("grid", "0.001"),))
    return table


def cells(table: Table) -> dict[str, Cell]:
    heads = [column.title for column in table.columns]
    return dict(zip(heads, table.rows[0], strict=True))


@pytest.mark.parametrize(
    ("ahead", "behind", "word"), [(30, 2, "better"), (2, 30, "worse"), (8, 9, "undecided")]
)
def test_one_seed_is_judged_over_its_examples(ahead: int, behind: int, word: str) -> None:
    values = (1.0,) * ahead + (-1.0,) * behind + (0.0,) * (100 - ahead - behind)
    found = cells(table_of(row("accuracy_difference", "exchanged", values)))
    assert found["its cost at once"].word == word
    assert found["its cost at once"].mark == "provisional: 1 seed"
    sign = "+" if ahead > behind else "−"
    assert found["its cost at once"].text == f"{sign}{abs(ahead - behind) / 100:.3f}"


def test_seeds_are_judged_by_their_means() -> None:
    rows = [
        row("accuracy_difference", "exchanged_tuned", (-1.0,) * (20 + seed) + (0.0,) * (80 - seed), seed=seed)
        for seed in range(3)
    ]
    found = cells(table_of(*rows))["its cost after tuning"]
    assert (found.word, found.text, found.mark) == ("worse", "−0.210", "")


def test_what_has_no_figure_says_why_in_each_of_its_columns() -> None:
    failed = row(
        "accuracy", "", implementation="latent@torch", status="unsupported", reason="it changes projections"
    )
    table = table_of(row("accuracy", "untouched", (1.0, 0.0)), failed)
    assert [column.title for column in table.columns] == ["implementation", "untouched encoder"]
    cell = table.rows[1][1]
    assert (cell.word, cell.notes) == ("unsupported", ("it changes projections",))


def test_guessing_by_frequency_stands_beside_the_loss() -> None:
    told = {"grid": "0.001", "by_frequency": "6.1 nats"}
    found = cells(table_of(row("masked_loss", "", (5.5, 5.7), unit="nats", details=told)))
    assert found["loss on masked words"].notes == ("frequencies alone: 6.1 nats",)


def test_without_rows_it_says_so() -> None:
    frame = pandas.DataFrame([], columns=list(COLUMNS))
    manifest = {"run": "run", "alpha": 0.01, "score_alpha": 0.05, "launches_planned": 1}
    results = Results(frame=frame, manifests=(manifest,), set_aside=0, mixed=False)
    section = render(Evidence(results=results, comparisons=(), figures=()))
    assert section.blocks == (Paragraph(text="Nothing was transferred."),)
