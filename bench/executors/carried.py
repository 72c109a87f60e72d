"""What crosses between the one who runs and a node: frames of bytes, and files as bytes within them.

Trained weights are carried rather than kept on a shared disk: a node needs nothing but the packages, may
die at any time, and the run's folder stays the only record. They are the safetensors and JSON files that
the suites write, as they are: nothing is pickled. A name from the other side becomes a path only when each
of its parts is harmless.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ANSWER, OUTCOME, FILE = b"answer", b"outcome", b"file"
_PART = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_@.-]*")
_UNFINISHED = ".new"

Seen = Mapping[str, tuple[int, int]]
"""Files by name, each with when it was changed (ns) and its size."""


def frame(kind: bytes, content: bytes, name: str = "") -> bytes:
    """One message: its kind, a name, and what it holds."""
    return b"\0".join((kind, name.encode(), content))


def opened(message: bytes) -> tuple[bytes, str, bytes]:
    """Kind, name and content of a message; raises ValueError for what is none."""
    kind, name, content = message.split(b"\0", 2)
    return kind, name.decode(), content


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    """All finished files below the folder."""
    found: dict[str, tuple[int, int]] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if not name.endswith(_UNFINISHED) and (stamp := _stamp(path)):
                found[path.relative_to(folder).as_posix()] = stamp
    return found


def newer(now: Seen, known: Seen) -> list[str]:
    """Names of files that are not as they were known, the last written last: a description that makes
    weights count must not arrive before them."""
    return sorted((name for name in now if now[name] != known.get(name)), key=lambda name: now[name])


def read(folder: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """The files' contents; one that was put away meanwhile is left out."""
    for name in names:
        try:
            yield name, Path(folder, name).read_bytes()
        except FileNotFoundError:
            continue


def write(folder: Path, name: str, content: bytes) -> None:
    """Put a file where its name says, whole or not at all; raises ValueError for a name that would leave
    the folder."""
    if not all(_PART.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"a file may not be called {name!r}")
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.carried.{os.getpid()}{_UNFINISHED}")
    temporary.write_bytes(content)
    temporary.replace(path)


def stamp_of(folder: Path, name: str) -> tuple[int, int]:
    """How the file stands now; zeros where it is gone."""
    return _stamp(Path(folder, name)) or (0, 0)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
