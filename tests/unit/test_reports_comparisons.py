"""Verdicts and figures from measurements made up to have a known answer."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import wire
from bench.schema import Measurement
from bench.store import Record
from reports.comparisons import Comparison, compare, control_effects
from reports.content import Items, Table
from reports.crossover import locate
from reports.estimates import estimate
from reports.evidence import gather
from reports.frame import EnvironmentsDifferError, Results, WorkDiffersError, read_results
from reports.headline import headline
from reports.page import build, write_reports
from reports.verdicts import render, verdict_cell


def measurement(**fields: Any) -> Measurement:
    known: dict[str, Any] = {
        "run": "r",
        "suite": "throughput",
        "metric": "seconds",
        "unit": "s",
        "implementation": "linear@torch",
        "subject": "layer/forward/131",
        "seed": 0,
        "launch": 0,
        "method": "measured",
        "tool": "made up",
        "environment_id": "e",
        "started_at": "2026-01-02T03:04:05+00:00",
    }
    if fields.get("status", "ok") == "ok":
        known["values"] = (1.0,)
    return Measurement(**(known | fields))


def details(length: int, **more: str) -> dict[str, str]:
    work = {
        "architecture": "layer",
        "phase": "forward",
        "query_length": str(length),
        "key_length": str(length),
    }
    return work | {"batch": "2", "items": "2", "tokens": str(2 * length)} | more


def save(folder: Path, measurements: Sequence[Measurement], **manifest: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = {
        "run": "r",
        "command": "attnbench compare",
        "profile": "quick",
        "seed": 0,
        "started_at": "2026-01-02T03:04:05+00:00",
        "finished_at": "2026-01-02T03:05:05+00:00",
        "environment": {"id": "e", "cpu": "one", "versions": {"torch": "2.13.0"}},
        "request": {},
        "launches_planned": 8,
        "alpha": 0.01,
        "margin": 0.02,
        "score_margins": {"accuracy": 0.01},
    }
    (folder / "run.json").write_bytes(wire.pretty(known | manifest))
    line = wire.encode(Record(job="j", step="s", measurements=tuple(measurements)))
    (folder / "measurements.jsonl").write_bytes(line + b"\n")
    return folder


def timings(
    ratio: float, *, launches: int = 8, length: int = 131, noise: float = 0.001
) -> Iterator[Measurement]:
    chance = random.Random(f"{ratio} {length}")
    subject = f"layer/forward/{length}"
    for launch in range(launches):
        base = [chance.uniform(1, 2) for _ in range(7)]
        shift = chance.gauss(0, noise)
        common: dict[str, Any] = {"subject": subject, "launch": launch, "details": details(length)}
        yield measurement(implementation="softmax@torch", role="reference", values=tuple(base), **common)
        mine = tuple(value * ratio * math.exp(shift) for value in base)
        yield measurement(values=mine, **common)


def read(tmp_path: Path, measurements: Sequence[Measurement], **manifest: Any) -> Results:
    return read_results([save(tmp_path / "run", measurements, **manifest)])


def only(results: Results) -> Comparison:
    (comparison,) = compare(results)
    return comparison


@pytest.mark.parametrize(("ratio", "word"), [(0.5, "better"), (1.7, "worse"), (1.0, "same")])
def test_a_time_is_judged_by_its_paired_ratio(ratio: float, word: str, tmp_path: Path) -> None:
    comparison = only(read(tmp_path, list(timings(ratio))))
    assert comparison.verdict.word == word
    assert comparison.verdict.ratio == pytest.approx(ratio, rel=0.01)
    assert comparison.length == 131
    assert not comparison.provisional


def test_drift_that_both_arms_share_does_not_reach_the_ratio(tmp_path: Path) -> None:
    """The reference's values spread by a factor of two; the pairs do not."""
    verdict = only(read(tmp_path, list(timings(0.9)))).verdict
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.high / verdict.low < 1.01


