"""`docs/catalogue.md`: what each variant is worth on each framework, from runs on disk.

``python -m reports.catalogue RUN… --out docs/catalogue.md`` writes it. A table without and one with
causality, then the public packages, every certificate that does not hold, and all lines of `reports.peers`.
Ratios are of time a call, at the longest length that both were measured at; nothing is left blank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from bench.registry import registry
from bench.schema import Variant
from reports import formatting
from reports.catalogue_cells import Evidence, Row, rows_of
from reports.frame import Results, read_results
from reports.page import write_whole
from reports.peers import PeerRatio, in_words, peer_ratios, summary
from reports.writers.markdown import escaped

Column: TypeAlias = tuple[str, Callable[[Evidence, Row, bool], str]]
COLUMNS: tuple[Column, ...] = (
    ("variant", lambda evidence, row, causal: row.variant.name),
    ("framework", lambda evidence, row, causal: row.framework),
    ("certificate", lambda evidence, row, causal: evidence.certificate(row)),
    ("forward / softmax", lambda evidence, row, causal: evidence.against_softmax(row, "forward", causal)),
    ("training / softmax", lambda evidence, row, causal: evidence.against_softmax(row, "train_step", causal)),
    ("forward / best peer", lambda evidence, row, causal: evidence.against_peers(row, "forward", causal)),
    ("training / best peer", lambda evidence, row, causal: evidence.against_peers(row, "train_step", causal)),
    ("peak memory, / softmax", lambda evidence, row, causal: evidence.peak_memory(row, causal)),
    ("exponent of time", lambda evidence, row, causal: evidence.exponent(row, causal)),
    ("state in decoding", lambda evidence, row, causal: evidence.state(row)),
)
_INTRODUCTION = """# The catalogue

Made from the runs named below, such as `tox run -e catalogue` measures; do not edit.
Every ratio is ours over the other's, below 1
being better, with its t interval over launches, at the longest length that both were measured at. The best
peer is the public implementation of the same variant that was fastest there. The exponent is the slope of
log time over log length of a forward pass, beside the one declared; short lengths, where projections weigh
more, pull it towards 1. A certificate that does not hold marks all figures of its row: they are of something
else than the name says.
"""


def write_catalogue(runs: Sequence[Path], out: Path, variants: Iterable[Variant] | None = None) -> Path:
    """Write the page to `out`; `variants` are the registry's unless given.

    Raises what `read_results` raises for runs that cannot be read together.
    """
    rows = tuple(registry().variants.values() if variants is None else variants)
    out.parent.mkdir(parents=True, exist_ok=True)
    return write_whole(out, catalogue_page(read_results(runs), rows))


def catalogue_page(results: Results, variants: Sequence[Variant]) -> str:
    """The page as Markdown."""
    evidence = Evidence(results, variants)
    rows = rows_of(variants, evidence.implementations)
    ours = [row for row in rows if not row.variant.peer_of]
    peers = [row for row in rows if row.variant.peer_of and row.shown]
    causal = [row for row in ours if row.variant.causal]
    lines = [_INTRODUCTION, *_measured_on(results)]
    lines += _section("Without causality", evidence, [r for r in ours if not r.variant.causal_only], False)
    lines += _section("Causal", evidence, causal, True)
    lines += _section("Public packages", evidence, [r for r in peers if not r.variant.causal_only], False)
    lines += _section("Public packages, causal", evidence, [r for r in peers if r.variant.causal], True)
    lines += _failures(evidence, rows)
    lines += _pairs(evidence, peer_ratios(results, variants))
    return "\n".join(lines).rstrip() + "\n"


def _measured_on(results: Results) -> Iterator[str]:
    for manifest in results.manifests:
        machine = manifest.get("environment") or {}
        versions = machine.get("versions") or {}
        packages = ", ".join(f"{name} {versions[name]}" for name in ("torch", "keras") if name in versions)
        parts = (
            machine.get("cpu"),
            f"{machine.get('threads')} threads",
            packages,
            manifest.get("started_at"),
        )
        yield f"- run {escaped(str(manifest['run']))}: {escaped(', '.join(str(p) for p in parts if p))}"
    if results.incomplete:
        yield "- **not all of these runs have ended: figures will be added and may move**"
    yield ""


def _section(title: str, evidence: Evidence, rows: Sequence[Row], causal: bool) -> Iterator[str]:
    if not rows:
        return
    yield f"## {title}"
    yield ""
    yield from _table([name for name, _ in COLUMNS], [_cells(evidence, row, causal) for row in rows])


def _cells(evidence: Evidence, row: Row, causal: bool) -> list[str]:
    if row.refusal:
        head = [row.variant.name, row.framework, f"unsupported: {row.refusal}"]
        return head + ["unsupported"] * (len(COLUMNS) - len(head))
    return [cell(evidence, row, causal) for _, cell in COLUMNS]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(escaped, row))} |"
    yield ""


def _failures(evidence: Evidence, rows: Sequence[Row]) -> Iterator[str]:
    """Each property that does not hold, with its counterexample."""
    found = [(row, name, reason) for row in rows for name, reason in evidence.broken(row)]
    yield "## Certificates that do not hold"
    yield ""
    for row, name, reason in found:
        yield f"- {escaped(row.name)}, {escaped(name)}: {escaped(reason)}"
    if not found:
        yield "None among those that were taken."
    yield ""


def _pairs(evidence: Evidence, lines: Sequence[PeerRatio]) -> Iterator[str]:
    yield "## Against public packages"
    yield ""
    heads = ("ours", "peer", "length", "phase", "causal", "time", "interval", "memory", "verdict")
    yield from _table(heads, (_pair(evidence, line) for line in lines))
    yield escaped(summary(lines))


def _pair(evidence: Evidence, line: PeerRatio) -> tuple[str, ...]:
    work = line.work
    place = ("every",) * 3
    if work is not None:
        place = formatting.length(work.length), work.phase, "yes" if work.causal else "no"
    time = ("no ratio", "no interval") if line.time is None else in_words(line.time)
    memory = "not measured" if line.memory is None else formatting.quantity(line.memory.ratio, "ratio")
    names = evidence.marked(line.variant), evidence.marked(line.peer)
    return (*names, *place, *time, memory, line.word or line.reason)


def main(
    runs: Annotated[list[Path], typer.Argument(help="run folders", exists=True)],
    out: Annotated[Path, typer.Option(help="the page to write")] = Path("docs/catalogue.md"),
) -> None:
    """Write the catalogue's page from runs on disk."""
    typer.echo(f"wrote {write_catalogue(runs, out)}")


if __name__ == "__main__":
    typer.run(main)
