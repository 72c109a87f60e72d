"""`attnbench audit`: the document in memory, and its files on disk.

Names of files are ours alone; nothing that a run or a user names becomes a part of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from reports import formatting
from reports.audit import (
    boamps,
    change,
    emissions_csv,
    known,
    model_card,
    opening,
    plots,
    record,
    scope,
    tables,
)
from reports.audit.asked import Asked, asked
from reports.audit.dossier import Dossier, dossier
from reports.audit.ranking import ADDS_NOTHING
from reports.content import Document
from reports.frame import read_results
from reports.page import write_whole
from reports.writers.html import rendered
from reports.writers.markdown import told

PAGE, MARKDOWN, EMISSIONS = "audit.html", "audit.md", "emissions.csv"


def write_audit(
    runs: Sequence[Path],
    out: Path,
    *,
    country: str = "",
    intensity: float | None = None,
    intensity_source: str = "",
    pue: float | None = None,
    embodied: str = "",
    embodied_source: str = "",
    functional_unit: str = "inference",
    command: str = "",
) -> list[Path]:
    """Write the audit of `runs` into the folder `out`, and answer the files.

    Raises ValueError for inputs that cannot be (see `reports.audit.asked.asked`) and for runs that hold no
    energy or come from different machines, and what `reports.frame.read_results` raises.
    """
    inputs = asked(
        country=country,
        intensity=intensity,
        intensity_source=intensity_source,
        pue=pue,
        embodied=embodied,
        embodied_source=embodied_source,
        functional_unit=functional_unit,
        command=command,
    )
    return written(runs, out, inputs, datetime.now(UTC).isoformat(timespec="seconds"))


def written(runs: Sequence[Path], out: Path, inputs: Asked, written_at: str) -> list[Path]:
    """The files for inputs that are checked already; `written_at` is a moment in ISO 8601."""
    found = dossier(read_results(runs), inputs, written_at)
    files = _files(found)
    document = build(found, [(name, what) for name, what, _ in files])
    out.mkdir(parents=True, exist_ok=True)
    _clear(out)
    texts = {PAGE: rendered("audit.html", document), MARKDOWN: told(document)}
    texts |= {name: text for name, _, text in files}
    return [write_whole(out / name, text) for name, text in texts.items()]


def _clear(out: Path) -> None:
    """Numbered files of an earlier audit in the same folder: fewer may be written now."""
    for pattern in (boamps.PATTERN, model_card.PATTERN):
        for path in out.glob(pattern):
            path.unlink()


def _files(found: Dossier) -> list[tuple[str, str, str]]:
    """Name, description and text of each machine-readable file."""
    return [
        (EMISSIONS, emissions_csv.WHAT, emissions_csv.text(found)),
        *boamps.files(found),
        *model_card.files(found),
    ]


def build(found: Dossier, files: Sequence[tuple[str, str]]) -> Document:
    """The document: sections in the order of the page."""
    names = ", ".join(str(manifest["run"]) for manifest in found.results.manifests)
    files = [(MARKDOWN, "this document as Markdown"), *files]
    if found.asked.intensity is None:
        files.append(("no model card", "co2_eq_emissions is in grams, and no intensity was given"))
    return Document(
        title=f"Energy and carbon audit: {names}",
        lead=tuple(_lead(found)),
        warnings=tuple(_warnings(found)),
        sections=(
            opening.decision(found),
            tables.figures(found),
            change.change(found),
            plots.plots(found),
            scope.boundary(found),
            scope.inputs(found),
            known.known(found),
            record.search(found),
            record.trace(found),
            record.failed(found),
            record.record(found, files),
        ),
    )


def _lead(found: Dossier) -> Iterator[tuple[str, str]]:
    for manifest in found.results.manifests:
        environment = manifest.get("environment") or {}
        machine = f"{environment.get('cpu', 'unknown processor')}, {environment.get('threads', '?')} threads"
        accelerator = environment.get("accelerator") or "no accelerator"
        yield "Measured", f"{formatting.moment(manifest['started_at'])} on {machine}, {accelerator}"
    yield "Written", formatting.moment(found.written_at)


def _warnings(found: Dossier) -> Iterator[str]:
    if found.results.incomplete:
        yield "A run is not finished: this document holds what was measured so far."
    if found.readings and len(found.modelled) == len(found.readings):
        yield ADDS_NOTHING
    elif found.modelled:
        names = formatting.listed(sorted({reading.implementation for reading in found.modelled}))
        yield f"Energy of {names} is modelled in part: it adds nothing to latency and is in no order."
    if any(one.no_score for one in found.weighed):
        reasons = list(dict.fromkeys(one.no_score for one in found.weighed if one.no_score))
        yield f"Not an SCI score: {'; '.join(reasons)}."
    other = [r.implementation for r in found.readings if r.details.get("same_weights") == "no"]
    if other:
        yield (
            f"The metered training of {formatting.listed(list(dict.fromkeys(other)))} ended in other weights "
            "than those whose score stands here."
        )
    count = sum(known.flagged(reading) for reading in found.readings)
    if count:
        windows = sum(reading.windows for reading in found.readings)
        yield f"{count} of {windows} windows had load from outside above 10%: see “How it is known”."