def test_one_launch_gives_an_estimate_but_no_interval_and_no_decision(tmp_path: Path) -> None:
    comparison = only(read(tmp_path, list(timings(0.5, launches=1))))
    assert comparison.verdict.word == "undecided"
    assert comparison.verdict.ratio == pytest.approx(0.5, rel=0.01)
    assert comparison.verdict.low is None
    assert "one launch" in comparison.verdict.reason
    cell = verdict_cell(comparison)
    assert cell.mark == "provisional"
    assert "(no interval)" in cell.notes


@pytest.mark.parametrize(("launches", "planned", "provisional"), [(3, 3, True), (8, 8, False), (4, 8, False)])
def test_few_planned_launches_are_provisional_and_an_early_decision_is_not(
    launches: int, planned: int, provisional: bool, tmp_path: Path
) -> None:
    results = read(tmp_path, list(timings(0.5, launches=launches)), launches_planned=planned)
    assert only(results).provisional is provisional
    assert gather(results).provisional is provisional


def test_an_early_look_is_held_to_a_stricter_level(tmp_path: Path) -> None:
    early = only(read(tmp_path / "early", list(timings(0.5, launches=2)))).verdict
    late = only(read(tmp_path / "late", list(timings(0.5)))).verdict
    assert early.level > late.level


def test_a_cell_that_differs_alone_is_undecided_among_many_that_do_not(tmp_path: Path) -> None:
    """Its own p is about 0.003: below 0.01 alone, above it beside 36 true nulls."""
    effects = (0.024, 0.030, 0.008, 0.028, 0.012, 0.024, 0.002, 0.032)
    weak = [row for launch, shift in enumerate(effects) for row in _pair(launch, 131, math.exp(shift))]
    alone = only(read(tmp_path / "alone", weak, margin=0.001)).verdict
    assert alone.word == "worse"
    chance = random.Random(5)
    nulls = [
        row
        for length in range(1000, 1036)
        for launch in range(8)
        for row in _pair(launch, length, math.exp(chance.gauss(0, 0.01)))
    ]
    found = compare(read(tmp_path / "many", [*weak, *nulls], margin=0.001))
    verdict = next(comparison.verdict for comparison in found if comparison.length == 131)
    assert verdict.word == "undecided"
    assert "among 37 cells" in verdict.reason
    assert verdict.low is not None
    assert verdict.low > 1


def _pair(launch: int, length: int, ratio: float) -> Iterator[Measurement]:
    common: dict[str, Any] = {
        "launch": launch,
        "subject": f"layer/forward/{length}",
        "details": details(length),
    }
    yield measurement(implementation="softmax@torch", role="reference", **common)
    yield measurement(values=(ratio,), **common)


def test_a_control_is_no_candidate_and_gives_the_a_a_ratio(tmp_path: Path) -> None:
    rows = list(timings(0.5))
    copies = [
        measurement(
            implementation="softmax@torch",
            role="control",
            launch=row.launch,
            values=tuple(value * 1.01 for value in row.values),
            subject=row.subject,
            details=row.details,
        )
        for row in rows
        if row.role == "reference"
    ]
    results = read(tmp_path, [*rows, *copies])
    assert [comparison.implementation for comparison in compare(results)] == ["linear@torch"]
    (effects,) = control_effects(results).values()
    assert effects == pytest.approx([math.log(1.01)] * 8)


def scores(pairs: Sequence[tuple[float, float]]) -> Iterator[Measurement]:
    """Mean scores by seed of the reference and of the candidate, as shares of 1,000 test examples."""
    for seed, (reference, candidate) in enumerate(pairs):
        for name, role, share in (
            ("softmax@torch", "reference", reference),
            ("linear@torch", "candidate", candidate),
        ):
            right = round(share * 1000)
            yield measurement(
                suite="accuracy",
                metric="accuracy",
                unit="fraction",
                subject="sentiment",
                implementation=name,
                role=role,
                seed=seed,
                values=(1.0,) * right + (0.0,) * (1000 - right),
            )


