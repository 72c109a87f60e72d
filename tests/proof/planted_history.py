"""Proof of the gate by planting: ``tests/proof/planted_history.py [FOLDER]`` (half an hour, quiet machine).

A scratch repository is made of this project's own tree, and thirty commits on top of it, see
`planted_commits`: some make a variant slower, hungrier, leak the future or learn less, most change nothing.
Every neighbouring pair goes through `attnbench gate` as anybody would call it. What was planted stands
beside what the gate said in FOLDER/planted_history.md (and between the marks of `--page`), and the exit
code is 0 only where at least 95% of the plants were found in the commit that holds them and nothing else was
called worse.

All that was measured is kept in the folder: stopped at any time, the same command goes on. `--small` is four
commits whose verdicts need no clock; `--true-sizes` measures how large the plants really are, in long
launches of their own; `--asv` has asv judge the same commits, see `planted_asv`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from marked_tables import write
from planted_commits import (
    LINEAR,
    PLACES,
    TRIED,
    Commit,
    Edit,
    Sizes,
    history,
    hungrier,
    small_history,
)
from planted_table import Pair, Told, passed, table

PROJECT = Path(__file__).parents[2]
GATE = (sys.executable, "-P", "-m", "bench.cli", "gate")
# What a maintainer of two variants would have gated every night.
ASKED = (
    *("sliding_window", "linear", "--on", "torch,keras"),
    *("--suite", "throughput", "--suite", "memory", "--suite", "accuracy", "--task", "digits"),
    *("--phase", "forward", "--model", "layer", "--lengths", "1024", "--profile", "quick"),
)
SMALL = ("sliding_window", "--on", "torch", "--suite", "certificate", "--profile", "smoke")
MEMORY = ("linear", "--on", "torch", "--suite", "memory", "--phase", "forward", "--model", "layer")
INTERRUPTED = 130
# Fixed, so that a history made again has the same commits, and what was measured of them counts.
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "planter"),
        ("EMAIL", "planter@example.org"),
        ("DATE", "2026-01-01T00:00:00Z"),
    )
}
FIRST_DAY = date(2026, 1, 1)
MEBI_FLOATS = 1 << 20


@dataclass(frozen=True, slots=True)
class Repository:
    """The scratch repository."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Repository:
        """This project's last commit as the first one of a new repository; as it is where it is there."""
        repository = cls(folder)
        if not (folder / ".git").exists():
            folder.mkdir(parents=True)
            archive = folder.with_name("tree.tar")
            command = ["git", "-C", str(PROJECT), "archive", "--format=tar", f"--output={archive}", "HEAD"]
            subprocess.run(command, check=True)
            subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
            archive.unlink()
            repository.git("init", "--quiet", "--initial-branch=main")
            repository.commit("The project as it is")
        return repository

    def git(self, *arguments: str) -> str:
        """What git answers; raises CalledProcessError with what it complained of on the terminal."""
        settings = ("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0")
        command = ["git", "-C", str(self.folder), *settings, *arguments]
        environment = {**os.environ, **AUTHOR, **self._date()}
        done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def _date(self) -> dict[str, str]:
        """A day later with every commit, as tools that draw histories want them."""
        count = ["git", "-C", str(self.folder), "rev-list", "--count", "HEAD"]
        done = subprocess.run(count, check=False, capture_output=True, text=True)
        days = int(done.stdout) if done.returncode == 0 else 0
        day = f"{(FIRST_DAY + timedelta(days=days)).isoformat()}T02:00:00+00:00"
        return {"GIT_AUTHOR_DATE": day, "GIT_COMMITTER_DATE": day}

    def commit(self, title: str) -> str:
        """Everything that is there, whether ignored or not, as a commit; its full name."""
        self.git("add", "--all", "--force", "--", ".", ":!results/gate")
        self.git("commit", "--quiet", "--message", title)
        return self.git("rev-parse", "HEAD")

    def planted(self, branch: str, commits: Sequence[tuple[str, Sequence[Edit]]]) -> list[str]:
        """The first commit and these on top of it, on a branch of their own; all of their names."""
        self.git("checkout", "--quiet", "--force", "-B", branch, "main")
        names = [self.git("rev-parse", "HEAD")]
        for title, edits in commits:
            for edit in edits:
                edit.apply(self.folder)
            names.append(self.commit(title))
        return names


def gated(repository: Path, baseline: str, candidate: str, asked: Sequence[str], report: Path) -> Told:
    """What the gate says of a pair of commits, measured unless it stands in `report` already."""
    record = report / "told.json"
    command = [*GATE, *asked, "--baseline", baseline, "--candidate", candidate, "--report", str(report)]
    if record.is_file():
        told = json.loads(record.read_text())
        if told["command"] == command[len(GATE) :]:
            return Told.of(told, json.loads((report / "gate.json").read_text()))
    start = time.perf_counter()
    done = subprocess.run(command, cwd=repository, check=False, capture_output=True, text=True)
    if done.returncode in (INTERRUPTED, -2):
        raise KeyboardInterrupt
    if done.returncode not in (0, 1, 3) or not (report / "gate.json").is_file():
        raise RuntimeError(f"the gate of {candidate} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    told = {
        "command": command[len(GATE) :],
        "exit_code": done.returncode,
        "seconds": time.perf_counter() - start,
    }
    record.write_text(json.dumps(told, indent=1))
    return Told.of(told, json.loads((report / "gate.json").read_text()))


