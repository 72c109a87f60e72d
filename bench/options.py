"""What can be said on the command line: every argument and option with its help, once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.schema import DTYPES, NORMALISATIONS, PHASES, POSITIONS


class ReportFormat(StrEnum):
    """What a report can be written as."""

    html = "html"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    latex = "latex"


Variants = Annotated[
    list[str] | None,
    typer.Argument(help="Variants to compare; 'all' for all of ours, the featured ones if none."),
]
Extra = Annotated[
    list[str] | None,
    typer.Option(
        "--variant", help="Your own: module:Name or path/to/file.py:name, with @keras at its end for Keras."
    ),
]
On = Annotated[str, typer.Option("--on", help="Frameworks, separated by commas.")]
SuiteNames = Annotated[list[str] | None, typer.Option("--suite", help="Only this suite; may be repeated.")]
TaskNames = Annotated[list[str] | None, typer.Option("--task", help="Only this task; may be repeated.")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="For --task text: a CSV or Parquet file with the columns text, label and, if you like, split.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="TASK.SETTING=VALUE: another setting of a task; may be repeated."),
]
PhaseNames = Annotated[
    list[str] | None, typer.Option("--phase", help=f"Only this: {', '.join(PHASES)}; may be repeated.")
]
ModelNames = Annotated[
    list[str] | None, typer.Option("--model", help="Only made-up work on this model; may be repeated.")
]
ProfileOption = Annotated[str, typer.Option("--profile", help="How much evidence: smoke, quick or full.")]
Lengths = Annotated[str, typer.Option("--lengths", help="Sequence lengths, such as 512,1024,1100.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="First seed of data and weights.")]
Device = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
Threads = Annotated[
    int, typer.Option("--threads", min=0, help="Threads of a measured process; 0: one a core.")
]
Jobs = Annotated[int, typer.Option("--jobs", min=0, help="Trainings side by side; 0: one a core.")]
ExecutorName = Annotated[
    str | None,
    typer.Option("--executor", help="local, or ray: the jobs are carried to the nodes of a Ray cluster."),
]
Address = Annotated[
    str,
    typer.Option("--address", help="The Ray cluster's host:port; else RAY_ADDRESS, or this machine."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the run; results/runs/… by default.")]
Peers = Annotated[
    bool,
    typer.Option(
        "--peers", help="Also the public packages' versions; of all that have one when no variant is named."
    ),
]
Causal = Annotated[bool, typer.Option("--causal", help="The causal form of all made-up work.")]
Dtype = Annotated[str, typer.Option("--dtype", help=f"Of made-up work: {', '.join(DTYPES)}.")]
Positions = Annotated[str, typer.Option("--positions", help=f"Of made-up work: {', '.join(POSITIONS)}.")]
Normalisation = Annotated[
    str, typer.Option("--normalisation", help=f"Of made-up work: {', '.join(NORMALISATIONS)}.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
