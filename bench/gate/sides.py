"""Sides: an interpreter and a source of the code under test, each in a folder of its own.

The engine (`bench` and `suites`) is one and the same on both sides, a copy of the one that runs the gate,
and comes first on either path: a change in how it is measured is never taken for a change in what is
measured. Only the code under test differs. It is a commit (`git archive`), the working tree as it stands,
or a package that pip has installed apart. In a repository of attnbench the code under test is the package
`implementations`; in any other repository it is the whole tree, and `src` in it.

Folders and environment variables of the two sides are equally long: the size of a process's environment
moves its stack, and with it times.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

import bench
from bench import wire
from bench.gate.asking import Told
from bench.loading import is_file_target, split_target

SideName: TypeAlias = Literal["baseline", "candidate"]
SIDES: tuple[SideName, SideName] = ("baseline", "candidate")
ENGINE = ("bench", "suites")
OURS = "implementations"
ASKING_SECONDS = 120
INSTALLING_SECONDS = 900
SHOWN_LINES = 12
NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc")


class SideError(Exception):
    """A side that this engine cannot measure; the message says which and why."""


class UnknownCommitError(Exception):
    """A revision that the repository does not have, or no repository to look in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was asked for: a git revision or else a pip requirement or path, or else the working tree; and
    the interpreter, this one where nothing is said."""

    commit: str = ""
    package: str = ""
    python: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A side that answers. `folders` hold the code under test, first ones first; `tree` is where a user's
    relative file names are looked for, empty where they mean the current folder."""

    name: SideName
    title: str
    python: str
    engine: str
    folders: tuple[str, ...]
    tree: str
    told: Told

    @property
    def environment(self) -> dict[str, str]:
        """What a worker of this side is started with."""
        return path_variable(self.engine, self.folders)

    def place(self, spec: str) -> str:
        """A user's ``path/to/file.py:name`` as it stands on this side."""
        target, at, framework = spec.rpartition("@")
        if not target or ":" in framework:
            target, at, framework = spec, "", ""
        if not self.tree or ":" not in target or not is_file_target(target):
            return spec
        file, name = split_target(target)
        root, here = repository(), Path(file).expanduser().resolve()
        if root is None or not here.is_relative_to(root):
            return spec
        return f"{Path(self.tree) / here.relative_to(root)}:{name}{at}{framework}"


def path_variable(engine: str, folders: Sequence[str]) -> dict[str, str]:
    """The search path of a side; bytecode is written, as it would be for an installed package."""
    return {"PYTHONPATH": os.pathsep.join((engine, *folders)), "PYTHONDONTWRITEBYTECODE": ""}


def repository() -> Path | None:
    """The top folder of the git repository around the current folder."""
    done = _git("rev-parse", "--show-toplevel", folder=Path.cwd())
    return Path(done.stdout.decode().strip()).resolve() if done.returncode == 0 else None


def _git(*arguments: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    if shutil.which("git") is None:
        raise UnknownCommitError("git is not installed, so no commit can be measured")
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)


def resolved(commit: str) -> str:
    """The full name of a commit; raises UnknownCommitError where there is none."""
    root = repository()
    if root is None:
        raise UnknownCommitError(f"{Path.cwd()} lies in no git repository, so there is no commit {commit!r}")
    done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}", folder=root)
    if done.returncode != 0:
        raise UnknownCommitError(f"{root} has no commit {commit!r}; `git fetch` it, or name another")
    return done.stdout.decode().strip()


def copy_engine(place: Path) -> Path:
    """The engine that both sides are measured with, so that nobody changes it in between."""
    here = Path(bench.__file__).resolve().parent.parent
    for package in ENGINE:
        shutil.copytree(here / package, place / package, ignore=NOT_COPIED)
    return place


def build(name: SideName, source: Source, place: Path, engine: Path, threads: int) -> Side:
    """The side `name` of this source in the folder `place`; raises SideError where it does not answer."""
    python = source.python or sys.executable
    code = place / "code"
    code.mkdir(parents=True)
    folders, tree = [code], ""
    if source.package:
        title = f"package {source.package}"
        folders.insert(0, _installed(name, python, source.package, place / "pack"))
        _copy_ours(code)
    elif source.commit:
        title = _export(source.commit, code)
        tree = str(code)
    else:
        title = _working_tree(code)
        tree = str(code) if repository() else ""
    if not (code / OURS).exists():
        # A user's own repository: the variants that it is compared with are the engine's own.
        if (code / "src").is_dir():
            folders.insert(0, code / "src")
        folders.append(_copy_ours(place / "ours"))
    title += f", Python {python}" if source.python else ""
    paths = tuple(map(str, folders))
    told = _ask(name, python, str(engine), paths, place, threads)
    return Side(
        name=name, title=title, python=python, engine=str(engine), folders=paths, tree=tree, told=told
    )


