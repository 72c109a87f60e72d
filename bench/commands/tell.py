"""The commands that tell and measure nothing: `list`, `report` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.exits import refuse
from bench.options import Json, Quiet, ReportFormat
from bench.registry import UnknownNameError, choose, registry

KINDS = ("variants", "peers", "suites", "tasks", "views")


def list_(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}")] = "variants",
    as_json: Json = False,
) -> None:
    """Show what can be compared, measured and reported."""
    try:
        choose("kind of list", [kind], KINDS)
    except UnknownNameError as error:
        refuse(str(error))
    from bench.tables import list_rows, print_json, print_list

    if as_json:
        print_json(list_rows(kind, registry()))
    else:
        print_list(kind, registry())


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of runs.")],
    formats: Annotated[
        list[ReportFormat] | None, typer.Option("--format", help="May be repeated; all by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder; the first run's report/ by default.")
    ] = None,
    mix: Annotated[
        bool, typer.Option("--mix-environments", help="Put runs of different machines on one page.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="RUN",
            help="An earlier run of the same environment: what changed since then.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the report of one or more runs, on their own or against an earlier one."""
    from bench.loading import load
    from bench.store import StoreError

    write: Any = load(registry().writer)
    try:
        chosen = [chosen.value for chosen in formats or list(ReportFormat)]
        views = tuple(registry().views.values())
        written = write(runs, out or runs[0] / "report", chosen, mix, views, against)
    except (StoreError, ValueError) as error:
        refuse(str(error))
    for path in written if not quiet else ():
        typer.echo(str(path))


def doctor(as_json: Json = False) -> None:
    """Say what this machine can and cannot measure, and what to do about it."""
    from bench.doctor import examine, print_findings
    from bench.tables import print_json

    findings = examine(registry())
    if as_json:
        print_json(findings)
    else:
        print_findings(findings)
