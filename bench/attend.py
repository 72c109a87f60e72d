"""A run as the command line attends it: begun or gone on with, watched, told of, left with an exit code.

It brings in all that measures, so commands import it only once they are called.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console

from bench import wire
from bench.executors.protocol import Executor, ExecutorError, opened
from bench.exits import DONE, FAILED, INTERRUPTED, NOT_MEASURED, complain, refuse
from bench.progress import Bar, Lines, Silent
from bench.registry import UnknownNameError
from bench.request import checked
from bench.schema import Plan, Request
from bench.session import (
    ClosingWatcher,
    ReportFailedError,
    Session,
    StoppedError,
    create,
    new_folder,
    unmeasured,
)
from bench.store import StoreError
from bench.tables import print_json, print_summary


@contextmanager
def executing(name: str, address: str = "") -> Iterator[Executor]:
    """What carries out the jobs; leaves with a message where it cannot."""
    try:
        with opened(name, address) as executor:
            yield executor
    except ExecutorError as error:
        refuse(str(error))


def begin(asked: Request, out: Path | None, name: str, executor: Executor) -> Path:
    """Plan what was asked for in the folder `out`, or in a new one called after `name`."""
    path = out or new_folder(name)
    try:
        command = shlex.join(["attnbench", *sys.argv[1:]])
        create(checked(asked, executor.cores), path, command, executor)
    except (UnknownNameError, StoreError) as error:
        refuse(str(error))
    return path


def carry_out(path: Path, executor: Executor, *, quiet: bool, as_json: bool, report: bool) -> NoReturn:
    """Measure, show, and leave with the exit code that says how it went."""
    missing = measure(path, executor, quiet=quiet or as_json, report=report)
    code = NOT_MEASURED if missing else DONE
    told = _told(path, report=report) | {"path": str(path), "exit_code": code, "unmeasured": missing}
    if as_json:
        print_json(told)
    elif not quiet:
        _show(path, told, report=report)
    raise typer.Exit(code)


def measure(path: Path, executor: Executor, *, quiet: bool, report: bool) -> int:
    """Measure what is missing in the run; how many rows could not be."""
    console = Console(stderr=True, quiet=quiet, highlight=False)

    def watch(plan: Plan, jobs: int) -> ClosingWatcher:
        if quiet:
            return Silent()
        return (Bar if console.is_terminal else Lines)(console, plan.jobs, jobs)

    try:
        # What carries the jobs may have something to say; standard output is for the result.
        with redirect_stdout(sys.stderr):
            Session(path, watch, report, executor).go_on()
    except StoppedError:
        typer.echo(
            f"Stopped. What was measured is kept; go on with: attnbench resume {shlex.quote(str(path))}",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    except ExecutorError as error:
        complain(f"{error}. What was measured is kept; go on with: attnbench resume {shlex.quote(str(path))}")
        raise typer.Exit(NOT_MEASURED) from None
    except StoreError as error:
        refuse(str(error))
    except ReportFailedError as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None
    return len(unmeasured(path))


def _told(path: Path, *, report: bool) -> dict[str, Any]:
    """What the report says, as data; nothing without a report."""
    if not report:
        return {}
    told = wire.decode((path / "report" / "report.json").read_bytes(), dict[str, Any])
    return told | {"page": str(_page(path))}


def _show(path: Path, told: dict[str, Any], *, report: bool) -> None:
    if report:
        print_summary(Console(highlight=False), told, str(_page(path)))
    else:
        typer.echo(f"Measured: {path}\nReport it with: attnbench report {shlex.quote(str(path))}")


def _page(path: Path) -> Path:
    return path / "report" / "index.html"
