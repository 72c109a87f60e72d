"""What can be compared, measured and shown: found through entry points, without importing a framework.

Three groups, for what is built in and for what users bring alike: `attnbench.variants`,
`attnbench.suites` and `attnbench.views`. An entry point names a module that holds tuples called
`VARIANTS`, `ARCHITECTURES`, `SUITES`, `VIEWS` and a dict `FORMATS`, as far as it has them, or a single
row; the report's module also names its `WRITER`, its `AUDITOR` and its `HISTORY`. `TASKS` holds tasks for
suites that are there already: by the suite's name, then by profile. A plug-in that cannot be read is
reported as such and costs nothing but itself.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

from bench.loading import did_you_mean
from bench.schema import Architecture, Suite, Task, Variant, View

GROUPS = ("attnbench.variants", "attnbench.suites", "attnbench.views")


class UnknownNameError(Exception):
    """A name that nobody registered; the message lists what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All rows by name. `writer` is what writes the reports, ``"module:write_reports"``, `auditor` what
    writes audits, ``"module:write_audit"``, and `history` what writes about many runs,
    ``"module:write_history"``; `refused` holds what a plug-in brought that cannot be used, with the
    reason."""

    variants: Mapping[str, Variant] = field(default_factory=dict)
    architectures: Mapping[str, Architecture] = field(default_factory=dict)
    suites: Mapping[str, Suite] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)
    writer: str = ""
    auditor: str = ""
    history: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def tasks(self) -> dict[str, Task]:
        """Tasks of all suites by name; where profiles differ in budget, the largest."""
        return {
            task.name: task
            for suite in self.suites.values()
            for tasks in suite.tasks.values()
            for task in tasks
        }

    def profiles_of(self, task: str) -> list[str]:
        """The profiles that measure a task without being told to."""
        profiles = [
            profile
            for suite in self.suites.values()
            for profile, rows in suite.tasks.items()
            for row in rows
            if row.name == task and row.default and not row.own_data
        ]
        return list(dict.fromkeys(profiles))


def choose(kind: str, asked: Iterable[str], known: Collection[str]) -> list[str]:
    """The asked names, each once; raises UnknownNameError with a suggestion for one that is not known."""
    chosen = list(dict.fromkeys(asked))
    for name in chosen:
        if name not in known:
            raise UnknownNameError(
                f"unknown {kind} {name!r}{did_you_mean(name, list(known))}; known: {', '.join(known)}"
            )
    return chosen


def _rows(found: Any) -> list[Any]:
    if isinstance(found, (Variant, Architecture, Suite, View)):
        return [found]
    if isinstance(found, (tuple, list)):
        return list(found)
    return [
        row for name in ("VARIANTS", "ARCHITECTURES", "SUITES", "VIEWS") for row in getattr(found, name, ())
    ]


def _entry_points() -> list[metadata.EntryPoint]:
    points = [point for group in GROUPS for point in metadata.entry_points(group=group)]
    # Ours first, whatever order the installation gives, so that a plug-in cannot take a built-in name.
    return sorted(
        points, key=lambda point: (point.dist is None or point.dist.name != "attnbench", point.name)
    )


def collect(points: Iterable[metadata.EntryPoint]) -> Registry:
    """The registry of these entry points; a name that is taken is refused under the plug-in's own name."""
    tables: dict[type, dict[str, Any]] = {Variant: {}, Architecture: {}, Suite: {}, View: {}}
    formats: dict[str, str] = {}
    writer = auditor = history = ""
    refused: dict[str, str] = {}
    brought: list[tuple[str, Any]] = []
    for point in points:
        try:
            found = point.load()
        except Exception as error:  # noqa: BLE001  a plug-in is the user's code: see `refused`
            refused[point.name] = (
                f"entry point {point.value} cannot be loaded: {type(error).__name__}: {error}"
            )
            continue
        brought.append((point.name, getattr(found, "TASKS", {})))
        formats.update(getattr(found, "FORMATS", {}))
        writer = writer or getattr(found, "WRITER", "")
        auditor = auditor or getattr(found, "AUDITOR", "")
        history = history or getattr(found, "HISTORY", "")
        for row in _rows(found):
            table = tables.get(type(row))
            if table is None:
                refused[point.name] = (
                    f"entry point {point.value} holds {type(row).__name__}, expected rows of bench.schema"
                )
            elif row.name in table:
                refused[f"{point.name}:{row.name}"] = f"duplicate name: {row.name!r} is already registered"
            else:
                table[row.name] = row
    for name, tasks in brought:
        _add_tasks(tables[Suite], name, tasks, refused)
    return Registry(
        variants=tables[Variant],
        architectures=tables[Architecture],
        suites=tables[Suite],
        views=tables[View],
        formats=formats,
        writer=writer,
        auditor=auditor,
        history=history,
        refused=refused,
    )


def _add_tasks(suites: dict[str, Suite], plugin: str, tasks: Any, refused: dict[str, str]) -> None:
    """Put a plug-in's `tasks`, ``{suite: {profile: rows}}``, into the suites that they are for; what cannot
    be is refused under the plug-in's name."""
    taken = {row.name for suite in suites.values() for rows in suite.tasks.values() for row in rows}
    for name, profiles in tasks.items():
        if not suites.get(name) or not suites[name].tasks:
            having = ", ".join(suite.name for suite in suites.values() if suite.tasks)
            refused[plugin] = f"TASKS names the suite {name!r}; suites with tasks are {having}"
            continue
        merged = {profile: tuple(rows) for profile, rows in suites[name].tasks.items()}
        for profile, rows in profiles.items():
            for row in rows:
                if not isinstance(row, Task):
                    refused[plugin] = f"TASKS holds {type(row).__name__}, expected rows of bench.schema"
                elif row.name in taken:
                    refused[f"{plugin}:{row.name}"] = f"duplicate name: {row.name!r} is already registered"
                else:
                    merged[profile] = (*merged.get(profile, ()), row)
        suites[name] = replace(suites[name], tasks=merged)


@functools.cache
def registry() -> Registry:
    """The registry of this Python environment."""
    return collect(_entry_points())
