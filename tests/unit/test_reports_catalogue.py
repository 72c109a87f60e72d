"""The catalogue's page and the table of peers, on made-up measurements whose answers can be worked out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import wire
from bench.schema import Measurement, Variant
from bench.statistics import interval
from bench.store import Record
from reports import catalogue, peers
from reports.catalogue import catalogue_page, write_catalogue
from reports.frame import read_results
from reports.peers import peer_ratios, peers_table

GOLDEN = Path(__file__).parents[1] / "golden" / "golden_catalogue.md"
ENVIRONMENT = {
    "id": "made-up-machine",
    "cpu": "Made-up processor",
    "threads": 2,
    "versions": {"torch": "2.13.0", "keras": "3.15.1"},
}
LENGTHS = (1024, 4096, 16384)
LAUNCHES = 5
# Seconds a call at length n, and the factor by which each launch differs from it.
SPEEDS = {
    "softmax@torch": lambda n: 4e-8 * n * n,
    "linear@torch": lambda n: 1e-5 * n,
    "slow-peer@torch": lambda n: 4e-5 * n,
    "fast-peer@torch": lambda n: 2e-5 * n,
}
SCATTER = (1.0, 1.01, 0.99, 1.02, 0.98)


def variant(name: str, **fields: Any) -> Variant:
    known: dict[str, Any] = {
        "title": name,
        "paper": "arXiv:0000.00000",
        "equation": "out = x",
        "time": "n",
        "memory": "n",
        "time_exponent": 1.0,
        "exact": False,
        "causal": True,
        "cross_attention": True,
        "trainable": True,
        "targets": {"torch": "a:b"},
        "unsupported": {"keras": "no twin: made up"},
    }
    return Variant(name=name, **(known | fields))


VARIANTS = (
    variant("softmax", time_exponent=2.0, targets={"torch": "a:b", "keras": "a:b"}, unsupported={}),
    variant("linear", state="heads * head_width ** 2"),
    variant("one_sided", causal=False),
    variant("slow-peer", peer_of="linear", family="peer"),
    variant("fast-peer", peer_of="linear", family="peer"),
    variant("broken-peer", peer_of="linear", family="peer"),
    variant("absent-peer", peer_of="softmax", family="peer", causal=False),
    variant(
        "nowhere-peer",
        peer_of="softmax",
        family="peer",
        targets={},
        unsupported={"torch": "a Keras layer", "keras": "raises on a CPU"},
    ),
)


def row(metric: str, unit: str, implementation: str, **fields: Any) -> Measurement:
    known: dict[str, Any] = {
        "run": "made-up",
        "suite": "throughput",
        "subject": "layer",
        "seed": 0,
        "launch": 0,
        "method": "measured",
        "tool": "made up",
        "environment_id": ENVIRONMENT["id"],
        "started_at": "2026-01-02T03:04:05+00:00",
        "role": "reference" if implementation.startswith("softmax@") else "candidate",
    }
    return Measurement(metric=metric, unit=unit, implementation=implementation, **(known | fields))


def work(phase: str, length: int, causal: bool = False) -> dict[str, Any]:
    queries = 1 if phase == "decode" else length
    details = {"architecture": "layer", "phase": phase, "causal": str(causal), "dtype": "float32"}
    details |= {"batch": "1", "query_length": str(queries), "key_length": str(length)}
    name = "causal_layer" if causal else "layer"
    return {"subject": f"{name}/{phase}/{length}", "details": details}


def rows() -> Iterator[Measurement]:
    for implementation, cost in SPEEDS.items():
        for length in LENGTHS:
            for launch in range(LAUNCHES):
                factor = SCATTER[launch] if implementation == "linear@torch" else 1.0
                # The outlier is what a median is for.
                values = (cost(length) * factor, cost(length) * factor, 100 * cost(length))
                place = {"launch": launch, **work("forward", length)}
                yield row("seconds", "s", implementation, values=values, **place)
                more = (250.0 if implementation == "linear@torch" else 500.0) * length * (2 - SCATTER[launch])
                peak = (1000.0 * length if "softmax" in implementation else more,)
                yield row("peak_bytes", "B", implementation, suite="memory", values=peak, **place)
    for launch in range(LAUNCHES):
        copy = {"role": "control", "values": (1e9,), "launch": launch, **work("forward", 1024)}
        yield row("seconds", "s", "softmax@torch", **copy)
    trace = "Traceback\n  File x\nRuntimeError: out of | luck\n"
    failure = {"status": "failed", "reason": trace, **work("forward", 4096)}
    yield row("seconds", "s", "broken-peer@torch", **failure)
    yield row("seconds", "s", "mine@torch", values=(0.5,), **work("forward", 4096))
    for length in (1024, 4096):
        size = (4096.0,) if length == 1024 else (8192.0,)
        yield row("state_bytes", "B", "linear@torch", values=size, **work("decode", length, causal=True))
    refused = {"status": "unsupported", "reason": "made for another day"}
    yield row("loads", "holds", "fast-peer@torch", suite="certificate", subject="certificate", **refused)
    # Of two runs that disagree, the one that saw it fail stands.
    held = {"suite": "certificate", "subject": "certificate", "values": (1.0,)}
    yield row("causality", "holds", "linear@torch", **held)
    for name in ("loads", "padding", "causality"):
        fields: dict[str, Any] = {"suite": "certificate", "subject": "certificate"}
        yield row(name, "holds", "softmax@torch", values=(1.0,), **fields)
        fails = (
            {"status": "failed", "reason": "token 3 saw token 5"}
            if name == "causality"
            else {"values": (1.0,)}
        )
        yield row(name, "holds", "linear@torch", **fields, **fails)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", tuple(rows()))


def write_run(folder: Path, measurements: tuple[Measurement, ...]) -> Path:
    manifest = {
        "run": "made-up",
        "profile": "peers",
        "started_at": "2026-01-02T03:04:05+00:00",
        "finished_at": "2026-01-02T03:24:05+00:00",
        "environment": ENVIRONMENT,
        "launches_planned": LAUNCHES,
        "alpha": 0.01,
        "margin": 0.02,
    }
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(wire.pretty(manifest))
    record = Record(job="made-up", step="made-up", measurements=measurements)
    (folder / "measurements.jsonl").write_bytes(wire.encode(record) + b"\n")
    return folder


def lines_of(table: str) -> dict[tuple[str, str], list[str]]:
    """Rows of the page's Markdown tables by their first two cells; the first of each stands."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in table.splitlines():
        cells = [cell.strip().replace("\\", "") for cell in line.strip("|").split(" | ")]
        if line.startswith("| "):
            found.setdefault((cells[0], cells[1]), cells)
    return found


