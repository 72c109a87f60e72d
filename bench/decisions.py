"""When a comparison has said enough: which steps of a later launch need not be measured again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from bench.schema import Job, Measurement, Profile, Step
from bench.statistics import decision_level, judge, look_schedule, paired_log_ratio

Values = dict[tuple[str, str], dict[int, tuple[float, ...]]]


def _values(measurements: Iterable[Measurement], job: Job, subject: str, environment_id: str = "") -> Values:
    """Raw values by (implementation, role) and launch, of this job's framework on this subject, in one
    environment or in all."""
    found: Values = defaultdict(dict)
    for m in measurements:
        if m.suite != job.suite or m.metric != job.metric or m.subject != subject or m.status != "ok":
            continue
        if environment_id and m.environment_id != environment_id:
            continue
        if m.implementation.endswith(f"@{job.framework}"):
            found[m.implementation, m.role][m.launch] = m.values
    return found


def _launches(values: Values, job: Job) -> list[int]:
    """Those before the job's own."""
    return sorted({launch for by_launch in values.values() for launch in by_launch if launch < job.launch})


def decided(measurements: Iterable[Measurement], job: Job, step: Step, profile: Profile) -> bool:
    """Whether every candidate of the step has its verdict at a scheduled look, or stopped at an earlier one.

    Follows the alpha-spending rule of `bench.statistics`; between looks nothing is decided.
    """
    measurements = list(measurements)
    if len(_launches(_values(measurements, job, step.subject), job)) < job.launch:
        return True
    # After the loss of a machine the launches made elsewhere are another comparison, with looks of its own.
    values = _values(measurements, job, step.subject, job.environment_id)
    launches = _launches(values, job)
    if len(launches) not in look_schedule(profile.launches) or len(launches) < 2:
        return False
    references = [by_launch for (_, role), by_launch in values.items() if role == "reference"]
    if not references:
        return True
    level = decision_level(len(launches), profile.launches, profile.alpha)
    for (_, role), by_launch in values.items():
        shared = sorted(set(references[0]) & set(by_launch) & set(launches))
        if role != "candidate" or not shared:
            continue
        ratios = [paired_log_ratio(references[0][launch], by_launch[launch]) for launch in shared]
        if judge(ratios, level=level, margin=profile.margin).word == "undecided":
            return False
    return True
