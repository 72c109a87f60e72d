"""The central types: what is compared, on which work, what was measured and how.

All are frozen dataclasses that validate themselves and do nothing else. They travel as JSON between
the parent, its workers and the store (see `bench.wire`), so every field is plain data.

Units are part of names and of `Metric.unit`; lengths are counted in tokens, widths in channels.
"""

from bench.schema.axes import Metric, Suite, View
from bench.schema.compared import Architecture, Claims, Variant
from bench.schema.measured import SCHEMA_VERSION, Environment, Measurement, Verdict
from bench.schema.planned import Arm, Job, Plan, Profile, Request, Step
from bench.schema.words import (
    ABSOLUTE_POSITIONS,
    DTYPES,
    NORMALISATIONS,
    PHASES,
    POSITIONS,
    RELATIVE_POSITIONS,
    Better,
    Method,
    Option,
    Options,
    Phase,
    Role,
    Status,
    VerdictWord,
)
from bench.schema.work import Task, Workload

__all__ = [
    "ABSOLUTE_POSITIONS",
    "DTYPES",
    "NORMALISATIONS",
    "PHASES",
    "POSITIONS",
    "RELATIVE_POSITIONS",
    "SCHEMA_VERSION",
    "Architecture",
    "Arm",
    "Better",
    "Claims",
    "Environment",
    "Job",
    "Measurement",
    "Method",
    "Metric",
    "Option",
    "Options",
    "Phase",
    "Plan",
    "Profile",
    "Request",
    "Role",
    "Status",
    "Step",
    "Suite",
    "Task",
    "Variant",
    "Verdict",
    "VerdictWord",
    "View",
    "Workload",
]
