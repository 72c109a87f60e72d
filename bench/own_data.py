"""The user's own data: the file of ``--data``, checked before anything starts, for the tasks that read it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from bench.exits import refuse
from bench.loading import load
from bench.registry import Registry
from bench.schema import Request, Task


def with_own_data(request: Request, known: Registry) -> Request:
    """The request with its file's absolute path and hash.

    Leaves with what is wrong: a file without a task that reads one or the other way round, a file that is
    not there, or one that its task cannot use.
    """
    reading = [known.tasks[name] for name in request.tasks if known.tasks[name].own_data]
    if not request.data:
        if reading:
            refuse(f"--task {reading[0].name} reads a file of yours: name it with --data FILE")
        return request
    if not reading:
        names = " or ".join(f"--task {task.name}" for task in known.tasks.values() if task.own_data)
        refuse(f"--data is read by {names} only: name the task too")
    path = Path(request.data).expanduser().resolve()
    if not path.is_file():
        refuse(f"there is no file {request.data}" + (": it is a folder" if path.is_dir() else ""))
    try:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        refuse(f"{request.data} cannot be read: {error.strerror}")
    request = replace(request, data=str(path), data_sha256=sha256)
    for task in reading:
        check = cast(Callable[[Task], str], load(task.own_data))
        if wrong := check(given(task, request)):
            refuse(wrong)
    return request


def given(task: Task, request: Request) -> Task:
    """The task, told of the request's file where it reads one."""
    if not task.own_data:
        return task
    told = {"data": request.data, "data_sha256": request.data_sha256}
    return replace(task, settings={**task.settings, **told})
