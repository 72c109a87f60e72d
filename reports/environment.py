"""Where it was measured: machine, software, limits and load, as each run recorded them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports import formatting
from reports.content import Block, Cell, Group, Paragraph, Section, Table, columns
from reports.evidence import Evidence
from reports.frame import described, flattened

_BYTES = {"memory_bytes", "container_memory_bytes"}


def render(evidence: Evidence) -> Section:
    """One table, a column an environment."""
    found = environments(evidence)
    blocks: list[Block] = []
    if evidence.results.mixed:
        blocks.append(
            Paragraph(text="This page mixes environments; their figures are kept apart.", warning=True)
        )
    flat = {name: dict(_readable(environment)) for name, environment in found.items()}
    versions = {
        name: {k: str(v) for k, v in environment.get("versions", {}).items()}
        for name, environment in found.items()
    }
    blocks.append(_table(flat, "An environment's name is a hash of what identifies machine and software."))
    if any(versions.values()):
        blocks.append(
            Group(title="Versions", blocks=(_table(versions, "Software as the workers imported it."),))
        )
    return Section(
        name="environment", title="Where it was measured", blocks=tuple(blocks), data=list(found.values())
    )


def environments(evidence: Evidence) -> dict[str, Mapping[str, Any]]:
    """By name; those that only measurements name have nothing but it."""
    manifests = evidence.results.manifests
    known = described(manifests)
    own = [str((manifest.get("environment") or {}).get("id", "unknown")) for manifest in manifests]
    names = dict.fromkeys((*own, *evidence.results.frame["environment_id"]))
    return {name: known.get(name, {"id": name}) for name in names}


def _readable(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Everything but the versions, with what could not be read said so."""
    for name, text in flattened({k: v for k, v in environment.items() if k != "versions"}).items():
        if name == "node" and text == "None":
            continue
        if text == "None":
            yield name, "none found" if name == "accelerator" else "could not be read"
        elif name in _BYTES:
            yield name, formatting.quantity(float(text), "B")
        else:
            yield name, text


def _table(columns_by_name: Mapping[str, Mapping[str, str]], caption: str) -> Table:
    names = dict.fromkeys(name for values in columns_by_name.values() for name in values)
    rows = tuple(
        (
            Cell(text=name.replace("_", " ").replace(" bytes", "")),
            *(Cell(text=values.get(name, "not recorded")) for values in columns_by_name.values()),
        )
        for name in names
    )
    return Table(caption=caption, columns=columns("what", *columns_by_name), rows=rows)