def _copy_ours(place: Path) -> Path:
    """The variants that are installed beside the engine."""
    here = Path(bench.__file__).resolve().parent.parent
    shutil.copytree(here / OURS, place / OURS, ignore=NOT_COPIED)
    return place


def _is_ours(root: Path) -> bool:
    return (root / OURS / "catalog.py").is_file()


def _export(commit: str, place: Path) -> str:
    """Put what the commit holds of the code under test into the folder, and answer the commit's title."""
    root, full = repository(), resolved(commit)
    assert root is not None
    part = (OURS,) if _is_ours(root) else ()
    archive = place.with_name("code.tar")
    done = _git("archive", "--format=tar", f"--output={archive}", full, *part, folder=root)
    if done.returncode != 0:
        raise SideError(f"commit {commit} cannot be exported: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(archive) as opened:
        opened.extractall(place, filter="data")
    archive.unlink()
    return f"commit {full[:10]} ({_subject(root, full)})"


def _subject(root: Path, commit: str) -> str:
    return _git("log", "-1", "--format=%s", commit, folder=root).stdout.decode(errors="replace").strip()


def _working_tree(place: Path) -> str:
    """Put the working tree's code under test into the folder, edits and new files with it."""
    root = repository()
    if root is None:
        _copy_ours(place)
        return "the installed code"
    if _is_ours(root):
        shutil.copytree(root / OURS, place / OURS, ignore=NOT_COPIED)
    else:
        listed = _git("ls-files", "-z", "-co", "--exclude-standard", folder=root).stdout
        for name in filter(None, listed.decode(errors="surrogateescape").split("\0")):
            if (root / name).is_file():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, place / name)
    head = _git("rev-parse", "--short=10", "HEAD", folder=root).stdout.decode().strip()
    part = (OURS,) if _is_ours(root) else ()
    dirty = _git("status", "--porcelain", "--", *part, folder=root).stdout.strip()
    return f"working tree on {head or 'no commit'} ({'with changes' if dirty else 'unchanged'})"


def _installed(name: SideName, python: str, package: str, place: Path) -> Path:
    """The package alone, without what it depends on: that is the environment's affair."""
    path = Path(package).expanduser()
    if path.is_dir() and not any((path / file).is_file() for file in ("pyproject.toml", "setup.py")):
        shutil.copytree(path, place, ignore=NOT_COPIED)
        return place
    wanted = str(path.resolve()) if path.exists() else package
    command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), "--", wanted]
    done = _run(name, command, {}, place.parent, INSTALLING_SECONDS)
    if done.returncode != 0:
        raise SideError(f"{name}: pip cannot install {package}:\n{_end(done.stderr or done.stdout)}")
    return place


def _ask(
    name: SideName, python: str, engine: str, folders: tuple[str, ...], place: Path, threads: int
) -> Told:
    answer = place / "told.json"
    command = [python, "-P", "-m", "bench.gate.asking", str(answer), str(threads)]
    done = _run(name, command, path_variable(engine, folders), place, ASKING_SECONDS)
    if done.returncode != 0:
        raise SideError(
            f"{name}: {python} cannot load this side's catalogue with this engine (it needs Python 3.11 or "
            f"newer with msgspec, numpy, psutil, threadpoolctl and the framework):\n{_end(done.stderr)}"
        )
    try:
        told = wire.decode(answer.read_bytes(), Told)
    except (OSError, msgspec.DecodeError) as error:
        raise SideError(f"{name}: its answer cannot be read: {error}") from error
    _require_place(name, "bench", told.engine, (engine,))
    _require_place(name, OURS, told.ours, folders)
    return told


def _require_place(name: SideName, module: str, file: str, folders: Sequence[str]) -> None:
    """A side that took its code from elsewhere would be held against itself."""
    if not any(Path(file).resolve().is_relative_to(Path(folder).resolve()) for folder in folders):
        raise SideError(
            f"{name}: {module} was taken from {file}, expected a place under {', '.join(folders)}"
        )


def _run(
    name: SideName, command: list[str], more: Mapping[str, str], folder: Path, seconds: float
) -> subprocess.CompletedProcess[str]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=folder,
            env={**os.environ, **more},
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise SideError(f"{name}: {command[0]} did not answer within {seconds:g} s") from error
    except OSError as error:
        raise SideError(f"{name}: {command[0]} cannot be started: {error.strerror}") from error


def _end(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-SHOWN_LINES:])
