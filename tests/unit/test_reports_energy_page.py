"""Energy on the page and in the terminal, from made-up meters whose answer is known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up_meters import MODELLED, answers, joules, on_task, pair, scaled
from rich.console import Console
from test_reports_comparisons import read, save, timings

from bench.tables import print_summary, verdict_table
from reports.content import Block, Cell, Group, Paragraph, Plot, Section, Table
from reports.energy.view import render
from reports.evidence import gather
from reports.frame import read_results
from reports.headline import headline
from reports.page import write_reports
from reports.verdicts import render as render_verdicts


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
    assert all(not cell.text or title in ("implementation", "work") for title, cell in cells.items())
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
    assert marks["linear@torch"].endswith("load from outside in 2 of 5 windows")
    verdicts = next(block for block in render_verdicts(evidence).blocks if isinstance(block, Table))
    assert comparison.remarks[0] in verdicts.rows[1][1].notes
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
    page = (report / "index.html").read_text(encoding="utf-8").partition("<script")[0]
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_columns_that_would_repeat_the_gross_figure_are_left_out(tmp_path: Path) -> None:
    processor = [joules("linear@torch", metric="processor_joules")]
    alone = render(gather(read(tmp_path / "alone", [*pair(0.5, told={"items": "1"}), *processor])))
    (headings_alone,) = {tuple(row) for row in table(alone).values()}
    assert "an item" not in headings_alone
    assert "processor, a call" not in headings_alone
    both = [*processor, joules("linear@torch", metric="accelerator_joules")]
    beside = render(gather(read(tmp_path / "beside", [*pair(0.5), *both])))
    (headings_beside,) = {tuple(row) for row in table(beside).values()}
    assert {"an item", "processor, a call", "accelerator, a call"} <= set(headings_beside)


def test_modelled_energy_is_drawn_apart_from_what_was_read(tmp_path: Path) -> None:
    keras = [
        joules(f"{name}@keras", length=n, **MODELLED) for name in ("softmax", "linear") for n in (131, 257)
    ]
    rows = [*keras, *(row for length in (131, 257) for row in pair(0.5, length=length))]
    plots = [block for block in render(gather(read(tmp_path, rows))).blocks if isinstance(block, Plot)]
    assert [plot.title for plot in plots] == [
        "layer/forward: energy, measured",
        "layer/forward: energy, modelled",
    ]
    assert "keras" not in plots[0].description
    assert "torch" not in plots[1].description
