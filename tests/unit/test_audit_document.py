"""The audit on made-up runs: what it says, what it refuses to say, and that both formats say the same."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from made_up_audit import VARIANTS, MadeUpAudit, modelled, write
from typer.testing import CliRunner

from bench.cli import app
from reports.audit import change, known, opening, plots, record, scope, tables
from reports.audit.asked import Asked, asked
from reports.audit.dossier import Dossier, dossier
from reports.audit.prices import NOTHING, no_score
from reports.audit.ranking import ADDS_NOTHING, in_words
from reports.audit.writing import build, write_audit, written
from reports.content import Block, Document, Group, Items, Listing, Paragraph, Plot, Section, Table
from reports.frame import read_results
from reports.writers.markdown import escaped, told

WHEN = "2026-01-03T00:00:00+00:00"
HOSTILE = "<script>alert(1)</script>\"'|`../../etc@torch"
FULL = {"intensity": 100.0, "pue": 1.2, "embodied": "1200,4,0.1"}


def found(folder: Path, run: MadeUpAudit, **typed: Any) -> Dossier:
    return dossier(read_results([write(folder / "run", run)]), asked(**typed), WHEN)


def document(folder: Path, run: MadeUpAudit, **typed: Any) -> Document:
    return build(found(folder, run, **typed), [])


RENDERERS: dict[str, Callable[[Dossier], Section]] = {
    "decision": opening.decision,
    "figures": tables.figures,
    "change": change.change,
    "plots": plots.plots,
    "inputs": scope.inputs,
    "method": known.known,
    "search": record.search,
    "failed": record.failed,
}


def section(whole: Dossier, name: str) -> str:
    """One section as Markdown, without its escapes."""
    alone = Document(title="", lead=(), warnings=(), sections=(RENDERERS[name](whole),))
    return re.sub(r"\\(.)", r"\1", told(alone))


def texts(blocks: tuple[Block, ...]) -> Iterator[str]:
    """Every text of the blocks, plots by title and description."""
    for block in blocks:
        if isinstance(block, Group):
            yield block.title
            yield from texts(block.blocks)
        elif isinstance(block, Table):
            yield block.caption
            yield from (column.title for column in block.columns)
            for cell in (cell for row in block.rows for cell in row):
                yield from filter(None, (cell.text, cell.mark, *cell.notes))
        elif isinstance(block, Items):
            yield from (text for item in block.items for text in item)
        elif isinstance(block, Paragraph):
            yield block.text
        elif isinstance(block, Plot):
            yield block.title
            yield block.description
        else:
            assert isinstance(block, Listing)
            yield block.text


def test_the_metered_run_has_an_order_with_its_intervals(tmp_path: Path) -> None:
    (one,) = found(tmp_path, MadeUpAudit()).weighed
    assert one.ranking.order == ("linear@torch", "performer@torch", "softmax@torch")
    assert all(pair.told_apart for pair in one.ranking.neighbours)
    # 140 W · 40 ms and 100 W · 62 ms: 5.6 J and 6.2 J, 9.7% less.
    first = one.ranking.neighbours[0].verdict
    assert first.ratio == pytest.approx(5.6 / 6.2, rel=0.005)
    assert in_words(one.ranking.neighbours[0]).startswith("9.")


def test_the_reference_stands_first_whatever_was_measured_first(tmp_path: Path) -> None:
    run = MadeUpAudit(variants={name: VARIANTS[name] for name in ("performer", "softmax", "linear")})
    (case,) = found(tmp_path, run).cases
    assert case.names == ("softmax@torch", "performer@torch", "linear@torch")


def test_the_price_of_an_inference_is_traced_to_its_rows(tmp_path: Path) -> None:
    run = MadeUpAudit()
    (one,) = found(tmp_path, run, **FULL).weighed
    price = one.prices["softmax@torch"]
    joules = fmean(sample.joules for sample in price.reading.samples)
    seconds = fmean(sample.seconds or 0.0 for sample in price.reading.samples)
    operational = joules / 32 * 1.2 / 3.6e6 * 100
    made = 1200e3 * 0.1 * (seconds / 32) / (4 * 365 * 24 * 3600)
    assert fmean(price.total) == pytest.approx(operational + made)
    assert joules == pytest.approx(VARIANTS["softmax"][0] * VARIANTS["softmax"][2], rel=0.01)


def test_pue_is_applied_once(tmp_path: Path) -> None:
    (plain,) = found(tmp_path / "a", MadeUpAudit(), intensity=100.0).weighed
    (doubled,) = found(tmp_path / "b", MadeUpAudit(), intensity=100.0, pue=2.0).weighed
    for name, price in plain.prices.items():
        assert fmean(doubled.prices[name].operational) == pytest.approx(2 * fmean(price.operational))
        assert fmean(doubled.prices[name].joules) == pytest.approx(2 * fmean(price.joules))


def test_an_sci_score_needs_intensity_and_embodied_carbon(tmp_path: Path) -> None:
    whole = found(tmp_path / "all", MadeUpAudit(), **FULL)
    assert "an SCI score, of the boundary below" in section(whole, "decision")
    assert "SCI score" in section(whole, "figures")
    for missing, said in (
        ("embodied", "no embodied estimate was given"),
        ("intensity", "no carbon intensity"),
    ):
        typed = {name: value for name, value in FULL.items() if name != missing}
        whole = found(tmp_path / missing, MadeUpAudit(), **typed)
        warnings = build(whole, []).warnings
        assert any(warning.startswith("Not an SCI score:") and said in warning for warning in warnings)
        assert "SCI score" not in section(whole, "figures")


def test_without_a_price_it_is_energy_that_is_missing_from_the_score(tmp_path: Path) -> None:
    (one,) = found(tmp_path, MadeUpAudit(), **FULL).weighed
    assert no_score(one.case, asked(**FULL), one.prices) == ""
    assert no_score(one.case, asked(**FULL), {}) == NOTHING


def test_without_a_country_there_is_energy_and_not_one_gram(tmp_path: Path) -> None:
    whole = document(tmp_path, MadeUpAudit())
    everything = " ".join(text for part in whole.sections for text in texts(part.blocks))
    assert not re.search(r"\d (kg|g|mg|µg|ng)\b", everything)
    assert "Nothing is assumed about a country that was not given" in everything
    assert "France" not in everything and "world" not in everything.lower()


def test_an_annual_mean_is_called_one(tmp_path: Path) -> None:
    told_of = section(found(tmp_path, MadeUpAudit(), country="FRA"), "inputs")
    assert re.search(r"g CO2e per kWh \(annual mean of 20\d\d, location-based", told_of)
    assert "France (FRA)" in told_of and "Our World in Data" in told_of


def test_the_table_over_countries_says_where_the_order_changes(tmp_path: Path) -> None:
    # One machine's whole 1,200 kg weigh more than French electricity: performer, slow and frugal, loses.
    told_of = section(found(tmp_path, MadeUpAudit(), country="FRA", embodied="1200,4,1"), "change")
    rows = {line.split(" (")[0].strip("| "): line for line in told_of.splitlines() if "| 20" in line}
    assert rows["France"].rstrip("| ").endswith("the same")
    assert "changes: linear@torch, performer@torch and softmax@torch" in rows["India"]


def test_modelled_energy_is_told_and_not_ranked(tmp_path: Path) -> None:
    whole = found(tmp_path, modelled(), **FULL)
    assert ADDS_NOTHING in build(whole, []).warnings
    assert ADDS_NOTHING in section(whole, "decision")
    figures, changes = section(whole, "figures"), section(whole, "change")
    assert figures.count("not ranked") == len(VARIANTS)
    assert "There is no order that could change" in changes and "flip" not in changes
    assert "No front is drawn" in section(whole, "plots")
    assert "4 W a thread, constant" in section(whole, "method")
    (one,) = whole.weighed
    assert one.ranking.order == () and not one.flips


def test_variants_that_score_worse_are_another_functional_unit(tmp_path: Path) -> None:
    variants = dict(VARIANTS) | {"linear": (*VARIANTS["linear"][:3], 0.65, *VARIANTS["linear"][4:])}
    (one,) = found(tmp_path, MadeUpAudit(variants=variants)).weighed
    assert one.ranking.order == ("performer@torch", "softmax@torch")
    assert (
        "scores worse than softmax@torch (−0.110): another functional unit"
        in one.ranking.left_out["linear@torch"]
    )


def test_equal_variants_are_not_told_apart_and_not_asked_about(tmp_path: Path) -> None:
    same = VARIANTS["softmax"]
    run = MadeUpAudit(variants={"softmax": same, "sdpa": same}, scatter=0.01, failing="linear@torch")
    whole = found(tmp_path, run)
    (one,) = whole.weighed
    assert not any(pair.told_apart for pair in one.ranking.neighbours) and not one.flips
    assert "do not tell them apart" in section(whole, "decision")


def test_a_training_can_be_the_functional_unit(tmp_path: Path) -> None:
    (one,) = found(tmp_path, MadeUpAudit(), functional_unit="training").weighed
    # 100 W · 48 s, 150 W · 40 s, 140 W · 55 s.
    assert one.ranking.order == ("performer@torch", "softmax@torch", "linear@torch")
    assert fmean(one.prices["performer@torch"].joules) == pytest.approx(4800, rel=0.005)


def test_a_token_can_be_the_functional_unit(tmp_path: Path) -> None:
    (one,) = found(tmp_path, MadeUpAudit(), functional_unit="token").weighed
    assert fmean(one.prices["performer@torch"].joules) == pytest.approx(6.2 / (32 * 64), rel=0.005)


def test_request_volume_flips_where_training_is_paid_back(tmp_path: Path) -> None:
    (one,) = found(tmp_path, MadeUpAudit()).weighed
    (flip,) = [f for f in one.flips if f.what == "request volume" and f.cheaper == "linear@torch"]
    # (140 · 55 - 100 · 48) J / ((100 · 0.062 - 140 · 0.040) J / 32) = 2,900 / 0.01875.
    assert flip.answer == "flips" and flip.at == pytest.approx(2900 / 0.01875, rel=0.03)


def test_break_even_has_no_upper_end_where_scatter_reaches_nothing(tmp_path: Path) -> None:
    told_of = section(found(tmp_path, MadeUpAudit(scatter=0.6)), "change")
    assert "scatter leaves no upper end" in told_of
    assert not re.search(r"[-−]\d[\d,]* to", told_of.partition("After how many")[2])


def test_failed_rows_have_their_reason_and_no_number(tmp_path: Path) -> None:
    whole = found(tmp_path, MadeUpAudit(), **FULL)
    reason = "the counter package-0 went back while a window ran"
    assert f"sdpa@torch has no figure on sentiment/forward, failed: {reason}." in section(whole, "figures")
    assert reason in section(whole, "failed")
    assert "| sdpa@torch |" not in section(whole, "figures")


def test_search_is_told_apart_from_a_training(tmp_path: Path) -> None:
    told_of = section(found(tmp_path, MadeUpAudit()), "search")
    # Three rates at the first seed and two further seeds: five trainings of 4.8 kJ.
    assert "| performer@torch | sentiment | 0.001, 0.003, 0.01 | 3 | 5 | 24.0 kJ" in told_of


def test_unfinished_runs_and_flagged_windows_are_warned_of(tmp_path: Path) -> None:
    whole = document(tmp_path, MadeUpAudit(finished=False))
    assert any("not finished" in warning for warning in whole.warnings)
    assert any(re.match(r"\d+ of \d+ windows had load from outside", warning) for warning in whole.warnings)


def test_page_and_markdown_hold_the_same_texts(tmp_path: Path) -> None:
    run = write(tmp_path / "run", MadeUpAudit())
    inputs = asked(**FULL)
    written([run], tmp_path / "out", inputs, WHEN)
    page = html.unescape((tmp_path / "out" / "audit.html").read_text(encoding="utf-8")).replace("<wbr>", "")
    markdown = (tmp_path / "out" / "audit.md").read_text(encoding="utf-8")
    whole = build(dossier(read_results([run]), inputs, WHEN), [])
    checked = 0
    for part in whole.sections:
        for text in texts(part.blocks):
            assert text in page, text
            assert escaped(text) in markdown or text in markdown, text
            checked += 1
    assert checked > 300


def test_names_from_outside_are_text_in_every_file_and_never_a_path(tmp_path: Path) -> None:
    variants = dict(VARIANTS) | {HOSTILE.removesuffix("@torch"): VARIANTS["linear"]}
    run = write(tmp_path / "run", MadeUpAudit(variants=variants, failing=HOSTILE, name=HOSTILE))
    files = write_audit([run], tmp_path / "out", **FULL, command=f"attnbench {HOSTILE}")
    page = (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;" in page
    markdown = (tmp_path / "out" / "audit.md").read_text(encoding="utf-8")
    outside_fences = re.sub(r"(?s)(`{3,})text\n.*?\n\1", "", markdown)
    assert not re.search(r"(?<!\\)<script", outside_fences)
    assert {path.parent for path in files} == {tmp_path / "out"}
    assert all(
        re.fullmatch(r"audit\.(html|md)|emissions\.csv|(boamps|model_card)_\d\d\.\w+", path.name)
        for path in files
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in files)


def test_the_page_loads_nothing_and_is_ready_to_be_printed(tmp_path: Path) -> None:
    write_audit([write(tmp_path / "run", MadeUpAudit())], tmp_path / "out", **FULL)
    page = (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    markup = re.sub(r"<script\b[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    references = re.findall(r"""(?:src|href)=["']([^"']*)|url\(([^)]*)\)""", markup)
    assert all((first or second).startswith(("#", "data:")) for first, second in references)
    assert "default-src &#39;none&#39;" in page  # nor may its scripts
    assert "@page { size: A4" in page
    assert "<details>" not in page  # a folded block would be missing on paper


def test_made_up_work_alone_is_energy_without_a_functional_unit(tmp_path: Path) -> None:
    run = write(tmp_path / "run", MadeUpAudit())
    lines = (run / "measurements.jsonl").read_bytes().splitlines(keepends=True)
    (run / "measurements.jsonl").write_bytes(b"".join(line for line in lines if b'"job":"energy"' in line))
    whole = dossier(read_results([run]), Asked(), WHEN)
    assert "no functional unit at a stated accuracy" in section(whole, "decision")
    assert "gross joules a call" in section(whole, "plots")


def test_a_run_without_energy_is_refused_with_what_to_do(tmp_path: Path) -> None:
    run = write(tmp_path / "run", MadeUpAudit())
    (run / "measurements.jsonl").write_bytes(b"")
    done = CliRunner().invoke(app, ["audit", str(run)])
    assert done.exit_code == 2
    assert "these runs hold no energy: measure it with" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--country", "FR"), "FRA (France)"),
        (("--pue", "0.5"), "at least 1"),
        (("--embodied", "lots"), "KILOGRAMS,YEARS,SHARE"),
        (("--functional-unit", "user"), "'user'"),
    ],
)
def test_the_command_refuses_what_cannot_be(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    run = write(tmp_path / "run", MadeUpAudit())
    done = CliRunner().invoke(app, ["audit", str(run), *arguments])
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (run / "audit").exists()


def test_the_command_writes_beside_the_run_and_names_its_files(tmp_path: Path) -> None:
    run = write(tmp_path / "run", MadeUpAudit())
    done = CliRunner().invoke(app, ["audit", str(run), "--intensity", "100", "--embodied", "1200,4,1"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[:3] == [
        str(run / "audit" / name) for name in ("audit.html", "audit.md", "emissions.csv")
    ]


def test_a_second_audit_leaves_no_file_of_the_first(tmp_path: Path) -> None:
    run = write(tmp_path / "run", MadeUpAudit())
    write_audit([run], tmp_path / "out", **FULL)
    assert (tmp_path / "out" / "model_card_03.md").exists()
    write_audit([run], tmp_path / "out")
    assert not list((tmp_path / "out").glob("model_card_*"))
