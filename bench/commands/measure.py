"""The commands that measure: `compare`, `run`, `certify` and `resume`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench.candidates import ADMITTING
from bench.executors.protocol import LOCAL
from bench.exits import DONE, FAILED, NOT_MEASURED, refuse
from bench.options import (
    Address,
    Causal,
    Data,
    Device,
    Dtype,
    ExecutorName,
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
    Seed,
    Settings,
    SuiteNames,
    TaskNames,
    Threads,
    Variants,
)
from bench.request import lengths_of, split
from bench.schema import Request


def measuring(*, report: bool) -> Callable[..., None]:
    """The command that measures: with a report it is `compare`, without one `run`."""

    def command(
        variants: Variants = None,
        extra: Extra = None,
        on: On = "torch,keras",
        suite: SuiteNames = None,
        task: TaskNames = None,
        data: Data = None,
        settings: Settings = None,
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
        executor: ExecutorName = None,
        address: Address = "",
        out: Out = None,
        quiet: Quiet = False,
        as_json: Json = False,
    ) -> None:
        from bench.attend import begin, carry_out, executing

        asked = Request(
            variants=tuple(variants or ()),
            extra=tuple(extra or ()),
            frameworks=split(on),
            suites=tuple(suite or ()),
            tasks=tuple(task or ()),
            data=str(data or ""),
            settings=tuple(settings or ()),
            phases=tuple(phase or ()),
            models=tuple(model or ()),
            lengths=lengths_of(lengths),
            profile=profile,
            seed=seed,
            device=device,
            threads=threads,
            jobs=jobs,
            peers=peers,
            causal=causal,
            dtype=dtype,
            positions=positions,
            normalisation=normalisation,
        )
        with executing(executor or LOCAL, address) as place:
            path = begin(asked, out, profile, place)
            carry_out(path, place, quiet=quiet, as_json=as_json, report=report)

    return command


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
    from bench.attend import begin, executing, measure
    from bench.certify import certificates, print_certificates
    from bench.tables import print_json

    asked = Request(
        variants=tuple(variants or ()),
        extra=tuple(extra or ()),
        frameworks=split(on),
        suites=(ADMITTING,),
        jobs=jobs,
        peers=peers,
    )
    with executing(LOCAL) as place:
        path = begin(asked, out, ADMITTING, place)
        missing = measure(path, place, quiet=quiet or as_json, report=False)
    found = certificates(path)
    if as_json:
        print_json({"path": str(path), "certificates": found})
    elif not quiet:
        print_certificates(found)
    refuted = any(certificate["failed"] for certificate in found)
    raise typer.Exit(FAILED if refuted else NOT_MEASURED if missing else DONE)


def resume(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")],
    executor: ExecutorName = None,
    address: Address = "",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Go on with a run where it stopped."""
    from bench.attend import carry_out, executing
    from bench.store import StoreError, read_manifest

    try:
        begun = str(read_manifest(path).get("executor", LOCAL))
    except StoreError as error:
        refuse(str(error))
    with executing(executor or begun, address) as place:
        carry_out(path, place, quiet=quiet, as_json=as_json, report=True)