@pytest.mark.parametrize(
    ("pairs", "word"),
    [
        ([(0.70, 0.80), (0.60, 0.70), (0.50, 0.601)], "better"),
        ([(0.70, 0.60), (0.60, 0.50), (0.50, 0.399)], "worse"),
        ([(0.70, 0.701), (0.60, 0.60), (0.50, 0.501)], "same"),
        ([(0.70, 0.80), (0.60, 0.55), (0.50, 0.54)], "undecided"),
    ],
)
def test_scores_are_judged_by_differences_paired_by_seed(
    pairs: list[tuple[float, float]], word: str, tmp_path: Path
) -> None:
    comparison = only(read(tmp_path, list(scores(pairs))))
    assert comparison.verdict.word == word
    assert comparison.unit == "fraction"
    assert comparison.verdict.ratio == pytest.approx(sum(b - a for a, b in pairs) / 3)


def test_a_metric_without_a_margin_is_a_figure_and_no_verdict(tmp_path: Path) -> None:
    results = read(tmp_path, list(scores([(0.7, 0.8)] * 3)), score_margins={})
    assert compare(results) == ()
    assert [figure.metric for figure in estimate(results)] == ["accuracy", "accuracy"]


def test_memory_is_compared_launch_by_launch(tmp_path: Path) -> None:
    rows = [
        measurement(
            suite="memory",
            metric="peak_bytes",
            unit="B",
            implementation=name,
            role=role,
            launch=launch,
            values=(size * (1 + launch),),
            details=details(131),
        )
        for launch in range(3)
        for name, role, size in (("softmax@torch", "reference", 25e6), ("linear@torch", "candidate", 1e6))
    ]
    comparison = only(read(tmp_path, rows))
    assert (comparison.axis, comparison.verdict.word) == ("memory", "better")
    assert comparison.verdict.ratio == pytest.approx(0.04)


def test_frameworks_are_compared_variant_by_variant(tmp_path: Path) -> None:
    rows = [
        measurement(
            suite="crossing",
            implementation=f"{variant}@{framework}",
            role=role,
            launch=launch,
            values=(seconds,),
            subject="layer/forward/131 torch-keras",
            details=details(131),
        )
        for launch in range(2)
        for variant, seconds in (("softmax", 2.0), ("linear", 6.0))
        for framework, role in (("torch", "reference"), ("keras", "candidate"))
    ]
    found = compare(read(tmp_path, rows))
    assert [(c.reference, c.implementation, c.axis) for c in found] == [
        ("softmax@torch", "softmax@keras", "framework"),
        ("linear@torch", "linear@keras", "framework"),
    ]
    assert all(comparison.verdict.ratio == pytest.approx(1) for comparison in found)


def test_the_headline_is_at_the_longest_length_that_both_were_measured_at(tmp_path: Path) -> None:
    failed = measurement(
        subject="layer/forward/1009", details=details(1009), status="failed", reason="out of memory"
    )
    alone = measurement(
        implementation="softmax@torch", role="reference", subject="layer/forward/1009", details=details(1009)
    )
    rows = [*timings(0.5, length=131), *timings(0.4, length=509), alone, failed]
    found = compare(read(tmp_path, rows))
    assert [comparison.length for comparison in headline(found).values()] == [509]


def test_runs_of_two_environments_are_refused_with_the_difference_named(tmp_path: Path) -> None:
    other = {"id": "f", "cpu": "one", "versions": {"torch": "2.14.0"}, "load_before": 0.7}
    first = save(tmp_path / "first", list(timings(0.5)))
    rows = [measurement(run="s", environment_id="f", launch=launch) for launch in range(2)]
    second = save(tmp_path / "second", rows, run="s", environment=other)
    with pytest.raises(EnvironmentsDifferError, match=r"versions\.torch: 2\.13\.0 / 2\.14\.0") as raised:
        read_results([first, second])
    assert "cpu" not in str(raised.value)
    assert "load" not in str(raised.value)
    mixed = build([first, second], mix_environments=True)
    assert any("mixes environments" in warning for warning in mixed.warnings)
    assert {comparison.environment_id for comparison in mixed.evidence.comparisons} == {"e"}


