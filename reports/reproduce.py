"""The command that measures the same again, and what else it needs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from reports import formatting
from reports.content import Block, Items, Listing, Section
from reports.evidence import Evidence


def render(evidence: Evidence) -> Section:
    """A command a run, with the commit and versions it was made with."""
    blocks: list[Block] = []
    for manifest in evidence.results.manifests:
        blocks.append(Listing(title=f"run {manifest['run']}", text=command(manifest)))
        blocks.append(Items(items=tuple(_needs(manifest))))
    data = [command(manifest) for manifest in evidence.results.manifests]
    return Section(name="reproduce", title="How to reproduce it", blocks=tuple(blocks), data=data)


def command(manifest: Mapping[str, Any]) -> str:
    """The command line of a run as one line that a shell takes."""
    recorded = manifest.get("command", "")
    return recorded if isinstance(recorded, str) else shlex.join(map(str, recorded))


def _needs(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    environment = manifest.get("environment") or {}
    commit = environment.get("commit") or "not recorded"
    if environment.get("dirty"):
        commit = f"{commit}, with changes that were not committed"
    return [
        ("commit", str(commit)),
        ("profile", str(manifest.get("profile", "not recorded"))),
        ("seed", str(manifest.get("seed", "not recorded"))),
        ("measured", f"{_moment(manifest.get('started_at'))} to {_moment(manifest.get('finished_at'))}"),
    ]


def _moment(text: str | None) -> str:
    return formatting.moment(text) if text else "not finished"
