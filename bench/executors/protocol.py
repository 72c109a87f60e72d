"""What carries out jobs, as a run sees it; opened by name, so that nothing of Ray is imported unasked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from bench.launch import Outcome
from bench.schema import Environment, Job
from bench.worker import Answer

LOCAL, RAY = "local", "ray"
EXECUTORS = (LOCAL, RAY)


class ExecutorError(Exception):
    """Jobs cannot be carried out any more, or not at all; what was measured is on disk."""


class Executor(Protocol):
    """Carries out jobs, several at once from several threads, and can stop all of them."""

    name: str
    stopped: bool

    @property
    def cores(self) -> int:
        """Processors of the machine, of the smallest one where there are several."""

    @property
    def memory_bytes(self) -> int:
        """Bytes that a worker may take there."""

    def environments(self, threads: int) -> tuple[Environment, ...]:
        """Where jobs of so many threads will be measured, captured there; the first is the run's own."""

    def remember(
        self, environments: Mapping[str, Environment], measured: Iterable[tuple[str, bool, str]]
    ) -> None:
        """Take up a run that was begun: its environments by id, and of what was measured, in its order, the
        framework, whether its suite is exclusive, and the environment's id."""

    def environment_id(self, framework: str, exclusive: bool, planned: str) -> str:
        """In which environment a framework's next job belongs; `planned` is the plan's."""

    def lanes(self, jobs: Sequence[Job], side_by_side: int) -> tuple[int, list[list[Job]]]:
        """How many lanes run at once, and the jobs in lanes; a lane's jobs run one after the other. The jobs
        are all exclusive or none is; `side_by_side` is what the user asked for."""

    def run(self, job: Job, on_answer: Callable[[Answer], None]) -> Outcome:
        """Carry out the job in a fresh process and hand over each step's answer as it comes. Trained weights
        are read from and brought to `job.folder`. Raises ExecutorError where nothing is left to work on."""

    def stop(self) -> None:
        """End every job; their `run` calls answer `stopped`."""

    def close(self) -> None:
        """The run is over."""


@contextmanager
def opened(name: str, address: str = "") -> Iterator[Executor]:
    """The executor of that name; raises ExecutorError where it is not installed or cannot be reached."""
    executor = _open(name, address)
    try:
        yield executor
    finally:
        executor.close()


def _open(name: str, address: str) -> Executor:
    if name == LOCAL:
        if address:
            raise ExecutorError("--address names a Ray cluster: give --executor ray with it")
        from bench.executors.local import Local

        return Local()
    if name != RAY:
        raise ExecutorError(f"there is no executor {name!r}; there are {' and '.join(EXECUTORS)}")
    try:
        # By name, so that neither a reader nor import-linter finds Ray among what this project imports.
        on_ray: Any = importlib.import_module("bench.executors.on_ray")
    except ImportError as error:
        raise ExecutorError(f"--executor ray needs Ray: pip install 'attnbench[ray]' ({error})") from error
    executor: Executor = on_ray.open_cluster(address)
    return executor
