"""What was measured and where, and what it says of a candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.schema.validation import require
from bench.schema.words import Method, Role, Status, VerdictWord

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One metric of one implementation on one workload or task: raw values and how they came to be.

    `implementation` is ``"variant@framework"``. `values` are raw (seconds a call, bytes a repeat, one
    score a test example), in the order they were taken. `subject` is the workload's or task's name.
    """

    run: str
    suite: str
    metric: str
    unit: str
    implementation: str
    subject: str
    seed: int
    launch: int
    method: Method
    tool: str
    environment_id: str
    started_at: str
    status: Status = "ok"
    reason: str = ""
    role: Role = "candidate"
    warmups: int = 0
    values: tuple[float, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        where = f"{self.metric} of {self.implementation} on {self.subject}"
        if self.status == "ok":
            require(bool(self.values), f"{where}: status ok needs values")
            require(all(map(math.isfinite, self.values)), f"{where}: values must be finite")
        else:
            require(bool(self.reason), f"{where}: status {self.status} needs a reason")
            require(
                not self.values or self.status == "inconclusive", f"{where}: {self.status} carries no values"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a run was measured. `id` hashes what identifies the machine and its software only:
    never a load or a calibrated frequency, which differ between two looks at the same machine.
    `None` means that it could not be read. `node` is the name of a cluster's node, None on one's own machine:
    two nodes are two environments, however alike."""

    id: str
    os: str
    cpu: str
    cores: int
    threads: int
    memory_bytes: int
    accelerator: str | None
    governor: str | None
    container_cpu_limit: float | None
    container_memory_bytes: int | None
    versions: Mapping[str, str]
    commit: str | None
    dirty: bool | None
    power_source: str | None
    country: str | None
    node: str | None = None
    load_before: float | None = None
    load_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A candidate against the reference: `ratio` is candidate / reference with its interval at `level`.

    `same` means that the whole interval lies within 1 / (1 + margin) to 1 + margin.
    For scores `ratio`, `low`, `high` and `margin` are differences in the metric's own unit.
    """

    word: VerdictWord
    ratio: float | None
    low: float | None
    high: float | None
    level: float
    margin: float
    launches: int
    reason: str = ""
