"""Runs as nights, and what they measured as series: one value a night for each metric of each implementation.

What has a size (time, memory, energy) is told as the ratio to the reference measured in the same launch,
which leaves out what slowed both; without such a reference as the figure itself; of a night's launches the
median counts. Scores are told as they are: the reference's training would only add its own luck. A series
stays on one machine, whose series of one metric are a pool. Its environment's changes (software, kernel,
governor) are marked nights.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute

from bench.changes import Change, Night, changes
from bench.registry import choose
from bench.store import MANIFEST, StoreError, read_manifest
from reports import directions
from reports.frame import described, flattened
from reports.history.reading import read_table

MACHINE = ("node", "cpu", "cores", "threads", "memory_bytes", "accelerator")
WITH_SIZE = {"s", "B", "J", "W", "FLOP/s", "items/s", "tokens/s", "count"}
SMALLEST_RATIO = 0.005
SMALLEST_SCORE = 0.002
_KEYS = ["night", "environment_id", "suite", "metric", "unit", "implementation", "role", "subject"]
_FIGURES: list[Any] = [("log_ratio", "list"), ("log_ratio", "count"), ("mean", "mean"), ("median", "list")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as a night: its manifest's moment and commit, and by id where it was measured: one environment,
    or that of each node it was carried to."""

    path: Path
    started_at: str
    commit: str
    environments: Mapping[str, Mapping[str, Any]]

    def machine(self, environment_id: str) -> tuple[str, ...]:
        """What hardware it was."""
        return machine_of(self.environments.get(environment_id, {}))


