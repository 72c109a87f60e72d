"""From a request to jobs: variants crossed with workloads and tasks, cheap and telling ones first.

A pair that cannot be measured is kept as a row that says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from bench.candidates import (
    REFERENCE,
    Candidate,
    candidates,
    controls,
    frameworks,
    refusal,
    what_to_install,
)
from bench.jobs import (
    ATTACK_SECONDS,
    LONG,
    MORE,
    SHORT,
    START_SECONDS,
    TRAINING_SECONDS,
    WHOLE,
    JobMaker,
    Site,
    framework_of,
    order,
    reference_of,
    work_label,
)
from bench.measuring import failure
from bench.profiles import PROFILES
from bench.registry import Registry
from bench.schema import (
    Arm,
    Job,
    Measurement,
    Plan,
    Profile,
    Request,
    Role,
    Status,
    Step,
    Suite,
    Task,
    Workload,
)
from bench.selection import Selection
from bench.shaping import BARE

WORK_LABELS = (SHORT, LONG, WHOLE)
FEW_LAUNCHES = 3
WHOLE_TRAININGS = 2
# What a suite that meters tells of a task, each a step of its own.
METERED_OF_A_TASK = ("training_run", "forward")


class Planner:
    """Builds the jobs of one request; one method for each kind of suite."""

    def __init__(self, request: Request, registry: Registry, site: Site) -> None:
        self.request = request
        self.registry = registry
        self.selection = Selection(request, registry)
        self.make = JobMaker(request, registry, site)
        self.profile: Profile = PROFILES[request.profile]
        self.candidates = candidates(request, registry)
        self.controls: list[Candidate] = []
        self.refusals: list[Measurement] = []

    def plan(self) -> Plan:
        """All jobs in the order they run in, and the rows of what cannot be measured."""
        asked = self.selection.suites()
        if any(self.selection.tasks(suite) for suite in asked if suite.tasks):
            taken = [candidate.name for candidate in self.candidates]
            self.controls = controls(self.request, self.registry, taken)
        jobs = [job for suite in asked for job in self._suite(suite)]
        return Plan(jobs=tuple(sorted(jobs, key=order)), refusals=tuple(self.refusals))

    def _suite(self, suite: Suite) -> Iterator[Job]:
        absent = what_to_install(suite.extra, suite.modules)
        if absent:
            self._refuse_all(suite, absent)
        elif suite.windows and suite.trained_by:
            yield from self._metered_on_trained(suite)
        elif suite.interleaved:
            yield from self._interleaved(suite)
        elif suite.trained_by:
            yield from self._on_trained(suite)
        elif suite.tasks:
            yield from self._trainings(suite)
        else:
            yield from self._alone(suite)

    def _arms(self, suite: Suite, step: Step, framework: str | None, *, control: bool) -> Iterator[Arm]:
        for candidate in self._candidates(suite):
            if framework is not None and candidate.framework != framework:
                continue
            role: Role = "reference" if candidate.variant.name == REFERENCE else "candidate"
            arm = candidate.arm(role)
            # A certificate asks for each form that the variant claims, whatever its work says.
            work = None if suite.admits else step.workload or step.task
            reason = refusal(candidate, work, self.registry)
            if reason:
                self._refuse(suite, step, arm, reason, failed=candidate.failed)
                continue
            yield arm
            if control and role == "reference":
                yield replace(arm, role="control")

    def _candidates(self, suite: Suite) -> list[Candidate]:
        # Controls show what a task asks for; what their answers would cost nobody wants to know.
        learns = (suite.tasks or suite.trained_by or suite.admits) and not suite.windows
        return [*self.candidates, *(self.controls if learns else ())]

    def _refuse(self, suite: Suite, step: Step, arm: Arm, reason: str, *, failed: bool = False) -> None:
        job = self.make.job(suite, arm.implementation.rpartition("@")[2], 0, "", ())
        status: Status = "failed" if failed else "unsupported"
        if not any(
            m.implementation == arm.implementation and m.subject == step.subject and m.suite == suite.name
            for m in self.refusals
        ):
            self.refusals.append(failure(job, step, arm, reason, cause="refused", status=status))

    def _refuse_all(self, suite: Suite, reason: str) -> None:
        steps = [self.make.step(workload) for workload in self.selection.workloads(suite)]
        for task in self.selection.tasks(suite):
            metered = suite.windows and suite.trained_by
            steps += self._metered_steps(suite, task) if metered else [self.make.step(task)]
        for step in steps:
            for candidate in self._candidates(suite):
                arm = Arm(implementation=candidate.name, role="candidate", target="")
                self._refuse(suite, step, arm, reason)

    def _interleaved(self, suite: Suite) -> Iterator[Job]:
        """One job a framework, launch and kind of work: all arms in one process."""
        groups: dict[str, list[Workload]] = {label: [] for label in WORK_LABELS}
        for workload in sorted(
            self.selection.workloads(suite), key=lambda w: (w.key_length, w.architecture, w.phase)
        ):
            groups[work_label(workload)].append(workload)
        for label, workloads in groups.items():
            launches = WHOLE_TRAININGS if label == WHOLE else self.profile.launches
            # Windows are repeats, and cost minutes: one launch holds enough of them.
            yield from self._launches(suite, workloads, label, range(1 if suite.windows else launches))

    def _launches(
        self, suite: Suite, workloads: list[Workload], label: str, launches: range
    ) -> Iterator[Job]:
        for launch in launches if workloads else ():
            for framework in frameworks(self.request):
                # A metered step brings a yardstick of its own: what idling takes.
                before = [] if suite.windows else [self._yardstick(framework, launch)]
                steps = list(before)
                for workload in workloads:
                    step = self.make.built(
                        self.make.step(workload, seed=self.request.seed + launch), framework
                    )
                    step = self.make.metered(step, suite)
                    control = not suite.windows and self._controlled(workload)
                    arms = tuple(self._arms(suite, step, framework, control=control))
                    if arms:
                        steps.append(replace(step, arms=arms))
                if len(steps) > len(before):
                    stage = f"{suite.title}, {label if launch < self._first_launches() else MORE}"
                    yield self.make.job(suite, framework, launch, stage, tuple(steps), label)

    def _yardstick(self, framework: str, launch: int) -> Step:
        arm = Arm(implementation=f"matrix_product@{framework}", role="yardstick", target="")
        return replace(
            self.make.step(None, subject="matrix_product", seed=self.request.seed + launch), arms=(arm,)
        )

    def _alone(self, suite: Suite) -> Iterator[Job]:
        """One job an implementation, workload and repeat: a process to itself."""
        for repeat in range(1 if suite.admits else self.profile.repeats):
            for work in self.selection.workloads(suite):
                blank = self.make.step(work)
                for arm in self._arms(suite, blank, None, control=False):
                    framework = arm.implementation.rpartition("@")[2]
                    step = replace(self.make.built(blank, framework), arms=(arm,))
                    yield self.make.job(
                        suite, framework, repeat, suite.title, (step,), f"{arm.implementation}/{step.key}"
                    )

    def _first_launches(self) -> int:
        """Launches before anything else is measured: as many as a first verdict needs."""
        planned = self.profile.launches
        return planned if planned <= FEW_LAUNCHES else planned // 2

    def _controlled(self, workload: Workload) -> bool:
        """Whether the reference is timed twice: on the cheap bare layer always, elsewhere in `full`."""
        if workload.phase == "training_run":
            return False
        cheap = workload.architecture == BARE and workload.key_length <= self.profile.control_up_to
        return cheap or self.profile.control_up_to > 1 << 20

    def _trainings(self, suite: Suite) -> Iterator[Job]:
        """One job an implementation and seed, that trains on every task, and one for all baselines."""
        tasks = self.selection.tasks(suite)
        baselines = tuple(self._baseline(task) for task in tasks if task.baselines)
        if baselines:
            yield self.make.job(
                suite, "", 0, f"{suite.title}, seed 1 of {self.profile.seeds}", baselines, "baselines"
            )
        for (implementation, index), steps in self._by_seed(suite, tasks, self.profile.seeds).items():
            trainings = sum(1 if index else len(cast(Task, step.task).learning_rates) for step in steps)
            yield self._seed_job(suite, implementation, index, steps, TRAINING_SECONDS * trainings)

    def _on_trained(self, suite: Suite) -> Iterator[Job]:
        """One job an implementation and seed, on the weights that another suite trained."""
        tasks = self.selection.tasks(suite)
        for (implementation, index), steps in self._by_seed(
            suite, tasks, self.profile.attacked_seeds
        ).items():
            yield self._seed_job(suite, implementation, index, steps, ATTACK_SECONDS * len(steps))

    def _metered_on_trained(self, suite: Suite) -> Iterator[Job]:
        """One job a framework and seed: all arms in one process, on weights that another suite trained."""
        blanks = [step for task in self.selection.tasks(suite) for step in self._metered_steps(suite, task)]
        for index in range(self.profile.attacked_seeds):
            for framework in frameworks(self.request):
                seed = self.request.seed + index
                steps = [self._with_all_arms(suite, replace(one, seed=seed), framework) for one in blanks]
                steps = [step for step in steps if step.arms]
                if steps:
                    stage = f"{suite.title}, seed {index + 1} of {self.profile.seeds}"
                    yield self.make.job(suite, framework, index, stage, tuple(steps))

    def _with_all_arms(self, suite: Suite, step: Step, framework: str) -> Step:
        arms = tuple(self._arms(suite, step, framework, control=False))
        return replace(self.make.built(step, framework), arms=arms, reference=reference_of(arms, framework))

    def _metered_steps(self, suite: Suite, task: Task) -> list[Step]:
        """A whole training of the task, and answering its test inputs."""
        return [
            self.make.metered(self.make.step(task, subject=f"{task.name}/{phase}"), suite)
            for phase in METERED_OF_A_TASK
        ]

    def _by_seed(self, suite: Suite, tasks: list[Task], seeds: int) -> dict[tuple[str, int], list[Step]]:
        """The steps of each implementation and number of a seed, one a task."""
        found: dict[tuple[str, int], list[Step]] = {}
        for task in tasks:
            arms = list(self._arms(suite, self.make.step(task), None, control=False))
            for arm in arms:
                reference = reference_of(arms, framework_of(arm))
                for index in range(seeds):
                    step = self.make.built(
                        self.make.step(task, seed=self.request.seed + index), framework_of(arm)
                    )
                    step = replace(step, arms=(arm,), reference=reference)
                    found.setdefault((arm.implementation, index), []).append(step)
        return found

    def _seed_job(
        self, suite: Suite, implementation: str, index: int, steps: list[Step], seconds: float
    ) -> Job:
        stage = f"{suite.title}, seed {index + 1} of {self.profile.seeds}"
        framework = implementation.rpartition("@")[2]
        job = self.make.job(suite, framework, index, stage, tuple(steps), implementation)
        return replace(job, expected_seconds=START_SECONDS[framework] + seconds)

    def _baseline(self, task: Task) -> Step:
        arms = tuple(
            Arm(implementation=name, role="baseline", target=target)
            for name, target in task.baselines.items()
        )
        return replace(self.make.step(task), arms=arms)


def make_plan(request: Request, registry: Registry, site: Site) -> Plan:
    """The plan of a request; raises UnknownNameError for a variant, suite or task that nobody registered."""
    return Planner(request, registry, site).plan()
