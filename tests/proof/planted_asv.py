"""asv on the planted commits: ``run`` on each, ``publish`` over the history, ``continuous`` on pairs.

asv gets what it needs to do well: one environment that shares the heavy packages, the very cell that the
gate watches, and beside its own times the ratio to the reference taken in one process. Its detector of steps
is asked for 1%, where its own default is 5%; `continuous` is asked for its default, a tenth, and for 1%.
Our own detector of change points (`bench.changes`) reads the same series of ratios.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from planted_table import Pair

from bench.changes import Night, changes

NIGHTLY = Path(__file__).parent / "planted_nightly"
FACTORS = ("1.1", "1.01")
THRESHOLD = 0.01
SERIES = ("windows.Forward.time_forward", "windows.Forward.peakmem_forward", "windows.Forward.track_ratio")
# Puts the commit's folder and then the shared packages on the environment's search path.
LINK = """import sys, sysconfig
from pathlib import Path

place = Path(sysconfig.get_path("purelib")) / "planted.pth"
place.write_text("\\n".join(sys.argv[1:]) + "\\n")
"""


class Asv:
    """asv in a folder of its own, over the scratch repository."""

    def __init__(self, repository: Path, folder: Path, python: str = sys.executable) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(NIGHTLY, folder / "nightly", dirs_exist_ok=True)
        link = folder / "link.py"
        link.write_text(LINK)
        shared = sysconfig.get_path("purelib")
        configuration = {
            "version": 1,
            "project": "planted",
            "repo": str(repository),
            "branches": ["planted"],
            "environment_type": "virtualenv",
            "pythons": [f"{sys.version_info.major}.{sys.version_info.minor}"],
            "benchmark_dir": "nightly",
            "env_dir": "env",
            "results_dir": "results",
            "html_dir": "html",
            "build_command": [],
            "install_command": [f"python {link} {{build_dir}} {shared}"],
            "uninstall_command": [],
            "regressions_thresholds": {".*": THRESHOLD},
        }
        (folder / "asv.conf.json").write_text(json.dumps(configuration, indent=1))
        # asv keeps what it knows of the machine in the home folder.
        home = folder / "home"
        home.mkdir(exist_ok=True)
        settings = Path.home() / ".config" / "pip" / "pip.conf"
        pip = {"PIP_CONFIG_FILE": str(settings)} if settings.is_file() else {}
        self._environment = {**os.environ, **pip, "HOME": str(home)}
        self("machine", "--yes")

    def __call__(self, *arguments: str, allowed: Sequence[int] = (0,)) -> str:
        """What asv prints; raises RuntimeError with its last words where it ends in another way."""
        command = [sys.executable, "-m", "asv", *arguments]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, check=False, capture_output=True, text=True
        )
        if done.returncode not in allowed:
            said = (done.stdout + done.stderr)[-3000:]
            raise RuntimeError(f"asv {' '.join(arguments)} ended with {done.returncode}:\n{said}")
        return done.stdout

    def run(self, commits: Sequence[str]) -> None:
        """Measure every commit that has no results yet."""
        hashes = self._folder / "commits.txt"
        hashes.write_text("".join(f"{name}\n" for name in commits))
        # 2: a benchmark failed, which then stands in the results as such.
        self("run", f"HASHFILE:{hashes}", "--skip-existing", "--show-stderr", allowed=(0, 2))

    def regressions(self) -> dict[str, list[str]]:
        """The commits that ``asv publish`` calls regressions, by name of the series."""
        self("publish")
        index = json.loads((self._folder / "html" / "index.json").read_text())
        names = {int(revision): name for revision, name in index["revision_to_hash"].items()}
        told = json.loads((self._folder / "html" / "regressions.json").read_text())
        return {
            name: [names[after] for _, after, *_ in jumps]
            for name, _, _, _, _, _, jumps in told["regressions"]
        }

    def values(self, benchmark: str) -> dict[str, list[float | None]]:
        """A benchmark's figures, one a variant, by commit."""
        found: dict[str, list[float | None]] = {}
        for path in sorted((self._folder / "results").glob("*/*.json")):
            if path.name == "machine.json":
                continue
            result = json.loads(path.read_text())
            row = dict(zip(result["result_columns"], result["results"].get(benchmark, ()), strict=False))
            if row.get("result"):
                found[result["commit_hash"]] = row["result"]
        return found

    def continuous(self, baseline: str, candidate: str) -> str:
        """What ``asv continuous`` calls worse at its default factor, and at 1%; kept."""
        record = self._folder / "continuous" / f"{candidate}.json"
        if record.is_file():
            return str(json.loads(record.read_text()))
        bench = ("--bench", "time_forward|track_ratio")
        told = [self("continuous", baseline, candidate, "--factor", FACTORS[0], *bench, allowed=(0, 1))]
        told.append(self("compare", baseline, candidate, "--factor", FACTORS[1], "--only-changed"))
        said = "; ".join(
            f"{factor}: {', '.join(_worse(text)) or 'nothing'}"
            for factor, text in zip(FACTORS, told, strict=True)
        )
        record.parent.mkdir(exist_ok=True)
        record.write_text(json.dumps(said))
        return said


