"""The command `audit`: what training or serving a model costs in energy and carbon, told from runs."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.exits import refuse
from bench.options import Quiet
from bench.registry import registry


class FunctionalUnit(StrEnum):
    """What energy and carbon are counted by."""

    inference = "inference"
    token = "token"
    training = "training"


Runs = Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of runs that metered energy.")]
Country = Annotated[
    str, typer.Option("--country", help="ISO 3166 code of three letters; its grid's annual mean is used.")
]
Intensity = Annotated[
    float | None, typer.Option("--intensity", help="Grams of CO2e a kWh; wins over the country's mean.")
]
IntensitySource = Annotated[
    str, typer.Option("--intensity-source", help="Where that value comes from, with its year.")
]
Pue = Annotated[
    float | None, typer.Option("--pue", help="Energy of the whole data centre over that of its computers.")
]
Embodied = Annotated[
    str,
    typer.Option(
        "--embodied",
        metavar="KG,YEARS,SHARE",
        help="CO2e of making the whole machine, its life, the share of it reserved: 1200,4,1.",
    ),
]
EmbodiedSource = Annotated[str, typer.Option("--embodied-source", help="Where that comes from.")]
Counted = Annotated[FunctionalUnit, typer.Option("--functional-unit", help="What is counted.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder; the first run's audit/ by default.")]


def audit(
    runs: Runs,
    country: Country = "",
    intensity: Intensity = None,
    intensity_source: IntensitySource = "",
    pue: Pue = None,
    embodied: Embodied = "",
    embodied_source: EmbodiedSource = "",
    functional_unit: Counted = FunctionalUnit.inference,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Write an audit of energy and carbon: page, Markdown, CSV, BoAmps, model cards. Measures nothing."""
    from bench.loading import load
    from bench.store import StoreError

    write: Any = load(registry().auditor)
    try:
        written = write(
            runs,
            out or runs[0] / "audit",
            country=country,
            intensity=intensity,
            intensity_source=intensity_source,
            pue=pue,
            embodied=embodied,
            embodied_source=embodied_source,
            functional_unit=functional_unit.value,
            command=shlex.join(["attnbench", *sys.argv[1:]]),
        )
    except (StoreError, ValueError) as error:
        refuse(str(error))
    for path in written if not quiet else ():
        typer.echo(str(path))
