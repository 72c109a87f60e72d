"""Runs to one tidy table: a row a measurement, a column a thing one can ask for.

Launches of one machine may be pooled; figures of two machines may not. So runs that were measured in
different environments are refused, unless the caller says that they shall be mixed; then they stay
apart in the table and the page says so. One run that was itself carried to several nodes of a cluster is
read the same way, without asking. Two runs that gave one name to different work are refused always.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from bench.schema import Measurement
from bench.store import RunRecord, read_run

_WORK = ("architecture", "phase", "batch", "query_length", "key_length", "width", "heads", "dtype", "causal")
_COUNTS = ("batch", "query_length", "key_length", "width", "heads", "tokens", "items")
_PLAIN = (
    "run",
    "suite",
    "metric",
    "unit",
    "implementation",
    "role",
    "subject",
    "seed",
    "launch",
    "warmups",
    "values",
    "status",
    "reason",
    "method",
    "tool",
    "environment_id",
    "started_at",
)
COLUMNS = (*_PLAIN, "variant", "framework", "length", "series", *_WORK, "tokens", "items", "details")
_LOADS = {"id", "load_before", "load_after"}


class EnvironmentsDifferError(ValueError):
    """Runs of different machines or software were asked for in one report."""


class WorkDiffersError(ValueError):
    """Two runs measured different work under one name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The tidy table of some runs with their manifests; `mixed` where it holds several environments."""

    frame: Any
    manifests: tuple[Mapping[str, Any], ...]
    set_aside: int
    mixed: bool

    @property
    def alpha(self) -> float:
        """The strictest error rate that any of the runs was planned with."""
        return min((float(manifest["alpha"]) for manifest in self.manifests), default=0.01)

    @property
    def margin(self) -> float:
        """The smallest relative difference that any of the runs calls one."""
        return min((float(manifest["margin"]) for manifest in self.manifests), default=0.02)

    @property
    def score_margins(self) -> dict[str, float]:
        """The same for scores, by metric, in the metric's unit."""
        margins: dict[str, float] = {}
        for manifest in self.manifests:
            for metric, margin in manifest.get("score_margins", {}).items():
                margins[metric] = min(float(margin), margins.get(metric, float(margin)))
        return margins

    @property
    def incomplete(self) -> bool:
        """Whether any of the runs has not come to its end."""
        return any(manifest.get("finished_at") is None for manifest in self.manifests)

    @property
    def score_alpha(self) -> float:
        """Error rate of verdicts on scores, whose evidence is a few seeds; `alpha` where none is given."""
        return min(
            (float(manifest.get("score_alpha", self.alpha)) for manifest in self.manifests), default=0.05
        )

    def planned(self, runs: Sequence[str], what: str = "launches_planned") -> int:
        """How many launches (or ``repeats_planned``) those runs were to make of each cell."""
        return sum(
            int(manifest.get(what, manifest["launches_planned"]))
            for manifest in self.manifests
            if manifest["run"] in runs
        )

    def select(self, suite: str, *metrics: str) -> Any:
        """The rows of a suite, of some metrics or of all."""
        rows = self.frame[self.frame["suite"] == suite]
        return rows[rows["metric"].isin(metrics)] if metrics else rows


def read_results(runs: Sequence[Path], *, mix_environments: bool = False) -> Results:
    """The runs' measurements in one table.

    Raises EnvironmentsDifferError for runs of several environments (unless they shall be mixed),
    WorkDiffersError where one name stands for different work, and what `read_run` raises
    for a folder that is no run.
    """
    if not runs:
        raise ValueError("a report needs at least one run, got none")
    return _pooled([read_run(Path(run)) for run in runs], mix_environments)


def read_pair(runs: Sequence[Path], earlier: Path) -> tuple[Results, Results]:
    """Some runs and an earlier one that they shall be held against: ``(earlier, later)``, kept apart.

    Raises what `read_results` raises, and EnvironmentsDifferError where the earlier run is of another
    environment: such figures cannot be paired, whether or not environments may be mixed on a page.
    """
    if not runs:
        raise ValueError("a report needs at least one run, got none")
    before, after = read_run(Path(earlier)), [read_run(Path(run)) for run in runs]
    first, second = _pooled([before], False), _pooled(after, False)
    environments = _environments([before, *after])
    if len(environments) > 1:
        raise EnvironmentsDifferError(_describe(environments, "Report them apart"))
    _same_work(pandas.concat([first.frame, second.frame]))
    return first, second


