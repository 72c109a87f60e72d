"""Energy in verdicts and figures, from made-up meters whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from made_up_meters import MODELLED, NOISE, WINDOWS, answers, joules, on_task, pair, scaled
from test_reports_comparisons import read, timings

from bench.schema import Measurement
from bench.tiers import weakest
from reports.comparison import Comparison
from reports.comparisons import compare
from reports.estimates import Figure, estimate
from reports.headline import headings, headline


def only(tmp_path: Path, rows: Sequence[Measurement], **manifest: Any) -> Comparison:
    (found,) = compare(read(tmp_path, rows, **manifest))
    return found


def figures(tmp_path: Path, rows: Sequence[Measurement]) -> dict[tuple[str, str, str], Figure]:
    found = estimate(read(tmp_path, rows))
    return {(figure.implementation, figure.subject, figure.metric): figure for figure in found}


@pytest.mark.parametrize(("ratio", "word"), [(0.5, "better"), (1.7, "worse"), (1.0, "same")])
def test_windows_of_one_launch_give_a_provisional_verdict(ratio: float, word: str, tmp_path: Path) -> None:
    comparison = only(tmp_path, pair(ratio))
    assert (comparison.axis, comparison.verdict.word) == ("energy", word)
    assert comparison.verdict.ratio == pytest.approx(ratio, rel=1e-3)
    assert comparison.effects == pytest.approx([math.log(ratio * noise) for noise in NOISE])
    assert (comparison.unit_of_evidence, comparison.launches, comparison.method) == ("window", 1, "measured")
    assert comparison.provisional


def test_drift_that_both_arms_share_does_not_reach_the_ratio(tmp_path: Path) -> None:
    """The machine warms up: joules rise by half over the windows, in both arms."""
    drifting = (10.0, 11.0, 12.5, 14.0, 15.0)
    rows = [joules("softmax@torch", drifting), joules("linear@torch", scaled(0.9, drifting))]
    verdict = only(tmp_path, rows).verdict
    assert verdict.word == "better"
    assert verdict.high is not None and verdict.low is not None
    assert verdict.high / verdict.low < 1.02


def test_several_launches_are_the_evidence_and_settle_it(tmp_path: Path) -> None:
    rows = [row for launch, shift in enumerate((0.5, 0.51, 0.49)) for row in pair(shift, launch=launch)]
    comparison = only(tmp_path, rows)
    shifts = [math.log(shift) + sum(map(math.log, NOISE)) / 5 for shift in (0.5, 0.51, 0.49)]
    assert comparison.effects == pytest.approx(shifts)
    assert (comparison.unit_of_evidence, comparison.launches) == ("launch", 3)
    assert not comparison.provisional


def test_seeds_of_one_launch_number_are_not_mixed_up(tmp_path: Path) -> None:
    rows = [
        on_task(name, "forward", tuple(factor * value for value in WINDOWS), seed=seed)
        for seed, factor in enumerate((1.0, 3.0))
        for name in ("softmax@torch", "linear@torch")
    ]
    assert only(tmp_path, rows).effects == pytest.approx((0.0, 0.0))


@pytest.mark.parametrize("method", ["modelled", "assumed"])
@pytest.mark.parametrize("side", [0, 1])
def test_energy_that_nobody_read_is_never_ranked(method: str, side: int, tmp_path: Path) -> None:
    rows = [joules("softmax@torch"), joules("linear@torch", scaled(0.5))]
    name, values = rows[side].implementation, rows[side].values
    rows[side] = joules(name, values, method=method)
    comparison = only(tmp_path, rows)
    assert comparison.verdict.word == "undecided"
    assert comparison.verdict.reason.startswith("modelled")
    assert "adds nothing to latency" in comparison.verdict.reason
    assert comparison.verdict.ratio is comparison.verdict.low is None
    assert (comparison.method, comparison.effects, comparison.provisional) == (method, (), False)


def test_sampled_power_is_ranked_and_the_weaker_tier_is_told(tmp_path: Path) -> None:
    rows = [joules("softmax@torch"), joules("linear@torch", scaled(0.5), method="sampled", tool="NVML")]
    comparison = only(tmp_path, rows)
    assert (comparison.verdict.word, comparison.method) == ("better", "sampled")
    assert weakest(["sampled", "assumed", "measured", "modelled"]) == "assumed"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((5.0, 5.0, 5.0, 5.0), "4 beside the reference's 5"),
        ((5.0, 5.0, 0.0, 5.0, 5.0), "not above zero"),
    ],
)
def test_windows_that_cannot_be_paired_decide_nothing(
    values: tuple[float, ...], reason: str, tmp_path: Path
) -> None:
    comparison = only(tmp_path, [joules("softmax@torch"), joules("linear@torch", values)])
    assert comparison.verdict.word == "undecided"
    assert reason in comparison.verdict.reason
    assert comparison.verdict.ratio is None


def test_arms_of_different_launches_are_not_paired(tmp_path: Path) -> None:
    comparison = only(tmp_path, [joules("softmax@torch"), joules("linear@torch", launch=1)])
    assert "never metered in the same launch" in comparison.verdict.reason


def test_one_window_has_an_estimate_and_no_interval(tmp_path: Path) -> None:
    verdict = only(tmp_path, [joules("softmax@torch", (10.0,)), joules("linear@torch", (5.0,))]).verdict
    assert (verdict.word, verdict.ratio, verdict.low) == ("undecided", 0.5, None)
    assert "one window" in verdict.reason


def test_energies_are_a_family_of_their_own(tmp_path: Path) -> None:
    """Many small p values of windows would make the verdicts on time easier to get."""
    times = [*timings(0.98, noise=0.02), *timings(1.0, length=509, noise=0.02)]
    alone = compare(read(tmp_path / "alone", times))
    more = [row for length in range(200, 220) for row in pair(0.5, length=length)]
    beside = compare(read(tmp_path / "beside", [*times, *more]))
    timed = [comparison for comparison in beside if comparison.axis == "time"]
    assert [one.adjusted_p for one in timed] == [one.adjusted_p for one in alone]
    assert len(beside) == len(timed) + 20


def test_memory_and_idle_are_figures_and_no_verdicts(tmp_path: Path) -> None:
    rows = [
        *(joules(name, metric="memory_joules", **MODELLED) for name in ("softmax@torch", "linear@torch")),
        joules("idle@torch", (6.0, 6.4), metric="idle_watts", unit="W", role="yardstick"),
    ]
    assert compare(read(tmp_path / "compared", rows)) == ()
    found = figures(tmp_path, rows)
    idle = found["idle@torch", "layer/forward/131", "idle_watts"]
    assert (idle.estimate, idle.low, idle.provisional) == (pytest.approx(6.2), None, False)


def test_joules_by_item_and_token_follow_from_a_call(tmp_path: Path) -> None:
    """A call holds 2 items with 262 tokens."""
    found = figures(tmp_path, [joules("linear@torch", (10.0, 10.0, 10.0))])
    call, item, token = (
        found["linear@torch", "layer/forward/131", name]
        for name in ("joules", "joules_per_item", "joules_per_token")
    )
    assert (call.estimate, item.estimate) == (pytest.approx(10), pytest.approx(5))
    assert token.estimate == pytest.approx(10 / 262)
    assert {figure.method for figure in (call, item, token)} == {"measured"}
    assert {figure.unit for figure in (call, item, token)} == {"J"}


def test_one_launch_has_its_interval_over_windows_and_several_over_launches(tmp_path: Path) -> None:
    key = ("linear@torch", "layer/forward/131", "joules")
    one = figures(tmp_path / "one", [joules("linear@torch")])[key]
    three = [joules("linear@torch", scaled(1 + launch / 10), launch=launch) for launch in range(3)]
    several = figures(tmp_path / "several", three)[key]
    assert one.low is not None and one.high is not None
    assert one.low < 10.04 < one.high
    assert one.high < 10.3
    assert (one.launches, one.values, one.provisional) == (1, 5, True)
    assert (several.launches, several.values, several.provisional) == (3, 15, False)
    assert several.high is not None and several.high > 12


def test_net_may_fall_below_zero_in_a_window_but_not_on_the_whole(tmp_path: Path) -> None:
    rows = [
        joules("softmax@torch", (1.0, -0.2, 0.9), metric="net_joules"),
        joules("linear@torch", (1.0, -2.0, 0.9), metric="net_joules"),
    ]
    found = figures(tmp_path, rows)
    above, below = (
        found[name, "layer/forward/131", "net_joules"] for name in ("softmax@torch", "linear@torch")
    )
    assert above.estimate == pytest.approx(1.7 / 3)
    assert (below.status, below.estimate) == ("below_resolution", None)


def test_a_solved_item_costs_by_the_score_of_its_own_seed(tmp_path: Path) -> None:
    """10 J a batch of 8, three quarters right; 10 J a training, 30 test items solved."""
    flat = (10.0,) * 5
    rows = [on_task("linear@torch", call, flat) for call in ("forward", "training_run")]
    rows += [answers("linear@torch", 30, 10), answers("linear@torch", 1, 39, seed=1)]
    found = figures(tmp_path, rows)
    forward = found["linear@torch", "sentiment/forward", "joules_per_solved_item"]
    training = found["linear@torch", "sentiment/training_run", "joules_per_solved_item"]
    assert forward.estimate == pytest.approx(10 / 8 / 0.75)
    assert training.estimate == pytest.approx(10 / 30)


def test_no_score_no_price_of_a_solved_item_and_nothing_solved_is_said(tmp_path: Path) -> None:
    key = ("linear@torch", "sentiment/forward", "joules_per_solved_item")
    row = on_task("linear@torch", "forward")
    assert key not in figures(tmp_path / "none", [row, answers("softmax@torch", 3, 1)])
    lost = figures(tmp_path / "lost", [row, answers("linear@torch", 0, 40)])[key]
    assert (lost.status, lost.estimate, lost.reason) == ("below_resolution", None, "no test item was solved")


def test_a_task_has_columns_of_its_own_beside_made_up_work(tmp_path: Path) -> None:
    names = ("softmax@torch", "linear@torch")
    rows = [on_task(name, call) for call in ("training_run", "forward") for name in names]
    found = headings(compare(read(tmp_path, [*pair(0.5), *rows])))
    assert [heading.title for heading in found] == [
        "Energy",
        "sentiment, energy to train",
        "sentiment, energy to answer",
    ]
    chosen = headline(compare(read(tmp_path / "again", [*pair(0.5), *rows])))
    assert [cell.suite for cell in chosen.values()] == ["energy", "task_energy", "task_energy"]
