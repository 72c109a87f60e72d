"""Tasks as the user changes them, ``--set TASK.SETTING=VALUE``: whatever a task's own file says it reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bench.exits import refuse
from bench.schema import Option, Request, Task

PATHS = ("file", "folder", "data")
"""Settings that name something on disk: made absolute, since workers need not run where they were typed."""


def spelt_out(asked: Iterable[str], tasks: tuple[str, ...]) -> tuple[str, ...]:
    """What was typed, with absolute paths; leaves with what is wrong: no task, no value, a task that is not
    measured, a path where nothing is."""
    return tuple(_spelt_out(text, tasks) for text in asked)


def _spelt_out(text: str, tasks: tuple[str, ...]) -> str:
    name, equals, value = text.partition("=")
    task, dot, setting = name.partition(".")
    if not (equals and dot and task and setting.isidentifier()):
        refuse(f"--set takes TASK.SETTING=VALUE, got {text!r}")
    if task not in tasks:
        refuse(f"--set {text}: name the task too, with --task {task}")
    if setting in PATHS:
        path = Path(value).expanduser().resolve()
        if not path.exists():
            refuse(f"--set {text}: there is no file or folder {value}")
        value = str(path)
    return f"{task}.{setting}={value}"


def changed(task: Task, request: Request) -> Task:
    """The task with the settings that the request changes; its rows say which."""
    mine = [text.partition(".")[2] for text in request.settings if text.partition(".")[0] == task.name]
    if not mine:
        return task
    values = {name: _value(value) for name, _, value in (text.partition("=") for text in mine)}
    return replace(task, settings={**task.settings, **values}, changed="; ".join(mine))


def _value(text: str) -> Option:
    """A number or a truth value where it reads as one, otherwise the text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
