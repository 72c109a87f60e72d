"""asv itself on the benchmarks: it finds all of them, and follows two commits through to its pages."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asv", reason="pip install 'attnbench[regression]'")

ROOT = Path(__file__).parent.parent.parent
ONLY = "linear@torch"
FOLLOWED = {
    "cells.Energy.track_joules": "J",
    "cells.Memory.track_forward": "bytes",
    "cells.Memory.track_train_step": "bytes",
    "cells.Speed.track_forward": "ratio",
    "cells.Speed.track_model_train_step": "ratio",
    "cells.Speed.track_properties_refuted": "properties",
    "cells.Speed.track_properties_unproven": "properties",
    "cells.Speed.track_train_step": "ratio",
    "scores.Scores.track_accuracy_lost": "fraction",
    "scores.Scores.track_robust_accuracy_lost": "fraction",
    "start.Start.track_import": "bare starts",
    "start.Start.track_list": "bare starts",
}


class Followed:
    """asv in a folder of its own, over a repository of two commits and this environment's Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (ROOT / "asv.conf.json").read_text().splitlines()
        conf = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
        conf["benchmark_dir"] = str(ROOT / conf["benchmark_dir"])
        (folder / "asv.conf.json").write_text(json.dumps(conf))
        self.git("init", "-q", "-b", "main")
        for name in ("one", "two"):
            self.git(
                "-c",
                "user.name=A",
                "-c",
                "user.email=a@example.org",
                "commit",
                "-q",
                "--allow-empty",
                "-m",
                name,
            )
        self.asv("machine", "--yes", "--machine", "here")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def asv(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        environment = {**os.environ, "ATTNBENCH_ASV_ONLY": ONLY, "HOME": str(self.folder)}
        done = subprocess.run(
            [sys.executable, "-m", "asv", *arguments],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, commit: str, *options: str) -> str:
        return self.asv("run", "--python=same", f"--set-commit-hash={commit}", "--machine", "here", *options)

    def benchmarks(self) -> dict[str, Any]:
        found = json.loads((self.folder / "results" / "asv" / "benchmarks.json").read_text())
        return {name: row for name, row in found.items() if name != "version"}

    def results(self, commit: str) -> dict[str, Any]:
        (path,) = (self.folder / "results" / "asv" / "here").glob(f"{commit[:8]}*.json")
        found = json.loads(path.read_text())
        return {name: row[0] for name, row in found["results"].items()}


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path)


def test_asv_finds_every_benchmark(followed: Followed) -> None:
    followed.asv("run", "--python=same", "--machine", "here", "--bench", "just-discover")
    found = followed.benchmarks()
    assert {name: row["unit"] for name, row in found.items()} == FOLLOWED
    assert found["cells.Speed.track_forward"]["params"] == [[repr(ONLY)]]
    # One run of the engine serves all that reads it.
    keys = {name: row["setup_cache_key"] for name, row in found.items()}
    assert len(set(keys.values())) == len({name.rpartition(".")[0] for name in keys})


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_asv_follows_two_commits_to_its_pages(followed: Followed) -> None:
    older, newer = followed.git("rev-parse", "HEAD~1"), followed.git("rev-parse", "HEAD")
    followed.run(older, "--bench", "start|Speed|Energy")
    followed.run(newer, "--bench", "start")
    found = followed.results(older)
    assert all(value > 0 for name in FOLLOWED if name.startswith("start") for value in found[name])
    assert all(0 < found[f"cells.Speed.track_{phase}"][0] < 100 for phase in ("forward", "train_step"))
    assert found["cells.Speed.track_properties_refuted"] == [0.0]
    joules = found["cells.Energy.track_joules"]
    assert joules != [0.0], "a machine without a counter has no figure, and never a zero"
    told = followed.asv("compare", older, newer, "--machine", "here")
    assert "start.Start.track_list" in told
    followed.asv("publish")
    assert (followed.folder / "reports" / "rendered" / "asv" / "index.html").is_file()