def _pooled(records: Sequence[RunRecord], mix_environments: bool) -> Results:
    rows = [_row(measurement) for record in records for measurement in record.measurements]
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    environments = _environments(records)
    if len(environments) > 1 and not mix_environments and not _nodes_of_one_run(records, environments):
        raise EnvironmentsDifferError(_describe(environments))
    _same_work(frame)
    return Results(
        frame=frame,
        manifests=tuple(record.manifest for record in records),
        set_aside=sum(record.set_aside for record in records),
        mixed=len(environments) > 1,
    )


def _row(measurement: Measurement) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(measurement, name) for name in _PLAIN}
    variant, _, framework = measurement.implementation.rpartition("@")
    details = dict(measurement.details)
    row.update(variant=variant or framework, framework=framework if variant else "", details=details)
    row.update({name: details.get(name, "") for name in _WORK})
    row.update({name: _count(details.get(name, "")) for name in _COUNTS})
    row["length"] = max(row["query_length"], row["key_length"])
    row["series"] = _series(measurement.subject, row["length"])
    return row


def _count(text: str) -> int:
    """A count that a workload states; 0 where it states none."""
    return int(float(text)) if text else 0


def _series(subject: str, length: int) -> str:
    """A workload's name without its length, so that "layer/forward/512" and "/1024" are one curve."""
    return "/".join(part for part in subject.split("/") if part != str(length))


def described(manifests: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Every environment that manifests describe, by id: a run's own and the nodes it was carried to."""
    found: dict[str, Mapping[str, Any]] = {}
    for manifest in manifests:
        for environment in (manifest.get("environment") or {}, *manifest.get("environments", ())):
            found.setdefault(str(environment.get("id", "unknown")), environment)
    return found


def _environments(records: Sequence[RunRecord]) -> dict[str, Mapping[str, Any]]:
    """Every environment that a run calls its own or a record names, by id, with its description where a
    manifest holds it."""
    known = described(record.manifest for record in records)
    own = [str((record.manifest.get("environment") or {}).get("id", "unknown")) for record in records]
    measured = [m.environment_id for record in records for m in record.measurements]
    return {name: known.get(name, {}) for name in dict.fromkeys((*own, *measured))}


def _nodes_of_one_run(records: Sequence[RunRecord], environments: Iterable[str]) -> bool:
    """Whether the environments are the nodes that a single run was carried to."""
    if len(records) != 1 or not records[0].manifest.get("environments"):
        return False
    return set(environments) <= set(described([records[0].manifest]))


def flattened(environment: Mapping[str, Any]) -> dict[str, str]:
    """An environment as one level of names and texts: ``versions.torch`` -> ``2.13.0``."""
    flat: dict[str, str] = {}
    for name, value in environment.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{inner}": str(text) for inner, text in value.items()})
        else:
            flat[name] = str(value)
    return flat


def _describe(
    environments: Mapping[str, Mapping[str, Any]],
    advice: str = "Report them apart, or ask for mixed environments",
) -> str:
    flat = [flattened(environment) for environment in environments.values()]
    names = sorted(set().union(*flat) - _LOADS)
    differences = []
    for name in names:
        texts = [environment.get(name, "not recorded") for environment in flat]
        if len(set(texts)) > 1:
            differences.append(f"{name}: {' / '.join(texts)}")
    return (
        f"the runs were measured in {len(environments)} environments ({', '.join(environments)}), whose "
        f"figures cannot be pooled. They differ in {'; '.join(differences) or 'nothing that was recorded'}. "
        f"{advice}"
    )


def _same_work(frame: Any) -> None:
    """Raise WorkDiffersError where one subject of a suite was measured with different work."""
    _same(frame[frame["architecture"] != ""], _WORK)
    _same(frame.assign(settings=[details.get("settings", "") for details in frame["details"]]), ("settings",))


def _same(frame: Any, names: Sequence[str]) -> None:
    for (suite, subject), rows in frame.groupby(["suite", "subject"], sort=False):
        for name in names:
            found = sorted({str(value) for value in rows[name]})
            if len(found) > 1:
                raise WorkDiffersError(
                    f"{subject} of the suite {suite} stands for different work in these runs: its {name} is "
                    f"{' and '.join(text or 'as listed' for text in found)}. Report the runs apart"
                )
