"""Scores, what outdoes them, and the view `training`, on made-up rows with known answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import wire
from bench.registry import registry
from bench.schema import Measurement
from bench.session import SCORE_MARGINS
from bench.store import Record
from reports.comparisons import compare
from reports.content import Block, Cell, Group, Paragraph, Plot, Section, Table
from reports.directions import better, is_control
from reports.estimates import LEARNT, estimate, is_score
from reports.evidence import Evidence, gather
from reports.examples import paired
from reports.frame import read_results
from reports.learnt import accuracy, training
from reports.learnt.outdone import in_short, outdone, sentences
from reports.verdicts import render as render_verdicts
from suites.accuracy import GRID_UNITS, TRAINING_UNITS
from suites.tasks.scores import LOWER_IS_BETTER

SOFTMAX, LINEAR, CONTROL = "softmax@torch", "linear@torch", "uniform@torch"
SERIES = ("loss_curve", "validation", "gradient_norm_p50", "gradient_norm_max", "bits_by_position")


def row(name: str, metric: str, values: Sequence[float] = (), **fields: Any) -> Measurement:
    known: dict[str, Any] = {
        "run": "r",
        "suite": "accuracy",
        "unit": "fraction",
        "subject": "sentiment",
        "seed": 0,
        "launch": 0,
        "method": "measured",
        "tool": "made up",
        "environment_id": "e",
        "started_at": "2026-01-02T03:04:05+00:00",
        "role": "reference" if name.startswith("softmax") else "candidate",
    }
    found = {"implementation": name, "metric": metric, "values": tuple(values)}
    return Measurement(**(known | found | fields))


def evidence(folder: Path, rows: Sequence[Measurement], **manifest: Any) -> Evidence:
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = {
        "run": "r",
        "command": "attnbench compare",
        "profile": "quick",
        "seed": 0,
        "started_at": "2026-01-02T03:04:05+00:00",
        "finished_at": "2026-01-02T03:05:05+00:00",
        "environment": {"id": "e"},
        "request": {},
        "launches_planned": 8,
        "alpha": 0.01,
        "score_alpha": 0.05,
        "margin": 0.02,
        "score_margins": {"accuracy": 0.01, "bits_per_byte": 0.01},
    }
    (folder / "run.json").write_bytes(wire.pretty(known | manifest))
    line = wire.encode(Record(job="j", step="s", measurements=tuple(rows)))
    (folder / "measurements.jsonl").write_bytes(line + b"\n")
    return gather(read_results([folder]))


def blocks(found: Sequence[Block]) -> Iterator[Block]:
    for block in found:
        yield from blocks(block.blocks) if isinstance(block, Group) else (block,)


def tables(section: Section) -> list[Table]:
    return [block for block in blocks(section.blocks) if isinstance(block, Table)]


def cells(table: Table) -> dict[str, dict[str, Cell]]:
    titles = [column.title for column in table.columns]
    return {row[0].text: dict(zip(titles, row, strict=True)) for row in table.rows}


@pytest.mark.parametrize("metric", SERIES)
def test_a_series_is_neither_a_score_nor_a_mean(metric: str, tmp_path: Path) -> None:
    assert not is_score(metric)
    rows = [row(SOFTMAX, metric, [3, 2, 1]), row(LINEAR, metric, [5, 4, 3])]
    found = evidence(tmp_path, rows, score_margins={})
    assert estimate(found.results) == ()
    titles = [column.title for table in tables(accuracy.render(found)) for column in table.columns]
    assert metric.replace("_", " ") not in titles


def test_what_the_suite_tells_of_a_training_is_no_score() -> None:
    assert not [metric for metric in {**TRAINING_UNITS, **GRID_UNITS} if is_score(metric)]


def test_the_registry_knows_of_which_scores_less_is_better() -> None:
    told = {metric: {better(suite, metric) for suite in LEARNT} for metric in LOWER_IS_BETTER}
    assert {metric for metric, words in told.items() if "lower" not in words} == set()
    assert (better("accuracy", "accuracy"), better("accuracy", "of a plug-in")) == ("higher", "higher")
    assert better("robustness", "calibration_error") == "lower"
    assert is_control("uniform")
    assert not is_control("softmax")
    assert not is_control("of a plug-in")


def test_every_margin_is_of_a_metric_that_a_suite_ranks_by() -> None:
    ranking = {
        metric.name for suite in registry().suites.values() for metric in suite.metrics if metric.ranks
    }
    assert set(SCORE_MARGINS) <= ranking


def by_seed(name: str, metric: str, scores: Sequence[float], **fields: Any) -> list[Measurement]:
    return [row(name, metric, [score] * 3, seed=seed, **fields) for seed, score in enumerate(scores)]


def test_fewer_bits_are_better(tmp_path: Path) -> None:
    rows = [
        *by_seed(SOFTMAX, "bits_per_byte", [2.30, 2.31, 2.32], unit="bits"),
        *by_seed(LINEAR, "bits_per_byte", [2.20, 2.21, 2.22001], unit="bits"),
    ]
    found = evidence(tmp_path, rows)
    (comparison,) = compare(found.results)
    assert comparison.verdict.word == "better"
    assert comparison.verdict.ratio == pytest.approx(-0.1, abs=1e-4)
    (table, *_) = tables(render_verdicts(found))
    assert "(of bits_per_byte less is better)" in table.caption


def baseline(name: str, metric: str, score: float, **fields: Any) -> Measurement:
    return row(name, metric, [score] * 3, role="baseline", **fields)


def test_a_baseline_that_beats_every_variant_is_named_beside_the_scores_and_in_the_verdicts(
    tmp_path: Path,
) -> None:
    rows = [
        *by_seed(SOFTMAX, "accuracy", [0.70, 0.72]),
        *by_seed(LINEAR, "accuracy", [0.74, 0.742]),
        *by_seed(CONTROL, "accuracy", [0.69, 0.71]),
        baseline("tfidf_logistic_regression@sklearn", "accuracy", 0.768),
        baseline("majority@sklearn", "accuracy", 0.5),
    ]
    found = evidence(tmp_path, rows)
    section = accuracy.render(found)
    sentence = (
        "TF-IDF with logistic regression (0.768) beats every variant here: the best of them, linear@torch, "
        "has 0.741."
    )
    warnings = [b.text for b in blocks(section.blocks) if isinstance(b, Paragraph) and b.warning]
    assert warnings == [sentence]
    assert section.data["sentiment"]["outdone"] == [sentence]
    (items, *_) = render_verdicts(found).blocks
    assert sentence.partition(":")[0] in str(items)
    assert "majority" not in str(items)


@pytest.mark.parametrize(
    ("metric", "variant", "control", "said"),
    [
        ("accuracy", 0.7, 0.7, ["is as good as every variant here"]),
        ("accuracy", 0.7, 0.71, ["beats every variant here"]),
        ("accuracy", 0.7, 0.69, []),
        ("bits_per_byte", 2.2, 2.1, ["beats every variant here"]),
        ("bits_per_byte", 2.2, 2.3, []),
    ],
)
def test_a_control_is_held_against_the_best_variant(
    metric: str, variant: float, control: float, said: list[str], tmp_path: Path
) -> None:
    sign = -1 if metric in LOWER_IS_BETTER else 1
    rows = [
        *by_seed(SOFTMAX, metric, [variant - sign * 0.1] * 2),
        *by_seed(LINEAR, metric, [variant] * 2),
        *by_seed(CONTROL, metric, [control] * 2),
    ]
    found = outdone(evidence(tmp_path, rows).figures, "sentiment", metric)
    assert [short.partition(") ")[2] for short in in_short(found)] == said
    assert [one.best.implementation for one in found] == [LINEAR for _ in said]
    assert all(short.startswith("the control uniform@torch (") for short in in_short(found))


def test_several_that_outdo_every_variant_stand_in_one_sentence(tmp_path: Path) -> None:
    rows = [
        *by_seed(SOFTMAX, "accuracy", [0.6] * 2),
        *by_seed(CONTROL, "accuracy", [0.61] * 2),
        baseline("three_grams@numpy", "accuracy", 0.7),
        baseline("majority@sklearn", "accuracy", 0.6),
    ]
    assert sentences(outdone(evidence(tmp_path, rows).figures, "sentiment", "accuracy")) == [
        "Three grams (0.700) and the control uniform@torch (0.610) beat every variant here: the best of "
        "them, softmax@torch, has 0.600.",
        "Majority (0.600) is as good as every variant here: the best of them, softmax@torch, has 0.600.",
    ]


def test_a_control_outdoes_nobody_where_no_variant_was_measured(tmp_path: Path) -> None:
    found = evidence(tmp_path, by_seed(CONTROL, "accuracy", [0.7, 0.7]))
    assert outdone(found.figures, "sentiment", "accuracy") == ()


def test_the_accuracy_table_tells_size_rate_and_the_examples_that_differ(tmp_path: Path) -> None:
    told = {"parameters_off": "+6.10% without tables", "parameters_matched": "no: nothing can give way"}
    rows = [
        row(SOFTMAX, "accuracy", [1, 1, 1, 0, 0]),
        row(LINEAR, "accuracy", [0, 0, 1, 1, 0]),
        row(SOFTMAX, "parameters", [100], unit="count", details={"parameters_matched": "yes"}),
        row(LINEAR, "parameters", [106], unit="count", details=told),
        row(LINEAR, "learning_rate", [0.003], unit="1"),
        row(LINEAR, "loss_spikes", [2], unit="count"),
        row(LINEAR, "training_seconds", [9], unit="s"),
        row(LINEAR, "diverged", [0.5]),
    ]
    found = evidence(tmp_path, rows)
    section = accuracy.render(found)
    (table,) = tables(section)
    assert [column.title for column in table.columns] == [
        "implementation",
        "role",
        "accuracy against reference",
        "right alone: it, reference",
        "accuracy",
        "parameters",
        "learning rate",
    ]
    mine = cells(table)[LINEAR]
    assert mine["right alone: it, reference"].text == "1, 2"
    assert mine["right alone: it, reference"].notes[0] == "p 1"
    assert mine["parameters"].notes == ("not matched: +6.10% without tables", "nothing can give way")
    assert mine["learning rate"].text == "0.003"
    assert cells(table)[SOFTMAX]["learning rate"].word == "not measured"
    (pair,) = section.data["sentiment"]["pairs"]
    assert (pair["only_it"], pair["only_reference"], pair["examples"]) == (1, 2, 5)
    assert pair["difference"] == pytest.approx(-0.2)


def test_a_seed_that_failed_does_not_hide_those_that_did_not(tmp_path: Path) -> None:
    rows = [
        *by_seed(LINEAR, "accuracy", [0.7, 0.72]),
        row(LINEAR, "accuracy", seed=2, status="failed", reason="training diverged"),
    ]
    (table,) = tables(accuracy.render(evidence(tmp_path, rows)))
    cell = cells(table)[LINEAR]["accuracy"]
    assert cell.text == "0.710"
    assert "failed at 1 seed" in cell.mark


def test_examples_pair_up_by_seed_and_are_averaged_over_them() -> None:
    mine = {("r", 0): np.array([1.0, 0, 1, 1]), ("r", 1): np.array([1.0, 1, 1, 0])}
    reference = {("r", 0): np.array([0.0, 1, 1, 1]), ("r", 1): np.array([0.0, 1, 0, 0]), ("r", 2): np.ones(4)}
    pair = paired(mine, reference)
    assert pair is not None
    assert pair.trainings == (("r", 0), ("r", 1))
    assert pair.differences.tolist() == [1, -0.5, 0.5, 0]
    assert (pair.only_it, pair.only_reference, pair.p) == (1, 1, 1)
    assert pair.interval(0.95)[0] == pytest.approx(0.25)


def test_other_examples_are_not_paired() -> None:
    assert paired({("r", 0): np.ones(4)}, {("r", 0): np.ones(5)}) is None
    assert paired({("r", 0): np.ones(4)}, {("r", 1): np.ones(4)}) is None
    values = paired({("r", 0): np.array([0.5, 1])}, {("r", 0): np.array([0.25, 1])})
    assert values is not None
    assert values.p is None


def trained(**fields: Any) -> list[Measurement]:
    grid = {"grid": "0.001 0.003 0.01", "scored": "0.001 0.003"}
    lost = {"diverged": "0.01: training diverged at step 12: loss is nan"}
    told: dict[str, Any] = {"details": {**grid, **lost}}
    parts: dict[str, Any] = {"details": {"parts": "embedding blocks.0"}, "unit": "norm"}
    return [
        row(LINEAR, "learning_rate", [0.003], unit="1"),
        row(LINEAR, "validation", [0.6, 0.65], unit="score", **told),
        row(LINEAR, "diverged", [1 / 3], **told),
        row(LINEAR, "loss_spikes", [1], unit="count"),
        row(LINEAR, "loss_spikes", [2], unit="count", seed=1),
        *(
            row(LINEAR, f"gradient_norm_{name}", [place, place + 0.5], seed=seed, **parts)
            for seed in (0, 1)
            for place, name in enumerate(("p50", "p95", "max"), 1)
        ),
        row(LINEAR, "loss_curve", [4, 3, 2, 1], unit="loss", details={"every": "5"}),
        row(LINEAR, "loss_curve", [2, 1, 0, 1], unit="loss", seed=1, details={"every": "5"}),
    ]


def test_the_training_view_tells_the_grid_the_leaps_and_the_norms(tmp_path: Path) -> None:
    section = training.render(evidence(tmp_path, trained()))
    grid, norms = tables(section)
    mine = cells(grid)[LINEAR]
    assert "accuracy on validation" in grid.caption
    assert mine["chosen rate"].text == "0.003"
    assert (mine["at 0.001"].text, mine["at 0.001"].notes) == ("0.600", ())
    assert (mine["at 0.003"].text, mine["at 0.003"].notes) == ("0.650", ("chosen",))
    assert (mine["at 0.01"].word, mine["at 0.01"].notes) == (
        "diverged",
        ("training diverged at step 12: loss is nan",),
    )
    assert mine["of the grid diverged"].text == "33%"
    assert mine["leaps of the loss"].text == "1.50"
    assert cells(norms)[LINEAR]["blocks.0"].notes == ("p95 2.5", "max 3.5")
    assert [block.title for block in blocks(section.blocks) if isinstance(block, Plot)] == [
        "sentiment: training loss"
    ]
    (entry,) = section.data["sentiment"]
    assert entry["loss_curve"] == [[5, 3], [10, 2], [15, 1], [20, 1]]
    assert entry["gradient_norms"]["embedding"] == [1, 2, 3]


def test_a_long_curve_is_averaged_over_neighbours(tmp_path: Path) -> None:
    rows = [row(LINEAR, "loss_curve", [float(step) for step in range(100)], details={"every": "3"})]
    (entry,) = training.render(evidence(tmp_path, rows)).data["sentiment"]
    assert len(entry["loss_curve"]) == 25
    assert entry["loss_curve"][0] == [7.5, 1.5]
    assert entry["loss_curve"][-1] == [294 + 1.5, 97.5]


def test_a_grid_that_diverged_as_a_whole_has_reasons_and_no_rate(tmp_path: Path) -> None:
    lost = "0.001: loss is inf; 3e-05: 4 of 9 outputs on the test set are not finite"
    told = {"grid": "3e-05 0.001", "scored": "", "diverged": lost}
    rows = [
        row(LINEAR, "diverged", [1], details=told),
        row(LINEAR, "learning_rate", status="failed", reason=lost),
    ]
    (grid,) = tables(training.render(evidence(tmp_path, [*rows, *trained()[-1:]])))
    mine = cells(grid)[LINEAR]
    assert (mine["chosen rate"].word, mine["chosen rate"].text) == ("failed", "")
    assert mine["at 0.001"].notes == ("loss is inf",)
    assert mine["at 3e-05"].notes == ("4 of 9 outputs on the test set are not finite",)
    assert mine["of the grid diverged"].text == "100%"


def test_without_trainings_the_view_says_so(tmp_path: Path) -> None:
    section = training.render(evidence(tmp_path, []))
    assert section.data == {}
    assert "No training was measured." in str(section.blocks)
