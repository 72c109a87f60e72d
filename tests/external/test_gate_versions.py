"""Two versions of a package that is not ours through the gate: as wheels, and in two environments."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "example_package"
KERNEL = "example_attention/kernel.py"
ASKED = ("cosine_similarity", "--on", "torch", "--suite", "certificate", "--profile", "smoke")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """0.1.0, causal where it is asked to be, 0.2.0, which no longer is, and 0.1.1, which says more."""
    folder = tmp_path_factory.mktemp("wheels")
    edits = {"0.1.0": ("", ""), "0.2.0": ("if causal:", "if causal and padding is not None:")}
    edits["0.1.1"] = ("def attend(", "# Luo and others 2017 ask why.\ndef attend(")
    found = {}
    for version, (old, new) in edits.items():
        source = folder / version
        shutil.copytree(PACKAGE, source)
        kernel, project = source / KERNEL, source / "pyproject.toml"
        assert old in kernel.read_text()
        kernel.write_text(kernel.read_text().replace(old, new, 1))
        project.write_text(project.read_text().replace('version = "0.1.0"', f'version = "{version}"'))
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--wheel-dir", str(folder / "wheels"), str(source)], check=True)
        (found[version],) = (folder / "wheels").glob(f"*-{version}-*.whl")
    return found


def gate(folder: Path, *arguments: str) -> tuple[int, dict[str, str]]:
    """The exit code, and the word of each property that is not the same."""
    command = [sys.executable, "-P", "-m", "bench.cli", "gate", *arguments, *ASKED, "--report", "told"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (folder / "told" / "gate.json").is_file(), done.stdout + done.stderr
    cells = json.loads((folder / "told" / "gate.json").read_text())["cells"]
    return done.returncode, {cell["metric"]: cell["word"] for cell in cells if cell["word"] != "same"}


def test_a_version_that_sees_the_future_is_worse_than_the_one_before(
    tmp_path: Path, wheels: dict[str, Path]
) -> None:
    versions = ("--baseline-package", str(wheels["0.1.0"]), "--candidate-package", str(wheels["0.2.0"]))
    code, words = gate(tmp_path, *versions)
    assert code == 1
    assert words["causality"] == "worse"


def test_a_version_that_only_says_more_is_not_measured(tmp_path: Path, wheels: dict[str, Path]) -> None:
    versions = ("--baseline-package", str(wheels["0.1.0"]), "--candidate-package", str(wheels["0.1.1"]))
    code, words = gate(tmp_path, *versions)
    assert (code, words) == (0, {})
    cells = json.loads((tmp_path / "told" / "gate.json").read_text())["cells"]
    assert cells and all(cell["unchanged"] for cell in cells)


def test_each_environment_answers_with_its_own_version(tmp_path: Path, wheels: dict[str, Path]) -> None:
    pythons = {}
    for version in ("0.1.0", "0.2.0"):
        place = tmp_path / version
        venv.create(place, symlinks=True)
        python = place / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, str(wheels[version])], check=True)
        # Everything else is shared with this environment, whose packages come after its own.
        (site,) = place.glob("lib/python*/site-packages")
        (site / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        pythons[version] = str(python)
    code, words = gate(
        tmp_path, "--baseline-python", pythons["0.1.0"], "--candidate-python", pythons["0.2.0"]
    )
    assert code == 1
    assert words["causality"] == "worse"
