"""What runs now and how long it will take: a bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.schema import Job


def spoken(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Estimate:
    """Time left: planned seconds, corrected by how the jobs of each suite have compared so far."""

    def __init__(self, jobs: tuple[Job, ...]) -> None:
        self._left = {job.id: job for job in jobs}
        self._taken: dict[str, tuple[float, float]] = {}
        self._started: dict[str, float] = {}

    def begin(self, job: Job) -> None:
        self._started[job.id] = time.monotonic()

    def end(self, job: Job) -> None:
        taken = time.monotonic() - self._started.pop(job.id, time.monotonic())
        planned, real = self._taken.get(job.suite, (0.0, 0.0))
        self._taken[job.suite] = (planned + job.expected_seconds, real + taken)
        self._left.pop(job.id, None)

    def seconds(self, side_by_side: int) -> float:
        total = 0.0
        for job in self._left.values():
            planned, real = self._taken.get(job.suite, (1.0, 1.0))
            total += job.expected_seconds * real / planned / (1 if job.exclusive else side_by_side)
        return total


class Silent:
    """For ``--quiet`` and ``--json``."""

    def stage(self, title: str, jobs: int) -> None:
        """Say nothing."""

    def begin(self, job: Job) -> None:
        """Say nothing."""

    def end(self, job: Job) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""


class Lines:
    """A line a stage, for logs and pipes."""

    def __init__(self, console: Console, jobs: tuple[Job, ...], side_by_side: int) -> None:
        self._console = console
        self._estimate = Estimate(jobs)
        self._side_by_side = side_by_side
        self._guard = threading.Lock()

    def stage(self, title: str, jobs: int) -> None:
        left = spoken(self._estimate.seconds(self._side_by_side))
        noun = "process" if jobs == 1 else "processes"
        self._console.print(
            f"{time.strftime('%H:%M:%S')}  {title}: {jobs} {noun}; about {left} left", markup=False
        )

    def begin(self, job: Job) -> None:
        with self._guard:
            self._estimate.begin(job)

    def end(self, job: Job) -> None:
        with self._guard:
            self._estimate.end(job)

    def close(self) -> None:
        """Nothing to take down."""


class Bar:
    """One bar for the run, with what runs now and the time left; redrawn when a job begins or ends, so
    that drawing takes nothing from a measurement."""

    def __init__(self, console: Console, jobs: tuple[Job, ...], side_by_side: int) -> None:
        self._estimate = Estimate(jobs)
        self._side_by_side = side_by_side
        self._guard = threading.Lock()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task: TaskID = self._progress.add_task("", total=len(jobs), left="")
        self._title = ""
        self._progress.start()

    def stage(self, title: str, jobs: int) -> None:
        self._title = title

    def begin(self, job: Job) -> None:
        with self._guard:
            self._estimate.begin(job)
            self._show(job, 0)

    def end(self, job: Job) -> None:
        with self._guard:
            self._estimate.end(job)
            self._show(job, 1)

    def _show(self, job: Job, advance: int) -> None:
        from rich.markup import escape

        left = f"about {spoken(self._estimate.seconds(self._side_by_side))} left"
        what = escape(f"{self._title} · {job.framework}"[:48])
        self._progress.update(self._task, description=what, advance=advance, left=left, refresh=True)

    def close(self) -> None:
        self._progress.stop()
