"""A report in memory, and on disk: the entry point for all formats."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.schema import View
from reports import changes, formatting
from reports.catalog import FORMATS, VIEWS
from reports.content import Section
from reports.evidence import Evidence, gather
from reports.frame import Results, read_pair, read_results


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
    against: Path | None = None,
) -> list[Path]:
    """Write the report on `runs` into the folder `out`, one file a format, and answer the files.

    With a run to hold them `against`, what changed since then stands before the rest.
    Raises ValueError for a format that does not exist, and what `reports.frame.read_results` raises.
    Each file replaces its predecessor as a whole, so that a reader never sees half a page.
    """
    writers = [_load(_format(name)) for name in formats]
    report = build(runs, mix_environments=mix_environments, views=views, against=against)
    out.mkdir(parents=True, exist_ok=True)
    return [writer(report, out) for writer in writers]


def build(
    runs: Sequence[Path],
    *,
    mix_environments: bool = False,
    views: Sequence[View] = VIEWS,
    against: Path | None = None,
) -> Report:
    """The report in memory: every view rendered, nothing written."""
    if against is None:
        earlier, results = None, read_results(runs, mix_environments=mix_environments)
    else:
        earlier, results = read_pair(runs, against)
    evidence = gather(results)
    sections = [_load(view.target)(evidence) for view in views]
    title = f"Attention variants compared: {_names(results)}"
    if earlier is not None:
        title += f" against {_names(earlier)}"
        sections.insert(0, changes.section(earlier, results))
    return Report(
        title=title,
        lead=_lead(evidence),
        warnings=tuple(_warnings(evidence)),
        evidence=evidence,
        sections=tuple(sections),
    )


def _names(results: Results) -> str:
    return ", ".join(str(manifest["run"]) for manifest in results.manifests)


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