def calibrated(repository: Repository, folder: Path) -> Sizes:
    """What a round of extra work costs on this machine at the cell that is watched, and what 5% of linear
    attention's memory is."""
    from planted_sizes import CELL, sizes_between

    base = repository.git("rev-parse", "main")
    record = folder / "calibration.json"
    if record.is_file():
        kept = json.loads(record.read_text())
        if kept.pop("base") == base:
            return Sizes(**kept)
    shares: dict[str, float] = {}
    for number, (implementation, place) in enumerate(PLACES.items()):
        edits = (place.slower(TRIED[implementation], 0),)
        pair = repository.planted(f"calibration-{number}", [("Calibration", edits)])
        seen = sizes_between(
            repository.folder,
            pair,
            implementation,
            launches=5,
            seconds=0.6,
            kept=folder / "kept",
            tell=progress,
        )
        (size,) = (size for size in seen if size.subject == CELL)
        shares[implementation] = (size.ratio - 1) / TRIED[implementation]
        progress(f"{implementation}: {TRIED[implementation]} rounds cost {size.ratio - 1:.1%} of {CELL}")
        if size.low <= 1:
            raise RuntimeError(f"{TRIED[implementation]} rounds are lost in the noise: {size}")
    pair = repository.planted("calibration-memory", [("Calibration", (hungrier(MEBI_FLOATS),))])
    told = gated(repository.folder, *pair, (*MEMORY, "--lengths", "1024"), folder / "calibration")
    peak = next(
        cell["before"] for cell in told.cells if cell["kind"] == "memory" and cell["implementation"] == LINEAR
    )
    sizes = Sizes(round_share=shares, peak_bytes=peak)
    record.write_text(json.dumps({"base": base, **asdict(sizes)}, indent=1))
    return sizes


def true_sizes(repository: Repository, pairs: Sequence[Pair], folder: Path) -> None:
    """Measure every plant of time in twelve long launches, and keep what they say."""
    from planted_sizes import sizes_between

    for pair in pairs:
        plant, record = pair.commit.plant, folder / "sizes" / f"{pair.candidate}.json"
        if plant is None or plant.kind != "time" or record.is_file():
            continue
        seen = sizes_between(
            repository.folder,
            (pair.baseline, pair.candidate),
            plant.implementation,
            launches=12,
            seconds=1.2,
            kept=folder / "kept",
            tell=progress,
        )
        record.parent.mkdir(exist_ok=True)
        record.write_text(json.dumps([asdict(size) for size in seen], indent=1))


def sized(pairs: Sequence[Pair], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The true sizes that have been measured, by the commit that holds the plant."""
    places = {pair.candidate: folder / "sizes" / f"{pair.candidate}.json" for pair in pairs}
    return {name: json.loads(path.read_text()) for name, path in places.items() if path.is_file()}


def progress(line: str) -> None:
    """A line for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def judged(
    repository: Repository, commits: Sequence[Commit], asked: Sequence[str], folder: Path
) -> list[Pair]:
    """Every commit with what the gate said of it against the one before."""
    names = repository.planted("planted", [(commit.title, commit.edits) for commit in commits])
    pairs: list[Pair] = []
    for number, (commit, baseline, candidate) in enumerate(
        zip(commits, names[:-1], names[1:], strict=True), 1
    ):
        told = gated(repository.folder, baseline, candidate, asked, folder / "pairs" / f"{number:02}")
        pair = Pair(number=number, commit=commit, baseline=baseline, candidate=candidate, told=told)
        pairs.append(pair)
        progress(f"{number:2} {commit.title}: {pair.judgement} ({told.seconds:.0f} s)")
    return pairs


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, gate, write the table; 0 where the gate kept its promise."""
    parser = argparse.ArgumentParser(description="the gate on a planted history")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results") / "planted")
    parser.add_argument("--small", action="store_true", help="four commits whose verdicts need no clock")
    parser.add_argument("--commits", type=int, default=0, help="only the first so many")
    parser.add_argument("--launches", type=int, default=8, help="launches a time, as many to confirm")
    parser.add_argument("--true-sizes", action="store_true", help="measure how large the plants are (15 min)")
    parser.add_argument("--asv", action="store_true", help="asv's verdicts on the same commits (20 min)")
    parser.add_argument("--page", type=Path, help="Markdown file whose tables are written anew")
    given = parser.parse_args(arguments)
    folder: Path = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    repository = Repository.made(folder / "repository")
    if given.small:
        commits, asked = small_history(), SMALL
    else:
        commits = history(calibrated(repository, folder))
        asked = (*ASKED, "--launches", str(given.launches))
    pairs = judged(repository, commits[: given.commits or None], asked, folder)
    if given.true_sizes:
        true_sizes(repository, pairs, folder)
    told = {"gate": table(pairs, sized(pairs, folder), asked)}
    if given.asv:
        from planted_asv import asv_table

        told["asv"] = asv_table(repository.folder, pairs, folder / "asv", progress)
    page = "\n\n".join(told.values()) + "\n"
    (folder / "planted_history.md").write_text(page)
    print(page)
    if given.page:
        write(given.page, {name: text.splitlines() for name, text in told.items()})
    return 0 if passed(pairs) else 1


if __name__ == "__main__":
    sys.exit(main())
