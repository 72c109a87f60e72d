"""A report written to disk: the entry point for all formats, and the HTML page.

The page is one file without a script, that loads nothing. Whatever a user named is put in as text by
jinja2's escaping; only the drawings of `reports.drawing` go in as markup.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jinja2
import markupsafe

from bench.schema import View
from reports import formatting
from reports.catalog import FORMATS, VIEWS
from reports.content import Block, Section
from reports.evidence import Evidence, gather
from reports.frame import read_results

_WORDS = {
    "better": "good",
    "worse": "bad",
    "same": "even",
    "undecided": "open",
    "failed": "bad",
    "false alarm": "bad",
    "inconclusive": "open",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a writer of a format needs."""

    title: str
    lead: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    evidence: Evidence
    sections: tuple[Section, ...]


def write_reports(
    runs: Sequence[Path],
    out: Path,
    formats: Sequence[str],
    mix_environments: bool = False,
    views: Sequence[View] = VIEWS,
) -> list[Path]:
    """Write the report on `runs` into the folder `out`, one file a format, and answer the files.

    Raises ValueError for a format that does not exist, and what `reports.frame.read_results` raises.
    Each file replaces its predecessor as a whole, so that a reader never sees half a page.
    """
    writers = [_load(_format(name)) for name in formats]
    report = build(runs, mix_environments=mix_environments, views=views)
    out.mkdir(parents=True, exist_ok=True)
    return [writer(report, out) for writer in writers]


def build(runs: Sequence[Path], *, mix_environments: bool = False, views: Sequence[View] = VIEWS) -> Report:
    """The report in memory: every view rendered, nothing written."""
    evidence = gather(read_results(runs, mix_environments=mix_environments))
    return Report(
        title=f"Attention variants compared: {', '.join(str(m['run']) for m in evidence.results.manifests)}",
        lead=_lead(evidence),
        warnings=tuple(_warnings(evidence)),
        evidence=evidence,
        sections=tuple(_load(view.target)(evidence) for view in views),
    )


def _format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"no report format {name!r}; known are {', '.join(FORMATS)}")
    return FORMATS[name]


def _load(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return loaded


def _lead(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """What the reader must know before the first figure: when, where, how much."""
    lines: list[tuple[str, str]] = []
    for manifest in evidence.results.manifests:
        environment = manifest.get("environment") or {}
        memory = environment.get("memory_bytes")
        machine = f"{environment.get('cpu', 'unknown processor')}, {environment.get('threads', '?')} threads"
        machine += f", {memory / 1e9:.0f} GB" if memory else ""
        lines.append(
            (
                "Measured",
                f"{formatting.moment(manifest['started_at'])}, profile {manifest['profile']}, "
                f"seed {manifest['seed']}",
            )
        )
        lines.append(("On", f"{machine}, {environment.get('accelerator') or 'no accelerator'}"))
    return tuple(dict.fromkeys(lines))


def _warnings(evidence: Evidence) -> list[str]:
    found = []
    if evidence.results.incomplete:
        found.append("This run is not finished: the page shows what has been measured so far.")
    if evidence.results.mixed:
        found.append("This page mixes environments. Rows say which; compare figures within one only.")
    count = sum(comparison.provisional for comparison in evidence.comparisons)
    if count:
        found.append(
            f"Provisional: {count} of {len(evidence.comparisons)} verdicts rest on few launches or seeds "
            "and may change."
        )
    return found


def write_whole(path: Path, text: str) -> Path:
    """Write the file beside its place and move it there."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text, encoding="utf-8", newline="\n")
    return unfinished.replace(path)


class Page(Protocol):
    """What the template needs of a report."""

    @property
    def title(self) -> str: ...
    @property
    def lead(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def sections(self) -> tuple[Section, ...]: ...


def write(report: Report, folder: Path) -> Path:
    """`index.html` in `folder`."""
    return write_whole(folder / "index.html", as_page(report))


def as_page(page: Page) -> str:
    """The page as one HTML document."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    environment.filters["kind"] = _kind
    environment.filters["tone"] = lambda word: _WORDS.get(word, "quiet")
    environment.filters["drawing"] = markupsafe.Markup
    return environment.get_template("page.html").render(report=page)


def _breakable(text: str) -> markupsafe.Markup:
    """The text, escaped, that may break its line before an @: ``variant@framework`` in a narrow column."""
    return markupsafe.Markup("<wbr>@").join(text.split("@"))


def _kind(block: Block) -> str:
    return type(block).__name__.lower()
