"""What a request means of what is registered: its suites, their workloads and their tasks."""

from __future__ import annotations

from dataclasses import dataclass

from bench.own_data import given
from bench.profiles import PROFILES
from bench.registry import Registry, choose
from bench.schema import Profile, Request, Suite, Task, Workload
from bench.shaping import asked_for, shaped
from bench.task_settings import changed


@dataclass(frozen=True, slots=True)
class Selection:
    """One request against one registry."""

    request: Request
    registry: Registry

    @property
    def profile(self) -> Profile:
        """How much evidence is asked for."""
        return PROFILES[self.request.profile]

    def suites(self) -> list[Suite]:
        """The suites that were named or are meant, and those that they stand on."""
        suites = self.registry.suites
        named = choose("suite", self.request.suites, suites)
        asked = named or [name for name, suite in suites.items() if self.profile.name in suite.unnamed]
        if self.request.tasks and not named:
            asked = [name for name in asked if suites[name].tasks]
        asked += [name for name, suite in suites.items() if suite.accompanies in asked]
        asked += [suites[name].trained_by for name in asked]
        return [suite for name, suite in suites.items() if suite.admits or name in asked]

    def workloads(self, suite: Suite) -> tuple[Workload, ...]:
        """The suite's made-up work in the profile, or of the phases and models asked for, as it is asked."""
        workloads = suite.workloads.get(self.profile.name, ())
        if suite.admits:
            return workloads
        if self._looks_further(suite, workloads):
            workloads = tuple({w.name: w for all_ in suite.workloads.values() for w in all_}.values())
        return shaped((w for w in workloads if asked_for(w, self.request)), self.request)

    def _looks_further(self, suite: Suite, workloads: tuple[Workload, ...]) -> bool:
        """Whether phases and models are looked for in all profiles; where a workload costs minutes, only if
        the profile has none of them."""
        if not (self.request.phases or self.request.models):
            return False
        return not (suite.windows and any(asked_for(w, self.request) for w in workloads))

    def tasks(self, suite: Suite) -> list[Task]:
        """What the profile measures, or what is named, in whatever profile it has a row; for a suite on
        trained weights those of its modalities, and if it meters all that are named."""
        if not suite.trained_by:
            return self._own_tasks(suite)
        named = self.request.tasks if suite.windows else ()
        trained = self._own_tasks(self.registry.suites[suite.trained_by])
        return [task for task in trained if task.modality in suite.modalities or task.name in named]

    def _own_tasks(self, suite: Suite) -> list[Task]:
        here = {task.name: task for task in suite.tasks.get(self.profile.name, ())}
        named = choose("task", self.request.tasks, self.registry.tasks)
        if not named:
            return [task for task in here.values() if task.default and not task.own_data]
        anywhere = {task.name: task for tasks in suite.tasks.values() for task in tasks} | here
        chosen = [anywhere[name] for name in named if name in anywhere]
        able = [given(task, self.request) for task in chosen if self.request.data or not task.own_data]
        return [changed(task, self.request) for task in able]
