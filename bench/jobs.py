"""Steps and jobs of a plan: what every kind of suite puts into them, and the order in which jobs run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.candidates import FRAMEWORK_EXTRAS
from bench.profiles import PROFILES
from bench.registry import Registry
from bench.schema import Job, Profile, Request, Step, Suite, Task, Workload
from bench.shaping import BARE

SHORT_LENGTH = 1024
SHORT, LONG, WHOLE = "short layers", "long layers and models", "whole trainings"
MORE = "more launches"
START_SECONDS = {"torch": 4.0, "keras": 9.0, "": 4.0}
MEMORY_SHARE = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the plan needs to know of the place it will run in."""

    run: str
    environment_id: str
    memory_bytes: int


class JobMaker:
    """Makes the steps and jobs of one request."""

    def __init__(self, request: Request, registry: Registry, site: Site) -> None:
        self.request = request
        self.registry = registry
        self.site = site
        self.profile: Profile = PROFILES[request.profile]

    def step(
        self, work: Workload | Task | None, *, subject: str = "", seed: int | None = None, key: str = ""
    ) -> Step:
        """A step of some work, without arms; `subject` where it has none."""
        name = subject or (work.name if work else "")
        return Step(
            key=key or name,
            subject=name,
            arms=(),
            workload=work if isinstance(work, Workload) else None,
            task=work if isinstance(work, Task) else None,
            seed=self.request.seed if seed is None else seed,
            seconds=self.profile.seconds,
            call_limit=self.profile.call_limit,
            examples=self.profile.attacked_examples,
        )

    def built(self, step: Step, framework: str) -> Step:
        """The step with what builds its model on a framework."""
        work = step.workload or step.task
        if work is None or work.architecture not in self.registry.architectures:
            return step
        row = self.registry.architectures[work.architecture]
        return replace(
            step,
            architecture=row.targets.get(framework, ""),
            package=row.packages.get(framework, ""),
            torch_architecture=row.targets.get("torch", ""),
            torch_package=row.packages.get("torch", ""),
        )

    def job(
        self, suite: Suite, framework: str, launch: int, stage: str, steps: tuple[Step, ...], label: str = ""
    ) -> Job:
        """A job of these steps; `label` tells it from the suite's others."""
        opener = suite.opener if framework in FRAMEWORK_EXTRAS else ""
        shares = suite.tasks or suite.admits or suite.trained_by
        side_by_side = 1 if suite.exclusive else self.request.jobs
        arms = sum(len(step.arms) for step in steps)
        return Job(
            id="/".join(part for part in (suite.name, framework, label, str(launch)) if part),
            run=self.site.run,
            suite=suite.name,
            target=suite.target,
            framework=framework,
            launch=launch,
            steps=steps,
            environment_id=self.site.environment_id,
            device=self.request.device,
            # Trainings and certificates share the cores; memory is that of work on all of them.
            threads=max(1, self.request.threads // (self.request.jobs if shares else 1)),
            time_limit=self.profile.time_limit,
            memory_limit=int(self.site.memory_bytes * MEMORY_SHARE / side_by_side),
            exclusive=suite.exclusive,
            metric=suite.metrics[0].name,
            unit=suite.metrics[0].unit,
            stage=stage,
            opener=opener,
            bars=suite.admits,
            expected_seconds=START_SECONDS.get(framework, 4.0) + 2.5 * self.profile.seconds * arms,
            environment=suite.environment,
            trained=bool(suite.trained_by),
        )


def work_label(workload: Workload) -> str:
    """Which of the launches a workload belongs to: what is cheap and telling is measured first."""
    if workload.phase == "training_run":
        return WHOLE
    return SHORT if workload.architecture == BARE and workload.key_length <= SHORT_LENGTH else LONG


def order(job: Job) -> tuple[int, int, str, str]:
    """Certificates, then what is cheap and telling: short lengths, memory, long lengths, trainings seed
    by seed, and last the launches that sharpen what already stands."""
    if job.bars:
        return (0, 0, "", "")
    long = f"/{LONG}/" in job.id
    if job.steps and job.steps[-1].task is not None:
        # What works on trained weights comes right after the trainings of its seed.
        return (4, job.launch, "trained" if job.trained else "", "")
    if any(step.workload and step.workload.phase == "training_run" for step in job.steps):
        return (6, job.launch, "", "")
    if "matrix_product" in {step.subject for step in job.steps}:
        return (5, job.launch, "", "") if job.stage.endswith(MORE) else (3 if long else 1, job.launch, "", "")
    return (2, job.launch, "", "")