def test_a_run_that_was_resumed_on_another_machine_is_mixed_too(tmp_path: Path) -> None:
    rows = [*timings(0.5), measurement(environment_id="elsewhere", launch=9)]
    with pytest.raises(EnvironmentsDifferError, match="e, elsewhere"):
        read(tmp_path, rows)


def test_a_run_on_several_nodes_is_read_and_pools_nothing_of_two(tmp_path: Path) -> None:
    nodes = [{"id": "e", "node": "one"}, {"id": "f", "node": "two"}, {"id": "unused", "node": "three"}]
    moved = [replace(row, environment_id="f", launch=row.launch + 4) for row in timings(2.0, launches=4)]
    rows = [*timings(0.5, launches=4), *moved]
    results = read(tmp_path, rows, environment=nodes[0], environments=nodes)
    assert results.mixed
    found = {one.environment_id: one for one in compare(results)}
    assert set(found) == {"e", "f"}
    assert found["e"].verdict.ratio == pytest.approx(0.5, rel=0.01)
    assert found["f"].verdict.ratio == pytest.approx(2.0, rel=0.01)
    page = build([tmp_path / "run"])
    shown = next(section for section in page.sections if section.name == "environment")
    assert [environment["node"] for environment in shown.data] == ["one", "two"]


def test_one_name_for_different_work_is_refused(tmp_path: Path) -> None:
    rows = [measurement(details=details(131)), measurement(details=details(131, batch="3"), launch=1)]
    with pytest.raises(WorkDiffersError, match="its batch is 2 and 3"):
        read(tmp_path, rows)


def test_one_task_with_other_settings_is_refused(tmp_path: Path) -> None:
    task = {"suite": "accuracy", "subject": "mqar"}
    rows = [
        measurement(**task, details={"task": "mqar"}),
        measurement(**task, details={"task": "mqar", "settings": "pairs=3"}, launch=1),
    ]
    with pytest.raises(WorkDiffersError, match="its settings is as listed and pairs=3"):
        read(tmp_path, rows)


def test_launches_of_two_runs_of_one_environment_are_pooled(tmp_path: Path) -> None:
    rows = list(timings(0.5, launches=4))
    folders = [
        save(tmp_path / name, [_of_run(row, name) for row in rows], run=name, launches_planned=4)
        for name in ("first", "second")
    ]
    comparison = only(read_results(folders))
    assert len(comparison.effects) == 8
    assert comparison.planned == 8


def _of_run(row: Measurement, name: str) -> Measurement:
    return wire.convert({**wire.plain(row), "run": name}, Measurement)


def test_a_percentile_that_the_calls_cannot_show_is_below_resolution(tmp_path: Path) -> None:
    figures = {
        figure.metric: figure for figure in estimate(read(tmp_path, [measurement(values=(2.0,) * 23)]))
    }
    assert figures["latency_p95"].estimate == pytest.approx(2)
    assert figures["latency_p99"].status == "below_resolution"
    assert figures["latency_p99"].estimate is None
    assert figures["latency_p99"].reason == "needs 100 calls in each launch, had 23"


def test_rates_and_the_share_of_the_matrix_product_follow_from_the_median(tmp_path: Path) -> None:
    rows = [
        measurement(values=(0.5,), details=details(131)),
        measurement(
            metric="operations", unit="count", method="modelled", values=(3e9,), details=details(131)
        ),
        measurement(
            metric="gemm_flops",
            unit="FLOP/s",
            role="yardstick",
            subject="gemm",
            implementation="matrix_product@torch",
            values=(1e11,),
        ),
    ]
    figures = {figure.metric: figure for figure in estimate(read(tmp_path, rows))}
    assert figures["items_per_second"].estimate == pytest.approx(4)
    assert figures["tokens_per_second"].estimate == pytest.approx(524)
    share = figures["share_of_matrix_product"]
    assert share.estimate == pytest.approx(0.06)
    assert share.method == "modelled"


def test_what_failed_is_a_figure_without_a_number(tmp_path: Path) -> None:
    (figure,) = estimate(read(tmp_path, [measurement(status="failed", reason="boom")]))
    assert (figure.status, figure.estimate, figure.reason) == ("failed", None, "boom")


