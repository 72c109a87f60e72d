"""A cell's address is its own and stays; its raw values are those of the run; what is too much is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reports.evidence import Evidence, gather
from reports.frame import read_results
from reports.writers.raw import RawValues, address


@pytest.fixture(scope="module")
def evidence(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    run = make_run.write(
        tmp_path_factory.mktemp("raw") / "run", make_run.MadeUpRun(lengths=(131, 257), launches=3)
    )
    return gather(read_results([run]))


def test_no_two_figures_or_comparisons_share_an_address(evidence: Evidence) -> None:
    figures = {(f.suite, f.metric, f.subject, f.implementation, f.role) for f in evidence.figures}
    sources = [*evidence.figures, *evidence.comparisons]
    assert len({address(source) for source in sources}) == len(figures) + len(evidence.comparisons)


def test_an_address_does_not_depend_on_what_was_measured(evidence: Evidence) -> None:
    figure = next(one for one in evidence.figures if one.estimate is not None)
    assert address(replace(figure, estimate=7.0, launches=11, status="failed")) == address(figure)
    assert address(replace(figure, subject=figure.subject + "0")) != address(figure)


def test_a_latency_leads_to_the_times_it_was_made_of(evidence: Evidence) -> None:
    figure = next(f for f in evidence.figures if f.metric == "latency_p50" and f.role == "candidate")
    raw = RawValues(evidence.results)
    (number,) = raw.rows(figure)
    data = raw.data()
    names = [data["texts"][place] for place in data["series"][number][:6]]
    assert names == [figure.implementation, "candidate", "throughput", "seconds", figure.subject, "s"]
    rows = evidence.results.select("throughput", "seconds")
    mine = rows[(rows["implementation"] == figure.implementation) & (rows["subject"] == figure.subject)]
    truth = list(zip(mine["launch"], mine["seed"], mine["values"], strict=True))
    for (run, launch, seed, values), (true_launch, true_seed, true) in zip(
        data["series"][number][6], truth, strict=True
    ):
        assert (run, launch, seed) == (0, true_launch, true_seed)
        assert values == pytest.approx(list(true), rel=1e-5)


def test_right_and_wrong_answers_are_a_text_of_ones_and_zeros(evidence: Evidence) -> None:
    figure = next(f for f in evidence.figures if (f.suite, f.metric) == ("accuracy", "accuracy"))
    raw = RawValues(evidence.results)
    (number,) = raw.rows(figure)
    values = raw.data()["series"][number][6][0][3]
    assert isinstance(values, str) and set(values) == {"0", "1"} and len(values) == 40


def test_past_its_budget_a_series_is_named_with_its_counts(evidence: Evidence) -> None:
    figures = [f for f in evidence.figures if f.metric == "latency_p50" and f.role == "candidate"]
    raw = RawValues(evidence.results, budget=200)
    numbers = [raw.rows(figure)[0] for figure in figures[:3]]
    kept = [[part[3] for part in raw.data()["series"][number][6]] for number in numbers]
    assert isinstance(kept[0][0], list) and kept[-1] == [5, 5, 5]


def test_a_comparison_has_both_sides_and_a_failure_has_nothing(evidence: Evidence) -> None:
    raw = RawValues(evidence.results)
    assert all(
        len(raw.rows(comparison)) == 2 for comparison in evidence.comparisons if comparison.axis == "time"
    )
    failed = [figure for figure in evidence.figures if figure.status == "failed"]
    assert failed and not any(raw.rows(figure) for figure in failed)
