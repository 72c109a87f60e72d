"""Four planted commits of this project through the whole `attnbench gate`, as anybody would call it.

Their verdicts need no clock, so that they are the same on any machine: documents and comments are not
measured, a leak of the future is found in its own commit, and its mending is no alarm.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROOF = Path(__file__).parents[1] / "proof" / "planted_history.py"


def _in_repository() -> bool:
    if shutil.which("git") is None:
        return False
    command = ["git", "-C", str(PROOF.parent), "ls-files", "--error-unmatch", PROOF.name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not _in_repository(), reason="the history is planted on a commit of this project")
def test_a_leak_is_found_in_its_commit_and_documents_are_not_measured(tmp_path: Path) -> None:
    command = [sys.executable, str(PROOF), str(tmp_path), "--small"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Plants found, the right commit named: 1/1." in done.stdout
    assert "Commits that touch nothing measured: 2, of which 2 were not measured" in done.stdout
    (worse,) = [
        number
        for number in (1, 2, 3, 4)
        if json.loads((tmp_path / "pairs" / f"{number:02}" / "told.json").read_text())["exit_code"] == 1
    ]
    assert worse == 3
    first = (tmp_path / "pairs" / "03" / "told.json").read_bytes()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert (tmp_path / "pairs" / "03" / "told.json").read_bytes() == first