def _worse(text: str) -> list[str]:
    """The lines of a comparison that begin with a plus, shortened: what and by how much."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) >= 5 and cells[0] == "+":
            found.append(f"{_short(cells[-1])} {cells[3]}")
    return list(dict.fromkeys(found))


def _short(name: str) -> str:
    variant = re.search(r"\('?(\w+)'?\)", name)
    return f"{name.split('(')[0].split('.')[-1].split(' ')[0]} {variant.group(1) if variant else ''}".strip()


def _ours(asv: Asv, commits: Sequence[str]) -> dict[str, list[str]]:
    """Change points of the same ratios by our own detector: the commits called worse, by variant."""
    told = asv.values(SERIES[2])
    found: dict[str, list[str]] = {}
    for place, variant in enumerate(("sliding_window", "linear")):
        nights = [
            Night(value=value, started_at="", commit=name, environment="one")
            for name in commits
            if (value := told.get(name, [None, None])[place]) is not None
        ]
        (steps,) = changes([nights], better=["lower"], ratios=[True], smallest=[THRESHOLD])
        found[f"track_ratio({variant})"] = [step.commit for step in steps if step.kind == "worse"]
    return found


def _of(found: Mapping[str, Sequence[str]], commit: str) -> str:
    return ", ".join(_short(name) for name, commits in found.items() if commit in commits)


def asv_table(repository: Path, pairs: Sequence[Pair], folder: Path, tell: Callable[[str], None]) -> str:
    """What asv says of every commit, beside the gate's judgement, as Markdown."""
    asv = Asv(repository, folder)
    commits = [pairs[0].baseline, *(pair.candidate for pair in pairs)]
    tell(f"asv run on {len(commits)} commits")
    asv.run(commits)
    steps, ours = asv.regressions(), _ours(asv, commits)
    rows: list[Any] = []
    for pair in pairs:
        timed = pair.commit.code or (pair.commit.plant is not None and pair.commit.plant.kind == "time")
        said = asv.continuous(pair.baseline, pair.candidate) if timed else ""
        tell(f"{pair.number:2} asv continuous: {said or 'not asked'}")
        planted = pair.commit.plant.title if pair.commit.plant else ""
        judgement = (_of(steps, pair.candidate), _of(ours, pair.candidate), said, pair.judgement)
        rows.append(f"| {pair.number} | {pair.commit.title} | {planted} | {' | '.join(judgement)} |")
    return "\n".join(
        (
            "`asv publish` marks steps of 1% and more (its default is 5%); `bench.changes` reads the same",
            "ratios; `asv continuous` was asked where measured code changed, at its default factor and at",
            "1.01. It was given no benchmark of causality, of what a model learns, or of Keras.\n",
            "| # | commit | planted | asv publish | bench.changes | asv continuous | gate |",
            "| ---: | --- | --- | --- | --- | --- | --- |",
            *rows,
        )
    )
