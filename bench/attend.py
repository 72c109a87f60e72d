"""A run as the command line attends it: begun or gone on with, watched, told of, left with an exit code.

It brings in all that measures, so commands import it only once they are called.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console

from bench import wire
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


def begin(asked: Request, out: Path | None, name: str) -> Path:
    """Plan what was asked for in the folder `out`, or in a new one called after `name`."""
    path = out or new_folder(name)
    try:
        create(checked(asked), path, shlex.join(["attnbench", *sys.argv[1:]]))
    except (UnknownNameError, StoreError) as error:
        refuse(str(error))
    return path


def carry_out(path: Path, *, quiet: bool, as_json: bool, report: bool) -> NoReturn:
    """Measure, show, and leave with the exit code that says how it went."""
    missing = measure(path, quiet=quiet or as_json, report=report)
    code = NOT_MEASURED if missing else DONE
    told = _told(path, report=report) | {"path": str(path), "exit_code": code, "unmeasured": missing}
    if as_json:
        print_json(told)
    elif not quiet:
        _show(path, told, report=report)
    raise typer.Exit(code)


def measure(path: Path, *, quiet: bool, report: bool) -> int:
    """Measure what is missing in the run; how many rows could not be."""
    console = Console(stderr=True, quiet=quiet, highlight=False)

    def watch(plan: Plan, jobs: int) -> ClosingWatcher:
        if quiet:
            return Silent()
        return (Bar if console.is_terminal else Lines)(console, plan.jobs, jobs)

    try:
        Session(path, watch, report).go_on()
    except StoppedError:
        typer.echo(
            f"Stopped. What was measured is kept; go on with: attnbench resume {shlex.quote(str(path))}",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
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
