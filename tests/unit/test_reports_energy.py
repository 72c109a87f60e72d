"""Energy in verdicts, figures and on the page, from made-up meters whose answer is known."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_reports_comparisons import details, measurement, read, save, timings

from bench.schema import Measurement
from bench.tables import print_summary, verdict_table
from reports.comparison import Comparison
from reports.comparisons import compare
from reports.content import Block, Cell, Group, Paragraph, Plot, Section, Table
from reports.energy import render
from reports.energy_pairs import weakest
from reports.estimates import Figure, estimate
from reports.evidence import gather
from reports.frame import read_results
from reports.headline import headings, headline
from reports.page import write_reports
from reports.verdicts import render as render_verdicts

WINDOWS = (10.0, 10.2, 9.9, 10.1, 10.0)
NOISE = (1.001, 0.999, 1.0, 1.002, 0.998)
RAPL = {"method": "measured", "tool": "RAPL (powercap)"}
MODELLED = {"method": "modelled", "tool": "codecarbon"}


def joules(
    implementation: str,
    values: Sequence[float] = WINDOWS,
    *,
    length: int = 131,
    told: dict[str, str] | None = None,
    **fields: Any,
) -> Measurement:
    """A row of gross joules of a forward pass; `told` goes into its details."""
    known: dict[str, Any] = {
        **RAPL,
        "suite": "energy",
        "metric": "joules",
        "unit": "J",
        "subject": f"layer/forward/{length}",
        "implementation": implementation,
        "role": "reference" if implementation.startswith("softmax@") else "candidate",
        "details": details(length) | (told or {}),
    }
    if fields.get("status", "ok") == "ok":
        known["values"] = tuple(values)
    return measurement(**(known | fields))


def scaled(ratio: float, values: Sequence[float] = WINDOWS) -> tuple[float, ...]:
    return tuple(ratio * value * noise for value, noise in zip(values, NOISE, strict=True))


def pair(ratio: float, **fields: Any) -> list[Measurement]:
    values = scaled(ratio)
    return [joules("softmax@torch", **fields), joules("linear@torch", values, **fields)]


def on_task(implementation: str, call: str, values: Sequence[float] = WINDOWS, **fields: Any) -> Measurement:
    """A row of gross joules on a task: a batch of 8 examples with 40 tokens, or a training on 100 of them."""
    items = {"forward": 8, "training_run": 100}[call]
    told = {"task": "sentiment", "phase": call, "items": str(items), "tokens": str(5 * items)}
    subject = f"sentiment/{call}"
    return joules(implementation, values, suite="task_energy", subject=subject, details=told, **fields)


def answers(implementation: str, right: int, wrong: int, seed: int = 0) -> Measurement:
    return measurement(
        suite="accuracy",
        metric="accuracy",
        unit="fraction",
        subject="sentiment",
        implementation=implementation,
        role="reference" if implementation.startswith("softmax@") else "candidate",
        seed=seed,
        values=(1.0,) * right + (0.0,) * wrong,
    )


def only(tmp_path: Path, rows: Sequence[Measurement], **manifest: Any) -> Comparison:
    (found,) = compare(read(tmp_path, rows, **manifest))
    return found


def figures(tmp_path: Path, rows: Sequence[Measurement]) -> dict[tuple[str, str, str], Figure]:
    found = estimate(read(tmp_path, rows))
    return {(figure.implementation, figure.subject, figure.metric): figure for figure in found}


def blocks(section: Section) -> Iterator[Block]:
    for block in section.blocks:
        yield block
        if isinstance(block, Group):
            yield from block.blocks


def texts(section: Section) -> str:
    return " ".join(block.text for block in blocks(section) if isinstance(block, Paragraph))


def table(section: Section) -> dict[tuple[str, str], dict[str, Cell]]:
    """Cells of all tables by implementation and work, then by heading."""
    return {
        (row[0].text, row[1].text): {
            column.title: cell for column, cell in zip(block.columns, row, strict=True)
        }
        for block in blocks(section)
        if isinstance(block, Table)
        for row in block.rows
    }


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
    times = list(timings(0.9, noise=0.02))
    alone = only(tmp_path / "alone", times)
    more = [row for length in range(200, 220) for row in pair(0.5, length=length)]
    beside = compare(read(tmp_path / "beside", [*times, *more]))
    (time,) = [comparison for comparison in beside if comparison.axis == "time"]
    assert time.adjusted_p == alone.adjusted_p
    assert sum(comparison.axis == "energy" for comparison in beside) == 20


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


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("failed", "the counter package-0 went back"),
        ("below_resolution", "11 steps of the counter, 20 needed"),
        ("unsupported", "no counter of this kind"),
    ],
)
def test_what_could_not_be_metered_is_a_word_and_never_a_number(
    status: str, reason: str, tmp_path: Path
) -> None:
    rows = [*pair(0.5), joules("performer@torch", status=status, reason=reason)]
    evidence = gather(read(tmp_path, rows))
    assert [comparison.implementation for comparison in evidence.comparisons] == ["linear@torch"]
    cells = table(render(evidence))["performer@torch", "131 tokens"]
    assert (cells["gross, a call"].word, cells["gross, a call"].text) == (status, "")
    assert cells["gross, a call"].notes == (reason,)
    assert cells["against reference"].word == "not compared"
    assert not any(cell.text.startswith("0") for cell in cells.values())
    verdicts = next(b for b in render_verdicts(evidence).blocks if isinstance(b, Table))
    words = {row[0].text: row[1].word for row in verdicts.rows}
    assert words == {"softmax@torch": "reference", "linear@torch": "better", "performer@torch": status}


def test_a_failed_reference_is_not_called_a_reference(tmp_path: Path) -> None:
    rows = [joules("softmax@torch", status="failed", reason="gone"), joules("linear@torch")]
    cells = table(render(gather(read(tmp_path, rows))))
    assert cells["softmax@torch", "131 tokens"]["against reference"].word == "not compared"
    assert cells["linear@torch", "131 tokens"]["against reference"].word == "not compared"


def test_load_from_outside_is_told_beside_the_figure(tmp_path: Path) -> None:
    rows = [
        joules("softmax@torch", told={"flagged": "0 of 5"}),
        joules("linear@torch", scaled(0.5), told={"flagged": "2 of 5"}),
    ]
    evidence = gather(read(tmp_path, rows))
    (comparison,) = evidence.comparisons
    assert comparison.verdict.word == "better"
    assert comparison.remarks == ("load from outside above 10%: 2 of 5 windows, 0 of 5 of the reference's",)
    section = render(evidence)
    cells = table(section)
    marks = {key[0]: row["gross, a call"].mark for key, row in cells.items()}
    assert marks["softmax@torch"] == "provisional: 1 launch"
    assert marks["linear@torch"].endswith("2 of 5 windows with load from outside above 10%")
    assert comparison.remarks[0] in cells["linear@torch", "131 tokens"]["against reference"].notes
    assert "2 of 10 windows" in texts(section)


def test_without_a_counter_the_page_refuses_to_rank(tmp_path: Path) -> None:
    told = {"model": "4 W a thread, constant", "components": "processor: modelled, codecarbon"}
    rows = [
        *pair(0.5, told=told, **MODELLED),
        *(on_task(name, "forward", **MODELLED) for name in ("softmax@torch", "linear@torch")),
        *(answers(name, 3, 1) for name in ("softmax@torch", "linear@torch")),
    ]
    evidence = gather(read(tmp_path, rows))
    section = render(evidence)
    warning = next(block for block in section.blocks if isinstance(block, Paragraph) and block.warning)
    assert "There was no counter to read" in warning.text
    assert "energy here adds nothing to latency" in warning.text
    assert section.data["known"]["Model"] == "4 W a thread, constant"
    assert [front["ranked"] for front in section.data["fronts"]] == [False]
    assert section.data["fronts"][0]["front"] == []
    summary = dict(render_verdicts(evidence).blocks[0].items)  # type: ignore[union-attr]
    assert summary["Energy"].startswith("undecided, as modelled: 1 of 1")


def test_a_page_with_a_counter_says_no_such_thing(tmp_path: Path) -> None:
    section = render(gather(read(tmp_path, pair(0.5))))
    assert "adds nothing to latency" not in texts(section)
    assert section.data["warnings"] == []


def test_only_those_without_a_counter_are_named(tmp_path: Path) -> None:
    keras = [joules(f"{name}@keras", **MODELLED) for name in ("softmax", "linear")]
    warning = render(gather(read(tmp_path, [*pair(0.5), *keras]))).data["warnings"][0]
    assert "softmax@keras and linear@keras" in warning
    assert "torch" not in warning


def test_how_it_is_known_is_told_line_by_line(tmp_path: Path) -> None:
    told = {
        "components": "processor: measured, RAPL (powercap); accelerator: none",
        "method_low": "0.9",
        "method_high": "1.2",
        "method_basis": "a source",
        "window_seconds": "5.5",
        "fewest_ticks": "5100",
        "flagged": "0 of 5",
    }
    unknown = {"method_low": "unknown", "method_high": "unknown"}
    trained = on_task("linear@torch", "training_run")
    trained.details["same_weights"] = "no"  # type: ignore[index]
    rows = [
        *pair(0.5, told=told),
        *pair(0.5, told=told | unknown, length=257, **MODELLED),
        joules("idle@torch", (6.0, 7.0), metric="idle_watts", unit="W", role="yardstick"),
        joules("linear@torch", (0.02, 0.04), metric="outside_load", unit="fraction"),
        trained,
    ]
    known = render(gather(read(tmp_path, rows))).data["known"]
    assert known["Tier"] == "measured (3 of 5), modelled (2 of 5)"
    assert known["Components"] == told["components"]
    assert known["Error of the method"] == (
        "the true joules may lie between 0.9 and 1.2 times these: a source; "
        "nobody can say how far off: a source"
    )
    assert known["Idle power"].startswith("idle@torch 6.00 W before and 7.00 W after")
    assert known["Windows"].startswith("25 windows, the shortest 5.50 s, at least 5,100 steps of the counter")
    assert known["Load from outside"] == "0 of 20 windows above 10% of the machine, 4% at most"
    assert known["Weights"].endswith("the metered training of linear@torch")


def test_the_front_holds_what_nothing_beats(tmp_path: Path) -> None:
    spent = {"softmax@torch": 1.0, "linear@torch": 0.5, "performer@torch": 0.7, "sdpa@torch": 1.2}
    right = {"softmax@torch": 36, "linear@torch": 24, "performer@torch": 20, "sdpa@torch": 36}
    rows = [on_task(name, "training_run", scaled(ratio)) for name, ratio in spent.items()]
    rows += [answers(name, count, 40 - count) for name, count in right.items()]
    section = render(gather(read(tmp_path, rows)))
    (front,) = section.data["fronts"]
    assert (front["phase"], front["ranked"]) == ("training_run", True)
    assert front["front"] == ["linear@torch", "softmax@torch"]
    (plot,) = [block for block in section.blocks if isinstance(block, Plot)]
    assert "nothing beats linear@torch and softmax@torch on both" in plot.description


def test_energy_over_length_is_drawn_and_the_headline_stands_at_the_longest(tmp_path: Path) -> None:
    rows = [row for length in (131, 257, 509) for row in pair(0.5, length=length)]
    rows.append(joules("performer@torch", length=131))
    evidence = gather(read(tmp_path, rows))
    (plot,) = [block for block in render(evidence).blocks if isinstance(block, Plot)]
    assert "linear@torch 5.02 J at 509 tokens" in plot.description
    chosen = {key[1]: cell.length for key, cell in headline(evidence.comparisons).items()}
    assert chosen == {"linear@torch": 509, "performer@torch": 131}


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


def test_runs_without_energy_are_told_as_before(tmp_path: Path) -> None:
    evidence = gather(read(tmp_path, list(timings(0.5))))
    section = render(evidence)
    assert texts(section) == "No energy was metered in these runs."
    main = next(block for block in render_verdicts(evidence).blocks if isinstance(block, Table))
    assert "nergy" not in main.caption


def test_environments_are_kept_apart_and_named(tmp_path: Path) -> None:
    rows = [*pair(0.5), *pair(0.7, environment_id="f", **MODELLED)]
    folder = save(tmp_path / "run", rows)
    section = render(gather(read_results([folder], mix_environments=True)))
    assert [text.partition(":")[0] for text in section.data["warnings"]] == ["On f"]
    (shown,) = [block for block in blocks(section) if isinstance(block, Table)]
    assert [(row[0].text, row[0].notes, row[2].word) for row in shown.rows] == [
        ("softmax@torch", ("on e",), "reference"),
        ("linear@torch", ("on e",), "better"),
        ("softmax@torch", ("on f",), "reference"),
        ("linear@torch", ("on f",), "undecided"),
    ]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """All formats on a counter for torch, none for keras, and texts that try to be markup."""
    told = {"components": "<b>processor</b> | `x`", "method_basis": "<script>alert(1)</script>"}
    keras = [joules(f"{name}@keras", told=told, **MODELLED) for name in ("softmax", "linear")]
    names = ("softmax@torch", "linear@torch")
    rows = [*pair(0.5, told=told), *keras, *(on_task(name, "forward") for name in names)]
    folder = save(tmp_path / "run", rows)
    write_reports([folder], tmp_path / "report", ["html", "markdown", "csv", "json"])
    return tmp_path / "report"


def test_the_terminal_says_how_the_joules_are_known(report: Path) -> None:
    told = json.loads((report / "report.json").read_text(encoding="utf-8"))
    for width in (80, 200):
        console = Console(width=width, file=io.StringIO(), record=True)
        console.print(verdict_table(told, width))
        shown = console.export_text()
        assert "better, measured" in shown
        assert "undecided: modelled" in shown
        assert "energy 131" in shown
        assert "sentiment forward energy" in " ".join(shown.split())
    console = Console(width=200, file=io.StringIO(), record=True)
    print_summary(console, told, "page")
    assert "nothing is ranked on it" in console.export_text()


def test_the_table_of_figures_calls_a_refused_ranking_inconclusive(report: Path) -> None:
    with (report / "figures.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "joules_against_reference"]
    told = {row["implementation"] + row["subject"]: row for row in rows}
    refused = told["linear@keraslayer/forward/131"]
    assert (refused["status"], refused["estimate"], refused["method"]) == ("inconclusive", "", "modelled")
    read_out = told["linear@torchlayer/forward/131"]
    assert (read_out["status"], read_out["verdict"], read_out["launches"]) == ("ok", "better", "1")


def test_texts_of_a_run_stay_texts(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)" in page