def test_a_ratio_is_the_mean_of_the_launches_median_log_ratios_with_their_t_interval(run: Path) -> None:
    lines = peer_ratios(read_results([run]), VARIANTS)
    (line,) = (x for x in lines if x.peer == "fast-peer@torch" and x.work and x.work.length == 4096)
    mean, low, high = interval([math.log(0.5 * factor) for factor in SCATTER], 0.99)
    assert line.time is not None
    assert line.time.launches == LAUNCHES
    # The last look is taken at what the earlier ones have left of the error rate: a little wider.
    assert line.time.ratio == pytest.approx(math.exp(mean))
    assert line.time.low == pytest.approx(math.exp(low), rel=2e-3)
    assert line.time.high == pytest.approx(math.exp(high), rel=2e-3)
    assert line.word == "faster"
    assert line.memory is not None
    assert line.memory.ratio == pytest.approx(0.5)


def test_a_slower_variant_is_called_slower_and_named_below_the_table(run: Path) -> None:
    turned = (variant("fast-peer"), variant("quick", peer_of="fast-peer"))
    more = tuple(
        row(
            "seconds",
            "s",
            "quick@torch",
            launch=launch,
            values=(1e-3 * (1 + launch / 1e3),),
            **work("forward", 1024),
        )
        for launch in range(LAUNCHES)
    )
    run = write_run(run.parent / "more", (*rows(), *more))
    text = peers_table([run], turned)
    assert "slower: fast-peer@torch than quick@torch on layer/forward/1024" in text.splitlines()[-1]


