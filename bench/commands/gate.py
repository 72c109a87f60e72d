"""The command `gate`: two versions held against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.exits import refuse
from bench.options import (
    Device,
    Extra,
    Json,
    Lengths,
    ModelNames,
    On,
    PhaseNames,
    ProfileOption,
    Quiet,
    Seed,
    Settings,
    SuiteNames,
    TaskNames,
    Variants,
)
from bench.request import lengths_of, split
from bench.schema import Request

Commit = Annotated[str, typer.Option("--baseline", help="Commit, branch or tag that was good.")]
Candidate = Annotated[
    str, typer.Option("--candidate", help="Commit to judge; the working tree as it stands by default.")
]
BaselinePackage = Annotated[
    str, typer.Option("--baseline-package", help="A package instead: 'name==1.2', a wheel or a folder.")
]
CandidatePackage = Annotated[str, typer.Option("--candidate-package", help="The package's other version.")]
BaselinePython = Annotated[
    str, typer.Option("--baseline-python", help="The baseline's interpreter, with the framework to judge.")
]
CandidatePython = Annotated[str, typer.Option("--candidate-python", help="The candidate's interpreter.")]
Margin = Annotated[
    float, typer.Option("--margin", min=0.001, help="Change that does not matter, as a fraction.")
]
ReportFolder = Annotated[
    Path | None, typer.Option("--report", help="Folder for the report; results/gate/… by default.")
]
Threads = Annotated[
    int,
    typer.Option("--threads", min=0, help="Threads of a measured process and cores it is pinned to; 0: all."),
]
Jobs = Annotated[int, typer.Option("--jobs", min=0, help="Trainings side by side; 0: one a core.")]
Launches = Annotated[
    int,
    typer.Option("--launches", min=0, help="Launches of a time, as many to confirm; 0: the profile's."),
]
Again = Annotated[
    bool, typer.Option("--again", help="Measure what did not change too: the gate's own false alarms.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Use nothing that was kept from earlier gates.")]


def gate(
    variants: Variants = None,
    baseline: Commit = "",
    candidate: Candidate = "",
    baseline_package: BaselinePackage = "",
    candidate_package: CandidatePackage = "",
    baseline_python: BaselinePython = "",
    candidate_python: CandidatePython = "",
    extra: Extra = None,
    on: On = "torch,keras",
    suite: SuiteNames = None,
    task: TaskNames = None,
    settings: Settings = None,
    phase: PhaseNames = None,
    model: ModelNames = None,
    profile: ProfileOption = "quick",
    lengths: Lengths = "",
    margin: Margin = 0.02,
    launches: Launches = 0,
    seed: Seed = 0,
    device: Device = "cpu",
    threads: Threads = 1,
    jobs: Jobs = 0,
    report: ReportFolder = None,
    again: Again = False,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Hold two versions against each other: two commits, two versions of a package, or two environments.

    Exit code 0: nothing is worse; 1: something is, confirmed in fresh launches; 3: could not be measured.
    """
    from bench.gate.command import attend
    from bench.gate.sides import SideName, Source

    pairs = (bool(baseline), bool(baseline_package), bool(baseline_python or candidate_python))
    if not any(pairs):
        refuse("a gate needs --baseline REF, --baseline-package, or --baseline-python / --candidate-python")
    if bool(baseline_package) != bool(candidate_package):
        refuse("give both --baseline-package and --candidate-package: what is judged against what")
    if baseline_package and (baseline or candidate):
        refuse("give commits or packages, not both")
    # Where only interpreters differ, both sides have the same code.
    sources: dict[SideName, Source] = {
        "baseline": Source(commit=baseline or candidate, package=baseline_package, python=baseline_python),
        "candidate": Source(commit=candidate, package=candidate_package, python=candidate_python),
    }
    request = Request(
        variants=tuple(variants or ()),
        extra=tuple(extra or ()),
        frameworks=split(on),
        suites=tuple(suite or ()),
        tasks=tuple(task or ()),
        settings=tuple(settings or ()),
        phases=tuple(phase or ()),
        models=tuple(model or ()),
        lengths=lengths_of(lengths),
        profile=profile,
        seed=seed,
        device=device,
        threads=threads,
        jobs=jobs,
    )
    attend(
        request,
        sources,
        margin=margin,
        launches=launches,
        again=again,
        fresh=fresh,
        report=report,
        quiet=quiet,
        as_json=as_json,
    )
