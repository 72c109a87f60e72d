"""A gate as the command line attends it: watched, written, and left with its exit code."""

from __future__ import annotations

import secrets
import shlex
import sys
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import typer

from bench.exits import INTERRUPTED, NOT_MEASURED, complain, refuse
from bench.gate.gating import LAUNCHES, GateRequest, gate
from bench.gate.kept import GATE
from bench.gate.result import GateResult
from bench.gate.sides import SideError, SideName, Source, UnknownCommitError, resolved
from bench.loading import load
from bench.measuring import now
from bench.registry import UnknownNameError, registry
from bench.request import EVERYTHING, checked
from bench.run import StoppedError
from bench.schema import Request
from bench.tables import print_json

WRITER = "reports.gate.writing:write"
SHOWN_CELLS = 20


def attend(
    request: Request,
    sources: Mapping[SideName, Source],
    *,
    margin: float,
    launches: int,
    again: bool,
    fresh: bool,
    report: Path | None,
    quiet: bool,
    as_json: bool,
) -> NoReturn:
    """Measure, write the report, show the answer, leave with the exit code."""
    try:
        commits = _with_names(sources)
        asked = GateRequest(
            request=_everything(request),
            sources=commits,
            margin=margin,
            launches=launches,
            command=shlex.join(["attnbench", *sys.argv[1:]]),
            again=again,
            fresh=fresh,
        )
        folder = report or GATE / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        result = _measured(asked, quiet=quiet or as_json)
        write: Any = load(WRITER)
        written = write(result, folder)
    except (UnknownCommitError, UnknownNameError) as error:
        refuse(str(error))
    except typer.Exit:
        raise
    except Exception:  # noqa: BLE001  whatever it was, it is told and the command ends
        # Python leaves a crash with 1, which would say that something is worse.
        traceback.print_exc()
        complain("The gate itself failed: nothing was judged.")
        raise typer.Exit(NOT_MEASURED) from None
    if as_json:
        print_json(
            {"exit_code": result.exit_code, "headline": result.headline, "files": list(map(str, written))}
        )
    elif not quiet:
        _show(result, written)
    raise typer.Exit(result.exit_code)


def _with_names(sources: Mapping[SideName, Source]) -> Mapping[SideName, Source]:
    """The sources as they are, once their commits are known to exist."""
    for source in sources.values():
        if source.commit and not source.package:
            resolved(source.commit)
    return sources


def _everything(request: Request) -> Request:
    """All of ours where nothing is named: what did not change costs nothing. Names are looked up on the
    sides, which may know others than this environment."""
    named = request.variants or (() if request.extra else (EVERYTHING,))
    ours = tuple(row.name for row in registry().variants.values() if not row.peer_of)
    spelt = (name for one in named for name in (ours if one == EVERYTHING else (one,)))
    known = checked(replace(request, variants=(), extra=()))
    return replace(known, variants=tuple(dict.fromkeys(spelt)), extra=request.extra)


def _measured(asked: GateRequest, *, quiet: bool) -> GateResult:
    def tell(line: str) -> None:
        if not quiet:
            typer.echo(f"{datetime.now():%H:%M:%S}  {line}", err=True)

    started = now()
    try:
        with tempfile.TemporaryDirectory(prefix="attnbench-gate-") as scratch:
            return gate(asked, registry(), Path(scratch), GATE / "kept", tell)
    except SideError as error:
        complain(str(error))
        return GateResult(
            titles={name: _title(source) for name, source in asked.sources.items()},
            command=asked.command,
            started_at=started,
            finished_at=now(),
            margin=asked.margin,
            launches=asked.launches or LAUNCHES[asked.request.profile],
            threads=asked.request.threads,
            cells=(),
            failure=str(error),
        )
    except (KeyboardInterrupt, StoppedError):
        typer.echo("Stopped. Measured times are kept; the same command goes on with them.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _title(source: Source) -> str:
    return source.package or source.commit or "working tree"


def _show(result: GateResult, written: list[Path]) -> None:
    typer.echo(result.headline + (f": {result.failure}" if result.failure else "."))
    told: Any = load("reports.gate.writing:lines")
    for line in told(result, SHOWN_CELLS):
        typer.echo(line)
    typer.echo(f"Report: {written[0]}  (exit code {result.exit_code})")