def test_a_run_without_measurements_is_reported_as_such(tmp_path: Path) -> None:
    folder = save(tmp_path / "run", [], finished_at=None)
    files = write_reports([folder], folder / "report", ["html", "markdown", "csv", "json"])
    assert all(file.stat().st_size for file in files)
    content = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    assert content["incomplete"] is True
    assert content["provisional"] is True
    assert "not finished" in (folder / "report" / "report.md").read_text(encoding="utf-8")


WORDS = st.sampled_from(["better", "worse", "same", "undecided"])


@pytest.mark.parametrize(
    ("ratios", "words", "answer"),
    [
        ([2.0, 0.5], ["worse", "better"], "about 510 (between 256 and 1,024)"),
        ([0.5, 0.4], ["better", "better"], "at every length measured (from 256)"),
        ([2.0, 1.5], ["worse", "worse"], "never in the lengths measured (256 to 1,024)"),
        ([0.5, 2.0], ["better", "worse"], "only at 256, not up to the longest"),
        ([0.99, 0.5], ["same", "better"], "between 256 and 1,024"),
        ([1.0, 0.5], ["undecided", "better"], "at or below 1,024"),
        ([1.0, 1.0], ["undecided", "undecided"], "undecided in the lengths measured (256 to 1,024)"),
        ([2.0, 1.0], ["worse", "undecided"], "not shown in the lengths measured (256 to 1,024)"),
    ],
)
def test_where_a_variant_starts_to_pay(ratios: list[float], words: list[str], answer: str) -> None:
    assert locate([256, 1024], ratios, words)[3] == answer


@given(st.lists(st.tuples(st.floats(0.1, 10), WORDS), min_size=2, max_size=7))
def test_an_interpolated_length_lies_in_its_bracket_of_decided_lengths(
    cells: list[tuple[float, str]],
) -> None:
    lengths = [131 * 2**place for place in range(len(cells))]
    ratios, words = [list(column) for column in zip(*cells, strict=True)]
    length, after, by, answer = locate(lengths, ratios, words)
    assert answer
    if by is not None:
        assert words[lengths.index(by)] == "better"
        assert all(word in ("better", "undecided") for word in words[lengths.index(by) :])
    if length is not None:
        assert after is not None
        assert by is not None
        assert after * (1 - 1e-9) <= length <= by * (1 + 1e-9)


def test_a_reference_says_so_only_where_it_was_measured(tmp_path: Path) -> None:
    """Keras's reference has times but no scores: its cell under the task is "not measured"."""
    keras = [
        measurement(implementation="softmax@keras", role="reference", launch=launch, details=details(131))
        for launch in range(8)
    ]
    results = read(tmp_path, [*timings(0.5), *keras, *scores([(0.7, 0.8)] * 3)])
    table = next(block for block in render(gather(results)).blocks if isinstance(block, Table))
    words = {row[0].text: [cell.word for cell in row[1:]] for row in table.rows}
    assert words["softmax@torch"] == ["reference", "reference"]
    assert words["softmax@keras"] == ["reference", "not measured"]


def test_a_failed_certificate_marks_the_row_and_the_summary(tmp_path: Path) -> None:
    failed = measurement(
        suite="certificate",
        metric="causality",
        unit="holds",
        subject="layer",
        status="failed",
        reason="saw it",
    )
    section = render(gather(read(tmp_path, [*timings(0.5), failed])))
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert [row[0].mark for row in table.rows] == ["", "certificate failed: causality"]
    summary = next(block for block in section.blocks if isinstance(block, Items))
    assert summary.items == (("Forward", "faster: linear@torch (certificate failed)"),)


def test_a_seed_that_only_one_arm_was_trained_with_is_left_out(tmp_path: Path) -> None:
    rows = [row for row in scores([(0.7, 0.8)] * 3) if (row.role, row.seed) != ("reference", 1)]
    assert only(read(tmp_path, rows)).effects == pytest.approx((0.1, 0.1))