def machine_of(environment: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells machines apart."""
    return tuple(str(environment.get(name)) for name in MACHINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The nights of one metric; values are ratios to the reference where `paired`, positive where `sized`."""

    machine: tuple[str, ...]
    suite: str
    metric: str
    unit: str
    implementation: str
    subject: str
    paired: bool
    sized: bool
    nights: tuple[Night, ...]
    changes: tuple[Change, ...] = ()

    @property
    def steps(self) -> tuple[Change, ...]:
        """The changes that are put down to commits."""
        return tuple(change for change in self.changes if change.kind != "environment")

    @property
    def pool(self) -> tuple[object, ...]:
        """Those that learn their noise together: one machine's, of one metric."""
        return self.machine, self.suite, self.metric, self.unit

    @property
    def reference(self) -> tuple[object, ...]:
        """What tells references apart: the work, and the framework, each of which has its own."""
        return *self.pool, self.subject, self.implementation.rpartition("@")[2]


def find_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs in these folders (each a run, or a folder of runs), in their order in time.

    Raises StoreError where there is none.
    """
    paths = [path for folder in folders for path in _runs_in(folder)]
    if not paths:
        raise StoreError(
            f"no run in {', '.join(map(str, folders))}: give folders of runs, or of `attnbench run --out`"
        )
    return sorted((_run(path) for path in dict.fromkeys(paths)), key=lambda run: run.started_at)


def _runs_in(folder: Path) -> list[Path]:
    if (folder / MANIFEST).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))


def _run(path: Path) -> Run:
    manifest = read_manifest(path)
    return Run(
        path=path,
        started_at=str(manifest.get("started_at", "")),
        commit=str((manifest.get("environment") or {}).get("commit") or ""),
        environments=described([manifest]),
    )


def read_series(runs: Sequence[Run], metrics: Sequence[str], variants: Sequence[str]) -> list[Series]:
    """All series of these metrics (empty: those that rank) and variants (empty: all), with their changes.

    Raises UnknownNameError, with what there is, for a metric or variant that no run holds.
    """
    tables = [
        table.append_column("night", pyarrow.array([night] * len(table), pyarrow.int32()))
        for night, run in enumerate(runs)
        if len(table := read_table(run.path))
    ]
    if not tables:
        return []
    table, told = _chosen(pyarrow.concat_tables(tables, promote_options="default"), metrics, variants)
    grouped = table.group_by(_KEYS).aggregate(_FIGURES).sort_by("night")
    means = grouped.drop_columns(["log_ratio_list", "median_list"]).to_pydict()
    means |= {name: _middles(grouped[f"{name}_list"]) for name in ("log_ratio", "median")}
    # Those that were not asked for are in the pool all the same: what is told of one rests on all.
    return [one for one in _with_changes(list(_series(means, runs))) if one.implementation in told]


def _middles(launches: pyarrow.ChunkedArray) -> list[float]:
    """The median of each night's launches, which leaves out one that went astray; NaN where there is none."""
    lists = launches.combine_chunks()
    counts = np.asarray(lists.value_lengths())
    starts = np.cumsum(counts) - counts
    values = lists.flatten().to_numpy(zero_copy_only=False)
    middles = np.full(len(counts), math.nan)
    for count in np.unique(counts):
        places = np.flatnonzero(counts == count)
        rows = values[starts[places, None] + np.arange(count)]
        some = np.isfinite(rows).any(axis=1)
        middles[places[some]] = np.nanmedian(rows[some], axis=1)
    return middles.tolist()


def _chosen(
    table: pyarrow.Table, metrics: Sequence[str], variants: Sequence[str]
) -> tuple[pyarrow.Table, list[str]]:
    """The rows of these metrics, and the implementations that were asked for."""
    table = table.unify_dictionaries()
    told = pyarrow.compute.is_in(
        table["role"].cast(pyarrow.string()), pyarrow.array(["candidate", "reference"])
    )
    table = table.filter(told)
    wanted = pyarrow.array(_metrics(metrics, _held(table, "metric")), pyarrow.string())
    table = table.filter(pyarrow.compute.is_in(table["metric"].cast(pyarrow.string()), wanted))
    return table, _implementations(variants, _held(table, "implementation"))


def _held(table: pyarrow.Table, name: str) -> list[str]:
    names: list[str] = pyarrow.compute.unique(table[name].cast(pyarrow.string())).to_pylist()
    return names


def _metrics(asked: Sequence[str], held: Sequence[str]) -> list[str]:
    if asked:
        return choose("metric", asked, sorted(held))
    return [metric for metric in held if directions.ranks(metric)]


def _implementations(asked: Sequence[str], held: Sequence[str]) -> list[str]:
    """A variant's name stands for it on every framework; ``variant@framework`` for that one alone."""
    names = sorted({name.rpartition("@")[0] or name for name in held} | set(held))
    chosen = choose("variant", asked, names) if asked else held
    return [name for name in held if name in chosen or name.rpartition("@")[0] in chosen]


def _series(means: Mapping[str, Sequence[Any]], runs: Sequence[Run]) -> Iterator[Series]:
    places: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    machines: dict[tuple[int, str], tuple[str, ...]] = {}
    for place, (night, environment, *of) in enumerate(zip(*(means[name] for name in _KEYS), strict=True)):
        where = (night, environment)
        if where not in machines:
            machines[where] = runs[night].machine(environment)
        places[machines[where], *of].append(place)
    for (machine, suite, metric, unit, implementation, role, subject), mine in places.items():
        sized = unit in WITH_SIZE
        paired = sized and role == "candidate" and any(means["log_ratio_count"][place] for place in mine)
        nights = tuple(_nights(means, runs, mine, paired=paired, sized=sized))
        if nights:
            yield Series(
                machine=machine,
                suite=suite,
                metric=metric,
                unit="ratio" if paired else unit,
                implementation=implementation,
                subject=subject,
                paired=paired,
                sized=sized,
                nights=nights,
            )


def _nights(
    means: Mapping[str, Sequence[Any]],
    runs: Sequence[Run],
    places: Sequence[int],
    *,
    paired: bool,
    sized: bool,
) -> Iterator[Night]:
    """The nights that have a value; one without is left out, never filled in."""
    for place in places:
        if paired:
            value = math.exp(means["log_ratio"][place])
        else:
            value = means["median" if sized else "mean_mean"][place]
        if value is not None and math.isfinite(value) and (value > 0 or not sized):
            run = runs[means["night"][place]]
            yield Night(
                value=value,
                started_at=run.started_at,
                commit=run.commit,
                environment=means["environment_id"][place],
            )


def _with_changes(series: Sequence[Series]) -> list[Series]:
    found = changes(
        [one.nights for one in series],
        better=[directions.better(one.suite, one.metric) for one in series],
        ratios=[one.sized for one in series],
        smallest=[SMALLEST_RATIO if one.sized else SMALLEST_SCORE for one in series],
        pools=[one.pool for one in series],
        references=[one.reference if one.paired else None for one in series],
    )
    return [_changed(one, tuple(mine)) for one, mine in zip(series, found, strict=True)]


def _changed(series: Series, found: tuple[Change, ...]) -> Series:
    fields = {name: getattr(series, name) for name in Series.__slots__ if name != "changes"}
    return Series(**fields, changes=found)


def environment_changes(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """When a machine's environment changed, and what did: ``versions.torch: 2.12 → 2.13``."""
    latest: dict[tuple[str, ...], Mapping[str, Any]] = {}
    said = []
    for run in runs:
        for environment in run.environments.values():
            before = latest.get(machine_of(environment))
            latest[machine_of(environment)] = environment
            if before is not None and before.get("id") != environment.get("id"):
                said.append((run.started_at, _differences(before, environment)))
    return said


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    old, new = flattened(before), flattened(after)
    unsaid = {"id", "load_before", "load_after", "commit", "dirty", "country", "power_source"}
    names = [name for name in sorted({*old, *new} - unsaid) if old.get(name) != new.get(name)]
    told = [f"{name}: {old.get(name, 'absent')} → {new.get(name, 'absent')}" for name in names]
    return "; ".join(told) or "nothing that was recorded"
