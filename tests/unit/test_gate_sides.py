"""Sides of the gate: commits, working trees, packages and other people's repositories, each in its place."""

import sys
from pathlib import Path

import pytest
from gated import Repository

from bench.gate.sides import Side, SideError, Source, UnknownCommitError, build, copy_engine, resolved


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(tmp_path / "repository")
    made.commit("the beginning")
    monkeypatch.chdir(made.folder)
    return made


def made(tmp_path: Path, engine: Path, **source: str) -> Side:
    return build("candidate", Source(**source), tmp_path / "side", engine, 1)


def text_of(side: Side, file: str) -> str:
    return next(Path(folder) / file for folder in side.folders if (Path(folder) / file).exists()).read_text()


def test_a_commit_is_what_it_was_whatever_stands_in_the_working_tree(
    repository: Repository, tmp_path: Path, engine: Path
) -> None:
    repository.write("softmax", seconds=0.5)
    side = made(tmp_path, engine, commit="main")
    assert "0.5" not in text_of(side, "implementations/softmax.py")
    assert "the beginning" in side.title
    assert {row.name for row in side.told.variants} == {"softmax", "sliding_window"}


def test_a_dirty_working_tree_is_taken_with_its_new_files(
    repository: Repository, tmp_path: Path, engine: Path
) -> None:
    repository.write("softmax", seconds=0.5)
    (repository.package / "new.py").write_text("x = 1\n")
    side = made(tmp_path, engine)
    assert "0.5" in text_of(side, "implementations/softmax.py")
    assert text_of(side, "implementations/new.py") == "x = 1\n"
    assert "with changes" in side.title
    assert side.told.engine.startswith(str(engine))


def test_a_commit_that_nobody_has_is_wrong_usage(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(UnknownCommitError, match="no commit 'nothing'"):
        resolved("nothing")
    with pytest.raises(UnknownCommitError, match="no commit '--all'"):
        resolved("--all")


def test_without_a_repository_there_are_no_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UnknownCommitError, match="no git repository"):
        resolved("HEAD")


def test_an_interpreter_that_is_not_there_cannot_be_measured(
    repository: Repository, tmp_path: Path, engine: Path
) -> None:
    with pytest.raises(SideError, match=r"candidate: .*no-such-python cannot be started"):
        made(tmp_path, engine, python=str(tmp_path / "no-such-python"))


def test_another_interpreter_answers_for_itself(repository: Repository, tmp_path: Path, engine: Path) -> None:
    side = made(tmp_path, engine, python=sys.executable)
    assert side.python == sys.executable
    assert side.told.environment.versions["python"] == ".".join(map(str, sys.version_info[:3]))


def test_another_persons_repository_is_taken_whole(
    tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Repository(tmp_path / "theirs")
    for file in theirs.package.iterdir():
        file.unlink()
    theirs.package.rmdir()
    kernel = theirs.folder / "src" / "kernels" / "fast.py"
    kernel.parent.mkdir(parents=True)
    kernel.write_text("def attend(): ...\n")
    theirs.commit("a kernel")
    monkeypatch.chdir(theirs.folder)
    side = made(tmp_path, engine, commit="HEAD")
    assert side.folders[0].endswith("code/src")
    assert "softmax" in {row.name for row in side.told.variants}
    placed = side.place("src/kernels/fast.py:attend@torch")
    assert placed == f"{side.tree}/src/kernels/fast.py:attend@torch"
    assert side.place("kernels.fast:attend") == "kernels.fast:attend"


def test_a_folder_of_modules_is_a_package_without_pip(
    tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib" / "kernels").mkdir(parents=True)
    (tmp_path / "lib" / "kernels" / "__init__.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    side = made(tmp_path, engine, package=str(tmp_path / "lib"))
    assert text_of(side, "kernels/__init__.py") == "x = 1\n"
    assert side.title == f"package {tmp_path / 'lib'}"


def test_a_package_that_pip_refuses_cannot_be_measured(
    tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SideError, match="pip cannot install"):
        made(tmp_path, engine, package="not a requirement ==")
