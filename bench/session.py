"""A run from the outside: started, gone on with, reported; what the command line and scripts call."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from bench import wire
from bench.candidates import REFERENCE
from bench.environment import differences
from bench.executors.local import Local
from bench.executors.protocol import LOCAL, Executor
from bench.jobs import Site
from bench.measuring import now
from bench.plan import make_plan
from bench.profiles import PROFILES
from bench.registry import registry
from bench.run import Runner, StoppedError, Watcher
from bench.schema import SCHEMA_VERSION, Environment, Measurement, Plan, Request
from bench.store import Store, StoreError, read_manifest, read_run

RUNS = Path("results/runs")
# A handful of seeds decides nothing at 1%; the level is printed beside every verdict on a score.
SCORE_ALPHA = 0.05
# What difference matters, in a score's own unit. Perplexity has none: it says bits a byte once more.
SCORE_MARGINS = {
    "accuracy": 0.01,
    "exact": 0.01,
    "psnr": 0.25,
    "ssim": 0.01,
    "bits_per_byte": 0.01,
    "chrf": 0.5,
    "robust_accuracy": 0.02,
}


class ClosingWatcher(Watcher, Protocol):
    """A watcher that takes down what it put on the screen."""

    def close(self) -> None:
        """The run is over, whichever way."""


Watch = Callable[[Plan, int], ClosingWatcher]


class ReportFailedError(Exception):
    """The report could not be written; the measurements stand."""


@dataclass(frozen=True, slots=True)
class Session:
    """A run folder and how it is watched; `report` rewrites the page after each stage; `executor` carries
    out its jobs, by default on this machine."""

    path: Path
    watch: Watch
    report: bool
    executor: Executor = field(default_factory=Local)

    def go_on(self) -> None:
        """Measure what is missing; raises StoppedError after Ctrl-C, StoreError when the disk says no."""
        request = request_of(self.path)
        with Store(self.path) as store:
            self._settle_in(store, request)
            plan = store.plan()
            watcher = self.watch(plan, request.jobs)
            try:
                with _workers_stopped(self.executor):
                    Runner(store, self.executor, watcher, self._rewrite_meanwhile, request.jobs).run()
            finally:
                watcher.close()
            environment = store.manifest["environment"]
            if self.executor.name == LOCAL:
                environment = {**environment, "load_after": os.getloadavg()[0]}
            store.update(finished_at=now(), environment=environment)
        self._rewrite()

    def _settle_in(self, store: Store, request: Request) -> None:
        """Make sure that the run may go on here, and go on where its figures were measured."""
        begun = store.manifest.get("executor", LOCAL)
        if begun != self.executor.name:
            raise StoreError(
                f"{self.path} was begun with --executor {begun}, and figures of two places must not be "
                f"mixed: go on with --executor {begun}"
            )
        here = self.executor.environments(request.threads)
        if begun == LOCAL:
            _same_place(self.path, here[0])
            return
        known = environments_of(self.path) | {environment.id: environment for environment in here}
        store.update(environments=[wire.plain(environment) for environment in known.values()])
        exclusive = {job.id: job.exclusive for job in store.plan().jobs}
        self.executor.remember(
            known,
            (
                (m.implementation.rpartition("@")[2], exclusive[record.job], m.environment_id)
                for record in store.records
                if record.job in exclusive
                for m in record.measurements
            ),
        )

    def _rewrite(self) -> None:
        if self.report:
            write_report_apart(self.path)

    def _rewrite_meanwhile(self) -> None:
        """A page that fails half-way costs nothing but itself: what is measured counts."""
        try:
            self._rewrite()
        except ReportFailedError as error:
            warnings.warn(str(error), stacklevel=2)


@contextmanager
def _workers_stopped(executor: Executor) -> Iterator[None]:
    """Whatever ends the run, no worker outlives it."""

    def interrupted(*_: object) -> None:
        # Python drops an exception that a finaliser happens to meet: the mark stays.
        executor.stopped = True
        raise KeyboardInterrupt

    on_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupted) if on_main_thread else None
    try:
        yield
    except KeyboardInterrupt as error:
        executor.stop()
        raise StoppedError from error
    finally:
        executor.stop()
        if on_main_thread:
            signal.signal(signal.SIGINT, before)


def new_folder(profile: str) -> Path:
    """A folder name that sorts by time and does not collide."""
    return RUNS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{profile}-{secrets.token_hex(2)}"


def request_of(path: Path) -> Request:
    """What the run in `path` was asked for."""
    return wire.convert(read_manifest(path)["request"], Request)


def environment_of(path: Path) -> Environment:
    """Where the run in `path` was measured."""
    return wire.convert(read_manifest(path)["environment"], Environment)


def environments_of(path: Path) -> dict[str, Environment]:
    """By id, all that the run in `path` may have been measured in: one, or a node each."""
    manifest = read_manifest(path)
    plain = [manifest["environment"], *manifest.get("environments", ())]
    return {one.id: one for one in (wire.convert(value, Environment) for value in plain)}


def _same_place(path: Path, new: Environment) -> None:
    old = environment_of(path)
    if old.id != new.id:
        told = "; ".join(differences(old, new))
        raise StoreError(
            f"{path} was measured in another environment ({told}); figures of two must not be mixed: "
            "start a new run here"
        )


def create(request: Request, path: Path, command: str, executor: Executor | None = None) -> None:
    """Plan the request for where it will be measured, by default here, and put it on disk; raises
    UnknownNameError for what nobody registered."""
    place: Executor = executor or Local()
    environments = place.environments(request.threads)
    environment = environments[0]
    site = Site(run=path.name, environment_id=environment.id, memory_bytes=place.memory_bytes)
    plan = make_plan(request, registry(), site)
    profile = PROFILES[request.profile]
    manifest: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run": path.name,
        "command": command,
        "profile": profile.name,
        "seed": request.seed,
        "started_at": now(),
        "finished_at": None,
        "environment": wire.plain(environment),
        "request": wire.plain(request),
        "reference": REFERENCE,
        "launches_planned": profile.launches,
        "repeats_planned": profile.repeats,
        "seeds_planned": profile.seeds,
        "alpha": profile.alpha,
        "margin": profile.margin,
        "score_alpha": SCORE_ALPHA,
        "score_margins": SCORE_MARGINS,
    }
    if place.name != LOCAL:
        manifest["executor"] = place.name
        manifest["environments"] = [wire.plain(one) for one in environments]
    Store.create(path, manifest, plan)


def write_report_apart(path: Path) -> None:
    """Write all formats in a process of its own: a failing page costs the page, never the run."""
    command = [sys.executable, "-P", "-m", "bench.cli", "report", "--quiet", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReportFailedError(
            f"the report of {path} could not be written:\n{(done.stderr or done.stdout)[-3000:]}"
        )


def unmeasured(path: Path) -> list[Measurement]:
    """The rows that make a run incomplete in what was asked for: every failure to measure, missing packages
    or data, and a variant asked for by name that a suite could measure on no framework.

    A property that a certificate refutes was measured, and is not here.
    """
    named, rows = set(request_of(path).variants), read_run(path).measurements
    measured = {(m.suite, _variant(m)) for m in rows if m.status == "ok"}
    return [m for m in rows if _is_missing(m, named, measured)]


def _variant(m: Measurement) -> str:
    return m.implementation.rpartition("@")[0]


def _is_missing(m: Measurement, named: set[str], measured: set[tuple[str, str]]) -> bool:
    if m.status == "failed":
        return m.suite != "certificate" or "bars" in m.details
    if m.status != "unsupported":
        return False
    asked = _variant(m) in named and (m.suite, _variant(m)) not in measured
    return asked or m.reason.startswith("install ") or m.details.get("cause") == "data"


__all__ = [
    "ReportFailedError",
    "Session",
    "StoppedError",
    "create",
    "new_folder",
    "unmeasured",
    "write_report_apart",
]
