"""Carries out a plan: job after job, every answer on disk before the next, faults laid where they belong."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import Protocol

from bench.decisions import decided
from bench.executors.protocol import Executor
from bench.launch import Outcome, without
from bench.limits import limit_reached
from bench.measuring import failure
from bench.profiles import PROFILES
from bench.schema import Arm, Job, Measurement, Step
from bench.store import WEIGHTS, Record, Store
from bench.worker import Answer

MOST_STARTS = 2
MOST_LOSSES = 2
REFUSALS = "plan"


class StoppedError(Exception):
    """The run was stopped from outside; what was measured is on disk."""


class Watcher(Protocol):
    """Is told what runs now; a terminal shows it, a script ignores it."""

    def stage(self, title: str, jobs: int) -> None:
        """A stage with so many jobs begins."""

    def begin(self, job: Job) -> None:
        """The job begins."""

    def end(self, job: Job) -> None:
        """The job is on disk (or needed no measuring)."""


class Runner:
    """One run from its plan to its last line."""

    def __init__(
        self, store: Store, executor: Executor, watcher: Watcher, after_stage: Callable[[], None], jobs: int
    ) -> None:
        self.store = store
        self.executor = executor
        self.watcher = watcher
        self.after_stage = after_stage
        self.jobs = jobs
        self.profile = PROFILES[store.manifest["profile"]]
        self._guard = threading.Lock()

    def run(self) -> None:
        """Measure all that the store does not hold yet; raises StoppedError after `Executor.stop`."""
        plan = self.store.plan()
        self._record(REFUSALS, REFUSALS, self._new_refusals(plan.refusals))
        stages = [
            (title, list(jobs)) for title, jobs in itertools.groupby(plan.jobs, key=lambda job: job.stage)
        ]
        for number, (title, jobs) in enumerate(stages, 1):
            before = len(self.store.records)
            self.watcher.stage(title, len(jobs))
            for _, some in itertools.groupby(jobs, key=lambda job: job.exclusive):
                self._side_by_side(*self.executor.lanes(list(some), self.jobs))
            if len(self.store.records) > before and number < len(stages):
                self.after_stage()

    def _new_refusals(self, refusals: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
        if any(record.job == REFUSALS for record in self.store.records):
            return ()
        return tuple(
            replace(m, environment_id=self.executor.environment_id(_framework(m), True, m.environment_id))
            for m in refusals
        )

    def _side_by_side(self, width: int, lanes: list[list[Job]]) -> None:
        if width == 1:
            for lane in lanes:
                self._lane(lane)
            return
        with ThreadPoolExecutor(max_workers=width) as pool:
            futures = [pool.submit(self._lane, lane) for lane in lanes]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future.done() and not future.cancelled():
                        future.result()
            except BaseException:
                self.executor.stop()
                raise
            finally:
                pool.shutdown(cancel_futures=True)

    def _lane(self, jobs: list[Job]) -> None:
        for job in jobs:
            if self.executor.stopped:
                raise StoppedError
            self.watcher.begin(job)
            self._carry_out(job)
            self.watcher.end(job)

    def _carry_out(self, job: Job) -> None:
        """Launch until every arm has its row: after a crash without the arm that caused it, after the loss
        of a machine once more."""
        starts = losses = 0
        forgiven: set[tuple[str, str]] = set()
        # Pruned anew each time: what ended one arm's worker may rule out its longer work too.
        while (todo := self._left(job)).steps:
            placed = replace(todo, folder=str((self.store.path / WEIGHTS).resolve()))
            outcome = self.executor.run(placed, partial(self._answer, todo))
            if outcome.ending == "stopped":
                raise StoppedError
            if outcome.ending in ("done", "moved"):
                continue
            if outcome.ending in ("lost", "no_room"):
                losses += 1
                if outcome.ending == "no_room" or losses >= MOST_LOSSES:
                    self._fail(todo, todo.steps, None, outcome)
                continue
            if outcome.step < 0:
                starts += 1
                if starts >= MOST_STARTS:
                    self._fail(todo, todo.steps, None, outcome)
                continue
            step = todo.steps[outcome.step]
            arm = step.arms[outcome.arm] if outcome.arm >= 0 else None
            # Somebody else's kill or a full machine: a second death in the same place is the arm's own.
            blamed = (step.key, arm.implementation if arm else "")
            if outcome.ending == "killed" and outcome.code == -9 and blamed not in forgiven:
                forgiven.add(blamed)
                continue
            self._fail(todo, (step,), arm, outcome)

    def _left(self, job: Job) -> Job:
        """What is left of the job, filed where it would be done now."""
        here = self.executor.environment_id(job.framework, job.exclusive, job.environment_id)
        job = replace(job, environment_id=here)
        return without(self._pruned(job), self._done(job))

    def _fail(self, job: Job, steps: Iterable[Step], arm: Arm | None, outcome: Outcome) -> None:
        cause = {"timed_out": "time", "lost": "machine", "no_room": "machine"}.get(outcome.ending, "crash")
        for step in steps:
            arms = step.arms if arm is None else (arm,)
            done = self._done(job)
            missing = [a for a in arms if (step.key, a.implementation, a.role) not in done]
            self._record(
                job.id, step.key, [failure(job, step, a, outcome.reason, cause=cause) for a in missing]
            )

    def _answer(self, job: Job, answer: Answer) -> None:
        step = next(step for step in job.steps if step.key == answer.step)
        told = {(m.implementation, m.role) for m in answer.measurements}
        silent = [arm for arm in step.arms if (arm.implementation, arm.role) not in told]
        rows = [
            failure(job, step, arm, f"the suite {job.suite} gave no answer for this arm") for arm in silent
        ]
        self._record(job.id, answer.step, (*answer.measurements, *rows))

    def _record(self, job: str, step: str, measurements: Iterable[Measurement]) -> None:
        rows = tuple(measurements)
        if rows:
            with self._guard:
                self.store.append(Record(job=job, step=step, measurements=rows))

    def _measurements(self) -> list[Measurement]:
        with self._guard:
            return [m for record in self.store.records for m in record.measurements]

    def _done(self, job: Job) -> set[tuple[str, str, str]]:
        with self._guard:
            records = [record for record in self.store.records if record.job == job.id]
        return {(record.step, m.implementation, m.role) for record in records for m in record.measurements}

    def _pruned(self, job: Job) -> Job:
        """The job without what is barred, past its limit, or already decided; first launches get a row
        that says so."""
        measurements = self._measurements()
        barred = {
            m.implementation: m.reason for m in measurements if "bars" in m.details and m.status != "ok"
        }
        steps: list[Step] = []
        for step in job.steps:
            if job.launch > 0 and self._skips(measurements, job, step):
                continue
            kept: list[Arm] = []
            for arm in step.arms:
                reason, cause = self._hindrance(measurements, barred, job, step, arm)
                if not reason:
                    kept.append(arm)
                elif job.launch == 0 and (step.key, arm.implementation, arm.role) not in self._done(job):
                    self._record(job.id, step.key, [failure(job, step, arm, reason, cause=cause)])
            steps.append(replace(step, arms=tuple(kept)))
        working = [step for step in steps if any(arm.role != "yardstick" for arm in step.arms)]
        return replace(job, steps=tuple(step for step in steps if step.arms) if working else ())

    def _skips(self, measurements: list[Measurement], job: Job, step: Step) -> bool:
        interleaved = any(arm.role == "reference" for arm in step.arms) and step.workload is not None
        return interleaved and len(step.arms) > 1 and decided(measurements, job, step, self.profile)

    def _hindrance(
        self, measurements: list[Measurement], barred: dict[str, str], job: Job, step: Step, arm: Arm
    ) -> tuple[str, str]:
        if job.bars or arm.role in ("yardstick", "baseline"):
            return "", ""
        if arm.implementation in barred:
            return f"not measured, the certificate failed: {barred[arm.implementation]}", "certificate"
        for m in _failures(measurements, job, arm) if step.workload else ():
            if m.subject == step.subject and m.launch < job.launch:
                return f"failed in launch {m.launch}: {m.reason}", "earlier"
            if limit := limit_reached(m, step):
                return limit, "beyond"
        return "", ""


def _failures(measurements: list[Measurement], job: Job, arm: Arm) -> Iterator[Measurement]:
    return (
        m
        for m in measurements
        if m.suite == job.suite
        and m.implementation == arm.implementation
        and m.status == "failed"
        and m.environment_id == job.environment_id
    )


def _framework(m: Measurement) -> str:
    return m.implementation.rpartition("@")[2]
