"""What README shows works as it stands there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent.parent / "README.md"


@pytest.mark.slow
def test_the_variant_of_ten_lines_is_certified(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n# my_attention.py\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "my_attention.py").write_text(code)
    command = [sys.executable, "-P", "-m", "bench.cli", "run", "--variant", "my_attention.py:averaged"]
    arguments = ["--on", "torch", "--suite", "certificate", "--profile", "smoke", "--out", "run", "--quiet"]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run" / "measurements.jsonl").read_text().splitlines()
    rows = [row for line in lines for row in json.loads(line)["measurements"]]
    own = {row["metric"]: row["status"] for row in rows if row["implementation"] == "averaged@torch"}
    assert {"loads", "dtype", "shape", "finite", "mixing", "padding", "causality"} <= set(own)
    assert set(own.values()) == {"ok"}


def test_every_tox_environment_that_readme_names_exists() -> None:
    named = set(re.findall(r"tox run -e (\w+)", README.read_text()))
    configured = set(re.findall(r"\[testenv:(\w+)\]", (README.parent / "tox.ini").read_text()))
    assert named and named <= configured
