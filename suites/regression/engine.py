"""The installed commit's own `attnbench`, asked once for many figures, and the figures read from its rows.

Only what has been the same since the project's first commit is relied on: the command line's oldest options,
and one JSON line a finished step in `measurements.jsonl`. A figure that a commit cannot give is *n/a* to asv,
with the reason on standard error; one that went wrong is *failed*. Neither is ever a number.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from statistics import fmean
from typing import Any, NoReturn

from asv_runner.benchmarks.mark import SkipNotImplemented

IMPLEMENTATIONS = (
    "sdpa@torch",
    "sliding_window@torch",
    "linear@torch",
    "performer@torch",
    "linformer@torch",
    "linear@keras",
)
REFERENCE = "softmax"
SMALL = "ATTNBENCH_ASV_ONLY"
"""Environment variable: implementations separated by commas, to try the benchmarks out on few."""
TIMEOUT = 3600.0
WRONG_USAGE, NOT_MEASURED = 2, 3
ATTNBENCH = ("-P", "-c", "from bench.cli import main; main()")
TOLD = "told.json"
TOLD_OF = 2000

Row = Mapping[str, Any]


def chosen() -> tuple[str, ...]:
    """The implementations that are followed."""
    only = os.environ.get(SMALL, "")
    return tuple(name for name in IMPLEMENTATIONS if not only or name in only.split(","))


def attnbench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command of the installed commit, run apart; whatever its exit code."""
    return subprocess.run(
        [sys.executable, *ATTNBENCH, *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def ask(folder: str, suites: Sequence[str], options: Sequence[str], implementations: Iterable[str]) -> str:
    """Runs `folder`/FRAMEWORK below the working directory, one a framework; answers `folder`.

    A commit that does not know one of the suites or implementations is asked for the rest; what it said
    stands in `told.json` beside the run. Raises RuntimeError where it cannot say what it knows.
    """
    there = {suite["name"] for suite in _listed("suites")}
    known = {f"{row['name']}@{framework}" for row in _listed("variants") for framework in row["targets"]}
    named = [part for suite in suites if suite in there for part in ("--suite", suite)]
    for framework, variants in _by_framework(implementations).items():
        place = Path(folder) / framework
        place.mkdir(parents=True)
        asked = [variant for variant in variants if f"{variant}@{framework}" in known]
        if not (asked and named):
            _write(place, NOT_MEASURED, f"none of {', '.join((*suites, *variants))} on {framework}")
            continue
        run = ("--out", str(place / "run"), "--quiet")
        done = attnbench("run", *asked, "--on", framework, *named, *options, *run)
        _write(place, done.returncode, done.stderr.strip()[-TOLD_OF:])
    return folder


def _write(run: Path, code: int, said: str) -> None:
    (run / TOLD).write_text(json.dumps({"exit": code, "said": said}))


def _by_framework(implementations: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for implementation in implementations:
        variant, _, framework = implementation.partition("@")
        found.setdefault(framework, []).append(variant)
    return found


def _listed(kind: str) -> list[dict[str, Any]]:
    """The commit's catalogue."""
    done = attnbench("list", kind, "--json")
    if done.returncode:
        raise RuntimeError(f"attnbench list {kind} ended with {done.returncode}: {done.stderr[-TOLD_OF:]}")
    return list(json.loads(done.stdout))


def rows(folder: str, implementation: str, suite: str, metric: str = "", subject: str = "") -> list[Row]:
    """What the run says of the implementation, in the order it was measured; an empty name is any.

    Raises SkipNotImplemented where the commit cannot be asked that, RuntimeError where it broke.
    """
    run = Path(folder) / implementation.partition("@")[2]
    told = json.loads((run / TOLD).read_text())
    lines = run / "run" / "measurements.jsonl"
    measured = [
        row
        for line in (lines.read_text().splitlines() if lines.exists() else ())
        for row in json.loads(line)["measurements"]
    ]
    found = [
        row
        for row in measured
        if row["implementation"] == implementation
        and row["suite"] == suite
        and row.get("role") != "control"
        and metric in ("", row["metric"])
        and subject in ("", row["subject"])
    ]
    if found:
        return found
    asked = f"{suite} {metric} of {implementation} {subject}".strip()
    if told["exit"] in (0, WRONG_USAGE, NOT_MEASURED):
        raise SkipNotImplemented(f"this commit has no {asked}: {told['said'] or 'no such row'}")
    raise RuntimeError(f"no {asked}: attnbench ended with {told['exit']}: {told['said']}")


def values(found: Iterable[Row]) -> list[list[float]]:
    """The raw values of each row; where not all have some, raises as `rows` does, with the row's reason."""
    taken = []
    for row in found:
        if row["status"] == "failed":
            raise RuntimeError(row["reason"])
        if row["status"] != "ok":
            raise SkipNotImplemented(f"{row['status']}: {row['reason']}")
        taken.append(row["values"])
    return taken


def ratio(folder: str, implementation: str, subject: str) -> float:
    """Time over the reference's in the same launches: exp of the mean over launches of the engine's median
    log ratio. A launch that either of them has no time in is missing from both; with none left it raises."""
    from bench.statistics import paired_log_ratio

    reference = f"{REFERENCE}@{implementation.partition('@')[2]}"
    of: dict[str, dict[int, list[float]]] = {}
    for name in (reference, implementation):
        found = rows(folder, name, "throughput", "seconds", subject)
        of[name] = {row["launch"]: taken for row, taken in zip(found, values(found), strict=True)}
    shared = sorted(of[reference].keys() & of[implementation].keys())
    if not shared:
        raise RuntimeError(f"{implementation} was in no launch with {reference} on {subject}")
    logs = [paired_log_ratio(of[reference][launch], of[implementation][launch]) for launch in shared]
    return float(math.exp(fmean(logs)))


def reasoned(track: Callable[..., float]) -> Callable[..., float]:
    """`track`, whose reason for having no number asv shows: it drops what SkipNotImplemented says."""

    @wraps(track)
    def tracked(*arguments: Any) -> float:
        try:
            return track(*arguments)
        except SkipNotImplemented as error:
            sys.stderr.write(f"unsupported: {error}\n")
            raise

    return tracked


def skipped(reason: str) -> NoReturn:
    """Leave without a number, and say why."""
    raise SkipNotImplemented(reason)