def test_what_failed_and_what_was_not_measured_says_so(run: Path) -> None:
    text = peers_table([run], VARIANTS)
    (broken,) = (line for line in text.splitlines() if "broken-peer@torch" in line)
    assert broken.endswith("the peer: failed: RuntimeError: out of | luck")
    (absent,) = (line for line in text.splitlines() if "absent-peer@torch" in line)
    assert absent.endswith("not measured")
    (nowhere,) = (line for line in text.splitlines() if "nowhere-peer@keras" in line)
    assert nowhere.endswith("unsupported: raises on a CPU")


def test_launches_of_two_runs_are_not_paired(run: Path) -> None:
    ours = tuple(x for x in rows() if x.implementation == "linear@torch")
    theirs = tuple(replace(x, run="other") for x in rows() if x.implementation == "fast-peer@torch")
    mixed = write_run(run.parent / "mixed", (*ours, *theirs))
    for line in peer_ratios(read_results([mixed]), VARIANTS):
        if line.peer == "fast-peer@torch":
            assert line.time is None
            assert line.reason == "measured in different launches only"


def test_the_page_compares_with_softmax_and_with_the_fastest_peer(run: Path) -> None:
    cells = lines_of(catalogue_page(read_results([run]), VARIANTS))["linear", "torch"]
    assert cells[2] == "fails causality"
    assert cells[3].startswith("0.0153× (") and cells[3].endswith(" at 16,384")
    assert cells[4] == "not measured"
    assert cells[5].startswith("0.500× (") and cells[5].endswith(" at 16,384, fast-peer")
    assert cells[7] == "4.10 MB at 16,384; 0.250× (0.242 to 0.258) at 16,384"
    assert cells[8] == "1.00 (1.00 to 1.00); declared 1"
    assert cells[9] == "1.33 B a token; 8.19 kB at 4,096"


def test_copies_of_the_reference_count_for_nothing(run: Path) -> None:
    lines = lines_of(catalogue_page(read_results([run]), VARIANTS))
    assert lines["softmax", "torch"][8].startswith("2.00 (2.00 to 2.00)")


def test_no_cell_is_blank(run: Path) -> None:
    page = catalogue_page(read_results([run]), VARIANTS)
    for line in page.splitlines():
        if line.startswith("| "):
            cells = line.strip("|").split(" | ")
            assert all(cell.strip() for cell in cells), line
    lines = lines_of(page)
    assert lines["softmax", "keras"][2:4] == ["not measured", "is the reference"]
    assert lines["fast-peer", "torch"][2] == "loads unsupported"
    assert lines["one_sided", "keras"][2] == "unsupported: no twin: made up"
    assert lines["broken-peer", "torch"][3] == "failed: RuntimeError: out of | luck"
    assert lines["mine", "torch"][8] == "needs 3 lengths, has 1; none declared"


def test_a_failed_property_shows_its_counterexample(run: Path) -> None:
    page = catalogue_page(read_results([run]), VARIANTS)
    assert "- linear@torch, causality: token 3 saw token 5" in page
    assert "| linear@torch (fails causality) | fast-peer@torch | 1,024 |" in page


def test_a_variant_without_a_causal_form_is_not_in_the_causal_table(run: Path) -> None:
    page = catalogue_page(read_results([run]), VARIANTS)
    causal = page.split("## Causal")[1].split("\n## ")[0]
    assert "one\\_sided" in page and "one\\_sided" not in causal and "| linear |" in causal


def test_the_page_is_the_golden_one(run: Path, tmp_path: Path) -> None:
    written = write_catalogue([run], tmp_path / "docs" / "catalogue.md", VARIANTS)
    if os.environ.get("ATTNBENCH_REGENERATE"):
        GOLDEN.write_bytes(written.read_bytes())
    assert written.read_text(encoding="utf-8") == GOLDEN.read_text(encoding="utf-8")


def test_both_commands_run(run: Path, tmp_path: Path) -> None:
    import typer

    for main, arguments in ((peers.main, []), (catalogue.main, ["--out", str(tmp_path / "page.md")])):
        app = typer.Typer()
        app.command()(main)
        done = CliRunner().invoke(app, [str(run), *arguments])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "page.md").read_text().startswith("# The catalogue")
