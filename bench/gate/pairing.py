"""What is measured on both sides: each side's own plan, matched arm by arm, without what did not change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.candidates import REFERENCE
from bench.environment import memory_available
from bench.gate.keys import Keys
from bench.gate.sides import SIDES, Side, SideName
from bench.jobs import Site
from bench.loading import did_you_mean
from bench.plan import make_plan
from bench.registry import Registry, UnknownNameError
from bench.schema import Arm, Job, Measurement, Request, Step

# Where nothing else is named; the others have seams of their own and are asked for by name.
SUITES = ("certificate", "throughput", "memory", "accuracy", "energy")
# The suite whose work is called in turns.
TIMED = "throughput"
WHOLE = "training_run"
WANTS_A_PACKAGE = "install "
Both = Mapping[SideName, Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPair:
    """One implementation's work in a step on both sides, with the content key of each."""

    suite: str
    step: str
    subject: str
    framework: str
    arms: Mapping[SideName, Arm]
    keys: Mapping[SideName, str]

    @property
    def implementation(self) -> str:
        return self.arms["candidate"].implementation

    @property
    def changed(self) -> bool:
        return len(set(self.keys.values())) > 1

    @property
    def key(self) -> str:
        """Names the pair of contents, whatever it is called."""
        return "-".join(self.keys[side][:24] for side in SIDES)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPair:
    """The first launch (or repeat, or seed) of the same work on both sides, and the pairs in it."""

    jobs: Both
    pairs: tuple[ArmPair, ...]

    @property
    def suite(self) -> str:
        return self.jobs["candidate"].suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """All work that both sides can do, and what they cannot.

    `missing` is what the candidate no longer does, or no side for want of a package, as (suite,
    implementation, subject, reason): neither fine nor worse. `notes` say what only the candidate has. What
    neither side can do is nobody's fault and is left out.
    """

    work: tuple[JobPair, ...]
    missing: tuple[tuple[str, str, str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def pairs(self) -> Iterator[ArmPair]:
        """Every pair, job after job."""
        for job in self.work:
            yield from job.pairs


def pair(request: Request, registry: Registry, sides: Mapping[SideName, Side]) -> Pairing:
    """Plan the request on each side and match what comes of it.

    Raises UnknownNameError for a variant that neither side has.
    """
    request = replace(request, suites=request.suites or tuple(n for n in SUITES if n in registry.suites))
    names = {name: {row.name for row in side.told.variants} for name, side in sides.items()}
    _require_known(request, names)
    plans = {name: _plan(request, registry, side, names[name]) for name, side in sides.items()}
    keys = {name: Keys(side) for name, side in sides.items()}
    work = tuple(_matched({name: jobs for name, (jobs, _) in plans.items()}, keys))
    refused = {name: {_place(m): m for m in rows} for name, (_, rows) in plans.items()}
    has = {name: _implementations(jobs) for name, (jobs, _) in plans.items()}
    return Pairing(
        work=work,
        missing=tuple(_missing(refused, has)),
        notes=tuple(f"{name}: the baseline has none" for name in sorted(has["candidate"] - has["baseline"])),
    )


def _missing(
    refused: Mapping[SideName, Mapping[tuple[str, str, str], Measurement]], has: Mapping[SideName, set[str]]
) -> Iterator[tuple[str, str, str, str]]:
    """What the candidate no longer does, and what wants a package to be installed."""
    for implementation in sorted(has["baseline"] - has["candidate"]):
        yield "", implementation, "", "the candidate has none"
    for place, m in refused["candidate"].items():
        if m.reason.startswith(WANTS_A_PACKAGE):
            yield m.suite, m.implementation, m.subject, m.reason
        elif place not in refused["baseline"] and m.implementation in has["baseline"]:
            yield m.suite, m.implementation, m.subject, f"candidate: {m.reason}"


def _require_known(request: Request, names: Mapping[SideName, set[str]]) -> None:
    either = sorted(set().union(*names.values()))
    for name in request.variants:
        if name not in either:
            raise UnknownNameError(
                f"unknown variant {name!r}{did_you_mean(name, either)}; known: {', '.join(either)}"
            )


def _place(m: Measurement) -> tuple[str, str, str]:
    return m.suite, m.implementation, m.subject


def _implementations(jobs: Iterable[Job]) -> set[str]:
    return {
        arm.implementation
        for job in jobs
        for step in job.steps
        for arm in step.arms
        if arm.role in ("reference", "candidate")
    }


def _plan(
    request: Request, registry: Registry, side: Side, names: set[str]
) -> tuple[tuple[Job, ...], tuple[Measurement, ...]]:
    """The side's first launches of everything, and what it refuses."""
    told = side.told
    own = replace(
        registry,
        variants={row.name: row for row in told.variants},
        architectures={row.name: row for row in told.architectures},
        refused=told.refused,
    )
    here = replace(
        request,
        # Only the reference where the side has none of what was named: nothing of it is then matched.
        variants=tuple(name for name in request.variants if name in names) or (REFERENCE,),
        extra=tuple(map(side.place, request.extra)),
    )
    site = Site(run=side.name, environment_id=told.environment.id, memory_bytes=memory_available())
    plan = make_plan(here, own, site)
    # Later launches, repeats and seeds are made from the first: see `launched`.
    return tuple(_gated(job) for job in plan.jobs if job.launch == 0), plan.refusals


def _gated(job: Job) -> Job:
    """The job without what no gate compares: copies of the reference, the machine's own speed, baselines
    without a network, whole trainings that are a launch of their own."""
    steps = [
        replace(step, arms=tuple(arm for arm in step.arms if arm.role in ("reference", "candidate")))
        for step in job.steps
        if not (step.workload and step.workload.phase == WHOLE)
    ]
    return replace(job, steps=tuple(step for step in steps if step.arms))


def _matched(plans: Mapping[SideName, Sequence[Job]], keys: Mapping[SideName, Keys]) -> Iterator[JobPair]:
    theirs = {job.id: job for job in plans["baseline"]}
    for job in plans["candidate"]:
        twin = theirs.get(job.id)
        if twin is None or not job.steps:
            continue
        jobs: Both = {"baseline": twin, "candidate": job}
        pairs = tuple(_arm_pairs(jobs, keys))
        if pairs:
            yield JobPair(jobs=jobs, pairs=pairs)


def _arm_pairs(jobs: Both, keys: Mapping[SideName, Keys]) -> Iterator[ArmPair]:
    before = {step.key: step for step in jobs["baseline"].steps}
    for step in jobs["candidate"].steps:
        if step.key not in before:
            continue
        steps: Mapping[SideName, Step] = {"baseline": before[step.key], "candidate": step}
        old = {arm.implementation: arm for arm in steps["baseline"].arms}
        for arm in step.arms:
            if arm.implementation not in old:
                continue
            arms: Mapping[SideName, Arm] = {"baseline": old[arm.implementation], "candidate": arm}
            yield ArmPair(
                suite=jobs["candidate"].suite,
                step=step.key,
                subject=step.subject,
                framework=jobs["candidate"].framework,
                arms=arms,
                keys={side: keys[side].of(jobs[side], steps[side], arms[side]) for side in SIDES},
            )


def narrowed(job: Job, arms: Mapping[str, set[str]]) -> Job:
    """The job with the named implementations only, by step key."""
    steps = (
        replace(step, arms=tuple(arm for arm in step.arms if arm.implementation in arms.get(step.key, ())))
        for step in job.steps
    )
    return replace(job, steps=tuple(step for step in steps if step.arms))


def launched(job: Job, launch: int, seed: int) -> Job:
    """The same work as launch (or repeat, or seed) number `launch`, on data drawn from ``seed + launch``.

    It is a stage of its own, of its suite: later seeds need the rate that the first one chose, and attacks
    the weights of a training, so neither may run beside what it waits for.
    """
    return replace(
        job,
        stage=f"{job.suite}, {launch}",
        id=f"{job.id.rpartition('/')[0]}/{launch}",
        launch=launch,
        steps=tuple(replace(step, seed=seed + launch) for step in job.steps),
    )
