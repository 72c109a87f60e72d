"""This machine: exclusive jobs one after the other, the rest as many side by side as were asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from bench.environment import capture, memory_available
from bench.executors.protocol import LOCAL
from bench.launch import Launcher
from bench.schema import Environment, Job


class Local(Launcher):
    """The launcher as an executor: every job belongs where it was planned."""

    name = LOCAL

    @property
    def cores(self) -> int:
        """This machine's processors."""
        return os.cpu_count() or 1

    @property
    def memory_bytes(self) -> int:
        """Bytes that a worker may take now."""
        return memory_available()

    def environments(self, threads: int) -> tuple[Environment, ...]:
        """This process's, and no other."""
        return (capture(threads=threads, backend=os.environ.get("KERAS_BACKEND", "tensorflow")),)

    def remember(
        self, environments: Mapping[str, Environment], measured: Iterable[tuple[str, bool, str]]
    ) -> None:
        """There is nothing to choose from."""

    def environment_id(self, framework: str, exclusive: bool, planned: str) -> str:
        """The plan's: it was made here."""
        return planned

    def lanes(self, jobs: Sequence[Job], side_by_side: int) -> tuple[int, list[list[Job]]]:
        """One lane for what needs the machine to itself, a lane a job otherwise."""
        exclusive = any(job.exclusive for job in jobs)
        return 1 if exclusive else side_by_side, [[job] for job in jobs]

    def close(self) -> None:
        """Nothing is kept open."""
