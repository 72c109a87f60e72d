"""`attnbench history`: what changed from night to night, over the runs on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.exits import refuse
from bench.options import Json, Quiet

RUNS = Path("results/runs")
OUT = Path("results/history")


def history(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN…]", help=f"Folders of runs, or of many; {RUNS} by default."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Only this; may be repeated. All that rank variants by default."),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", help="Only this, or variant@framework; may be repeated."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the page.")] = OUT,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Find the steps in nightly runs, name their commits, and draw the series."""
    from bench.loading import load
    from bench.registry import UnknownNameError, registry
    from bench.store import StoreError
    from bench.tables import print_json

    write: Any = load(registry().history)
    try:
        found = write(runs or [RUNS], out, metric or (), variant or ())
    except (StoreError, UnknownNameError) as error:
        refuse(str(error))
    if as_json:
        print_json(found)
    elif not quiet:
        _print(found)


def _print(found: Mapping[str, Any]) -> None:
    from rich.console import Console

    from bench.tables import changes_table

    console = Console(highlight=False)
    if found["changes"]:
        console.print(changes_table(found["changes"]))
    for environment in found["environments"]:
        console.print(f"Environment since {environment['since'][:10]}: {environment['what']}", markup=False)
    console.print(
        f"{found['nights']:,} nights, {found['series']:,} series, {found['quiet']:,} of them quiet.",
        markup=False,
    )
    console.print(f"Page: {found['page']}", markup=False, soft_wrap=True)
