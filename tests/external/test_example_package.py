"""A variant from another package, really built and installed, is listed, certified and measured."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "example_package"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("external")
    source, site = folder / "source", folder / "site"
    shutil.copytree(PACKAGE, source)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
    ]
    subprocess.run([*pip, str(source)], check=True)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])),
    }


def attnbench(environment: dict[str, str], *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", "bench.cli", *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_package_is_listed_beside_what_is_built_in(installed: dict[str, str], tmp_path: Path) -> None:
    listed = json.loads(attnbench(installed, "list", "--json", cwd=tmp_path).stdout)
    names = [row["name"] for row in listed]
    assert "cosine_similarity" in names and names[0] == "softmax"


def test_the_packages_variant_is_certified_and_timed(installed: dict[str, str], tmp_path: Path) -> None:
    arguments = (
        "cosine_similarity",
        "--on",
        "torch",
        "--suite",
        "throughput",
        "--lengths",
        "37",
        "--profile",
        "smoke",
    )
    done = attnbench(installed, "compare", *arguments, "--out", "run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "cosine_similarity@torch" in {verdict["implementation"] for verdict in told["verdicts"]}
    lines = (tmp_path / "run" / "measurements.jsonl").read_text().splitlines()
    rows = [row for line in lines for row in json.loads(line)["measurements"]]
    certified = {
        row["metric"]
        for row in rows
        if row["implementation"] == "cosine_similarity@torch" and row["suite"] == "certificate"
    }
    assert {"causality", "padding", "mixing"} <= certified
    assert all(row["status"] == "ok" for row in rows if row["suite"] == "certificate")
