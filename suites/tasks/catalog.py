"""One row a task and profile."""

from bench.schema import Task

TASKS: dict[str, tuple[Task, ...]] = {}
