"""What was metered, gathered from the rows of a run: an entry for each implementation and piece of work.

Window i of one implementation was taken beside window i of the others of its framework, so samples pair.
Several launches (or seeds) of the same work are the evidence where there are some, each with its mean;
a single one has its windows, which say nothing of what differs between processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, TypeAlias

from bench.tiers import READ, weakest
from reports.energy.pairs import HEADLINE, SUITES
from reports.frame import Results

COMPONENTS = ("processor", "accelerator", "memory")
TASKS, WORKLOADS = "task_energy", "energy"
TRAINING = "training_run"
UNKNOWN = "unknown"

Launch: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Mean joules a call of one part of the machine, and how they are known."""

    joules: float
    method: str
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One unit of evidence: gross joules and seconds a call; `seconds` is None where windows have no time."""

    joules: float
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The energy of one implementation on one piece of work, a call at a time."""

    environment_id: str
    suite: str
    subject: str
    series: str
    length: int
    implementation: str
    role: str
    phase: str
    items: int
    tokens: int
    method: str
    tool: str
    samples: tuple[Sample, ...]
    net_joules: float | None
    windows: int
    launches: int
    started_at: str
    loads: tuple[float, ...] = ()
    components: Mapping[str, Component] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def framework(self) -> str:
        """What stands behind the @ of the implementation."""
        return self.implementation.rpartition("@")[2]

    @property
    def joules(self) -> float:
        """Mean gross joules a call."""
        return fmean(sample.joules for sample in self.samples)

    @property
    def seconds(self) -> float | None:
        """Mean seconds a call; None where a sample has none."""
        known = [sample.seconds for sample in self.samples if sample.seconds is not None]
        return fmean(known) if len(known) == len(self.samples) else None

    @property
    def read(self) -> bool:
        """Whether energy was read from a meter, a counter or a power sensor."""
        return self.method in READ

    @property
    def basis(self) -> str:
        """What the interval is over: "5 windows of 1 launch" or "3 launches of 5 windows"."""
        if self.launches == 1:
            return f"{self.windows} windows of 1 launch"
        return f"{self.launches} launches, {self.windows} windows in all"

    def method_bounds(self) -> tuple[float, float] | None:
        """The factors between which the true joules may lie of those told; None where nobody can say."""
        try:
            return float(self.details["method_low"]), float(self.details["method_high"])
        except (KeyError, ValueError):
            return None


def readings(results: Results) -> tuple[Reading, ...]:
    """Everything with gross joules, in the order of the run; controls (a copy of an arm) are left out."""
    rows = results.frame[results.frame["suite"].isin(SUITES)]
    fine = rows[(rows["status"] == "ok") & (rows["role"] != "control")]
    keys = ["environment_id", "suite", "subject", "implementation"]
    return tuple(
        _reading(group) for _, group in fine.groupby(keys, sort=False) if (group["metric"] == HEADLINE).any()
    )


def idle(results: Results) -> Iterator[tuple[str, str, Sequence[tuple[float, ...]]]]:
    """For each environment and framework: the readings of watts while nothing ran, (before, after) each."""
    rows = results.frame[(results.frame["metric"] == "idle_watts") & (results.frame["status"] == "ok")]
    for (environment, name), group in rows.groupby(["environment_id", "implementation"], sort=False):
        yield environment, name, [tuple(values) for values in group["values"]]


def _reading(group: Any) -> Reading:
    gross = group[group["metric"] == HEADLINE]
    first = gross.iloc[0]
    joules, seconds = _launches(group, HEADLINE), _launches(group, "window_seconds")
    net = _launches(group, "net_joules")
    return Reading(
        **{name: first[name] for name in ("environment_id", "suite", "subject", "series", "implementation")},
        role=first["role"],
        length=int(first["length"]),
        phase=first["phase"],
        items=int(first["items"]),
        tokens=int(first["tokens"]),
        method=weakest(list(gross["method"])),
        tool=", ".join(dict.fromkeys(gross["tool"])),
        samples=_samples(joules, seconds),
        net_joules=fmean(map(fmean, net.values())) if net else None,
        windows=sum(map(len, joules.values())),
        launches=len(joules),
        started_at=min(gross["started_at"]),
        loads=tuple(value for values in _launches(group, "outside_load").values() for value in values),
        components=dict(_components(group)),
        details=first["details"],
    )


def _launches(group: Any, metric: str) -> dict[Launch, tuple[float, ...]]:
    rows = group[group["metric"] == metric]
    keys = zip(rows["run"], rows["launch"], rows["seed"], strict=True)
    return {
        (run, int(launch), int(seed)): tuple(values)
        for (run, launch, seed), values in zip(keys, rows["values"], strict=True)
    }


def _samples(
    joules: Mapping[Launch, tuple[float, ...]], seconds: Mapping[Launch, tuple[float, ...]]
) -> tuple[Sample, ...]:
    if len(joules) > 1:
        return tuple(
            Sample(joules=fmean(values), seconds=fmean(seconds[launch]) if launch in seconds else None)
            for launch, values in sorted(joules.items())
        )
    ((launch, values),) = joules.items()
    times: Sequence[float | None] = seconds.get(launch, ())
    if len(times) != len(values):
        times = [None] * len(values)
    return tuple(Sample(joules=value, seconds=time) for value, time in zip(values, times, strict=True))


def _components(group: Any) -> Iterator[tuple[str, Component]]:
    for name in COMPONENTS:
        rows = group[group["metric"] == f"{name}_joules"]
        if len(rows):
            yield (
                name,
                Component(
                    joules=fmean(map(fmean, rows["values"])),
                    method=weakest(list(rows["method"])),
                    tool=", ".join(dict.fromkeys(rows["tool"])),
                ),
            )
