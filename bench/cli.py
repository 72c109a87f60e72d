"""The command line. Answers `list` and `--help` without importing a framework, pandas or SciPy."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bench import wire
from bench.candidates import ADMITTING
from bench.options import (
    Causal,
    Device,
    Dtype,
    Extra,
    Jobs,
    Json,
    Lengths,
    ModelNames,
    Normalisation,
    On,
    Out,
    Peers,
    PhaseNames,
    Positions,
    ProfileOption,
    Quiet,
    ReportFormat,
    Seed,
    SuiteNames,
    TaskNames,
    Threads,
    Variants,
)
from bench.profiles import PROFILES
from bench.registry import UnknownNameError, choose, registry
from bench.schema import DTYPES, NORMALISATIONS, PHASES, POSITIONS, Plan, Request

DONE, WRONG_USAGE, NOT_MEASURED, INTERRUPTED = 0, 2, 3, 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Compare attention variants: how fast, how much memory, how accurate, and how we know.",
)


KINDS = ("variants", "peers", "suites", "tasks", "views")


def main() -> None:
    """Entry point of the `attnbench` command."""
    app()


def _refuse(message: str) -> NoReturn:
    typer.echo(f"attnbench: {message}", err=True)
    raise typer.Exit(WRONG_USAGE)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _lengths(text: str) -> tuple[int, ...]:
    try:
        lengths = tuple(sorted({int(part) for part in _split(text)}))
    except ValueError:
        _refuse(f"--lengths takes whole numbers separated by commas, got {text!r}")
    if lengths and lengths[0] < 1:
        _refuse(f"--lengths must be at least 1, got {lengths[0]}")
    return lengths


def _request(
    variants: Iterable[str] | None,
    extra: Iterable[str] | None,
    on: str,
    suites: Iterable[str] | None,
    tasks: Iterable[str] | None,
    profile: str,
    lengths: str,
    seed: int,
    device: str,
    threads: int,
    jobs: int,
    peers: bool = False,
    causal: bool = False,
    dtype: str = "",
    positions: str = "",
    normalisation: str = "",
    phases: Iterable[str] | None = None,
    models: Iterable[str] | None = None,
) -> Request:
    known = registry()
    try:
        return Request(
            variants=tuple(choose("variant", variants or (), known.variants)),
            extra=tuple(extra or ()),
            frameworks=tuple(choose("framework", _split(on), {"torch": 0, "keras": 0})),
            suites=tuple(choose("suite", suites or (), known.suites)),
            tasks=tuple(choose("task", tasks or (), known.tasks)),
            phases=tuple(choose("phase", phases or (), dict.fromkeys(PHASES))),
            models=tuple(choose("model", models or (), known.architectures)),
            lengths=_lengths(lengths),
            profile=choose("profile", [profile], PROFILES)[0],
            seed=seed,
            device=device,
            threads=threads or os.cpu_count() or 1,
            jobs=jobs or os.cpu_count() or 1,
            peers=peers,
            causal=causal,
            dtype=_one("dtype", dtype, DTYPES),
            positions=_one("positions", positions, POSITIONS),
            normalisation=_one("normalisation", normalisation, NORMALISATIONS),
        )
    except UnknownNameError as error:
        _refuse(str(error))


def _one(kind: str, asked: str, known: Iterable[str]) -> str:
    """The asked name, or none; raises UnknownNameError."""
    return choose(kind, [asked], dict.fromkeys(known))[0] if asked else ""


def _console(quiet: bool) -> Any:
    from rich.console import Console

    return Console(stderr=True, quiet=quiet, highlight=False)


def _carry_out(path: Path, *, quiet: bool, as_json: bool, report: bool) -> None:
    """Measure, show, and leave with the exit code that says how it went."""
    _measure(path, quiet=quiet or as_json, report=report)
    _conclude(path, quiet=quiet, as_json=as_json, report=report)


def _measure(path: Path, *, quiet: bool, report: bool) -> int:
    """Measure what is missing in the run; how many rows could not be."""
    from bench.progress import Bar, Lines, Silent
    from bench.session import ReportFailedError, Session, StoppedError, unmeasured
    from bench.store import StoreError

    console = _console(quiet)

    def watch(plan: Plan, jobs: int) -> Any:
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
        _refuse(str(error))
    except ReportFailedError as error:
        typer.echo(f"attnbench: {error}", err=True)
        raise typer.Exit(1) from None
    return len(unmeasured(path))


def _conclude(path: Path, *, quiet: bool, as_json: bool, report: bool) -> None:
    from bench.session import unmeasured

    missing = unmeasured(path)
    code = NOT_MEASURED if missing else DONE
    page = path / "report" / "index.html"
    told: dict[str, Any] = {}
    if report:
        told = wire.decode((path / "report" / "report.json").read_bytes(), dict[str, Any])
        told["page"] = str(page)
    told |= {"path": str(path), "exit_code": code, "unmeasured": len(missing)}
    if as_json:
        typer.echo(wire.pretty(told).decode(), nl=False)
    elif not quiet:
        _show(told, page if report else None, path)
    raise typer.Exit(code)


def _show(told: dict[str, Any], page: Path | None, path: Path) -> None:
    from rich.console import Console

    from bench.tables import print_summary

    if page is None:
        typer.echo(f"Measured: {path}\nReport it with: attnbench report {shlex.quote(str(path))}")
    else:
        print_summary(Console(highlight=False), told, str(page))


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}")] = "variants",
    as_json: Json = False,
) -> None:
    """Show what can be compared, measured and reported."""
    try:
        choose("kind of list", [kind], dict.fromkeys(KINDS))
    except UnknownNameError as error:
        _refuse(str(error))
    if as_json:
        from bench.tables import list_rows

        typer.echo(wire.pretty(list_rows(kind, registry())).decode(), nl=False)
        return
    from rich.console import Console

    from bench.tables import list_table

    console = Console(highlight=False)
    console.print(list_table(kind, registry(), console.width))


def _measuring(*, report: bool) -> Callable[..., None]:
    """The command that measures: with a report it is `compare`, without one `run`."""

    def command(
        variants: Variants = None,
        extra: Extra = None,
        on: On = "torch,keras",
        suite: SuiteNames = None,
        task: TaskNames = None,
        phase: PhaseNames = None,
        model: ModelNames = None,
        profile: ProfileOption = "quick",
        lengths: Lengths = "",
        seed: Seed = 0,
        device: Device = "cpu",
        threads: Threads = 0,
        jobs: Jobs = 0,
        peers: Peers = False,
        causal: Causal = False,
        dtype: Dtype = "",
        positions: Positions = "",
        normalisation: Normalisation = "",
        out: Out = None,
        quiet: Quiet = False,
        as_json: Json = False,
    ) -> None:
        request = _request(
            variants,
            extra,
            on,
            suite,
            task,
            profile,
            lengths,
            seed,
            device,
            threads,
            jobs,
            peers,
            causal,
            dtype,
            positions,
            normalisation,
            phase,
            model,
        )
        _start(request, out, quiet=quiet, as_json=as_json, report=report)

    return command


app.command("compare", help="Measure variants against softmax, write the report, print the verdicts.")(
    _measuring(report=True)
)
app.command("run", help="Measure only; report later.")(_measuring(report=False))


def _start(request: Request, out: Path | None, *, quiet: bool, as_json: bool, report: bool) -> None:
    from bench.session import create, new_folder
    from bench.store import StoreError

    path = out or new_folder(request.profile)
    command = shlex.join(["attnbench", *sys.argv[1:]])
    try:
        create(request, path, command)
    except (UnknownNameError, StoreError) as error:
        _refuse(str(error))
    _carry_out(path, quiet=quiet, as_json=as_json, report=report)


@app.command()
def certify(
    variants: Variants = None,
    extra: Extra = None,
    on: On = "torch,keras",
    peers: Peers = False,
    jobs: Jobs = 0,
    out: Out = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Prove that variants are what their names say; exit code 1 when a property fails."""
    from bench.certify import FAILED, certificates, print_certificates
    from bench.session import create, new_folder
    from bench.store import StoreError

    request = _request(variants, extra, on, [ADMITTING], None, "quick", "", 0, "cpu", 1, jobs, peers)
    path = out or new_folder(ADMITTING)
    try:
        create(request, path, shlex.join(["attnbench", *sys.argv[1:]]))
    except (UnknownNameError, StoreError) as error:
        _refuse(str(error))
    missing = _measure(path, quiet=quiet or as_json, report=False)
    found = certificates(path)
    if as_json:
        told = {"path": str(path), "certificates": found}
        typer.echo(wire.pretty(told).decode(), nl=False)
    elif not quiet:
        from rich.console import Console

        print_certificates(Console(highlight=False), found)
    refuted = any(certificate["failed"] for certificate in found)
    raise typer.Exit(FAILED if refuted else NOT_MEASURED if missing else DONE)


@app.command()
def resume(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")],
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Go on with a run where it stopped."""
    from bench.store import StoreError, read_manifest

    try:
        read_manifest(path)
    except StoreError as error:
        _refuse(str(error))
    _carry_out(path, quiet=quiet, as_json=as_json, report=True)


@app.command()
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
    quiet: Quiet = False,
) -> None:
    """Write the report of one or more runs."""
    from bench.loading import load
    from bench.store import StoreError

    write: Any = load(registry().writer)
    try:
        chosen = [chosen.value for chosen in formats or list(ReportFormat)]
        views = tuple(registry().views.values())
        written = write(runs, out or runs[0] / "report", chosen, mix, views)
    except (StoreError, ValueError) as error:
        _refuse(str(error))
    for path in written if not quiet else ():
        typer.echo(str(path))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine can and cannot measure, and what to do about it."""
    from bench.doctor import examine, print_findings

    findings = examine(registry())
    if as_json:
        typer.echo(wire.pretty(findings).decode(), nl=False)
    else:
        print_findings(findings)


if __name__ == "__main__":
    main()
