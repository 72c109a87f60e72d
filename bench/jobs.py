"""Steps and jobs of a plan: what every kind of suite puts into them, and the order in which jobs run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.candidates import FRAMEWORK_EXTRAS
from bench.profiles import PROFILES
from bench.registry import Registry
from bench.schema import Arm, Job, Profile, Request, Step, Suite, Task, Workload
from bench.shaping import BARE

SHORT_LENGTH = 1024
SHORT, LONG, WHOLE = "short layers", "long layers and models", "whole trainings"
MORE = "more launches"
START_SECONDS = {"torch": 4.0, "keras": 9.0, "": 4.0}
MEMORY_SHARE = 0.85
# A training or an attack of `quick`, about; what a run has taken so far corrects it.
TRAINING_SECONDS = 8.0
ATTACK_SECONDS = 60.0
# Opening meters, and waiting before the two idle windows, for each step that is metered.
METER_SECONDS = 5.0
WARMING_SECONDS = 1.5


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
            windows=0,
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

    def metered(self, step: Step, suite: Suite) -> Step:
        """The step as a suite that meters takes it; as it is for others."""
        return replace(step, windows=suite.windows, seconds=suite.window_seconds) if suite.windows else step

    def _expected(self, step: Step) -> float:
        """Seconds that a step takes, about: metered windows are as long as they are asked to be."""
        arms = len(step.arms)
        if not step.windows:
            return 2.5 * self.profile.seconds * arms
        longest = max(step.seconds, TRAINING_SECONDS) if is_training_run(step) else step.seconds
        return METER_SECONDS + 2 * step.seconds + arms * (WARMING_SECONDS + step.windows * longest)

    def job(
        self, suite: Suite, framework: str, launch: int, stage: str, steps: tuple[Step, ...], label: str = ""
    ) -> Job:
        """A job of these steps; `label` tells it from the suite's others."""
        opener = suite.opener if framework in FRAMEWORK_EXTRAS else ""
        shares = suite.tasks or suite.admits or suite.trained_by
        side_by_side = 1 if suite.exclusive else self.request.jobs
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
            expected_seconds=START_SECONDS.get(framework, 4.0) + sum(map(self._expected, steps)),
            environment=suite.environment,
            trained=bool(suite.trained_by),
        )


def is_training_run(step: Step) -> bool:
    """Whether a call of the step is one whole training of a task."""
    return step.task is not None and step.subject.endswith("/training_run")


def reference_of(arms: Sequence[Arm], framework: str) -> Arm | None:
    """The reference among them on a framework."""
    return next((a for a in arms if a.role == "reference" and framework_of(a) == framework), None)


def framework_of(arm: Arm) -> str:
    """What the arm's implementation runs on."""
    return arm.implementation.rpartition("@")[2]


def work_label(workload: Workload) -> str:
    """Which of the launches a workload belongs to: what is cheap and telling is measured first."""
    if workload.phase == "training_run":
        return WHOLE
    return SHORT if workload.architecture == BARE and workload.key_length <= SHORT_LENGTH else LONG


def order(job: Job) -> tuple[int, int, str, str]:
    """Certificates, then what is cheap and telling: short lengths, memory, long lengths, trainings seed
    by seed, energy, and last the launches that sharpen what already stands."""
    if job.bars:
        return (0, 0, "", "")
    long = f"/{LONG}/" in job.id
    if job.steps and job.steps[-1].task is not None:
        # What works on trained weights comes right after the trainings of its seed.
        return (4, job.launch, "trained" if job.trained else "", "")
    if any(step.workload and step.workload.phase == "training_run" for step in job.steps):
        return (7, job.launch, "", "")
    if any(step.windows for step in job.steps):
        return (5, job.launch, "", "")
    if "matrix_product" in {step.subject for step in job.steps}:
        return (6, job.launch, "", "") if job.stage.endswith(MORE) else (3 if long else 1, job.launch, "", "")
    return (2, job.launch, "", "")
