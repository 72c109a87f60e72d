"""A run on disk: a manifest, a plan, and one line for each finished step.

`measurements.jsonl` is the run's only record of what was measured. A step's measurements are one
line, written and flushed to disk before the next step's are; a line that a crash or a full disk has
torn is moved to `set_aside.jsonl` and the step is measured again, so nothing is lost or doubled.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from bench import wire
from bench.schema import Measurement, Plan

MANIFEST, PLAN, MEASUREMENTS, SET_ASIDE, LOCK, WEIGHTS = (
    "run.json",
    "plan.json",
    "measurements.jsonl",
    "set_aside.jsonl",
    "lock",
    "weights",
)


class StoreError(Exception):
    """A run folder that cannot be read or written; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One finished step: which job and step, and all that it measured."""

    job: str
    step: str
    measurements: tuple[Measurement, ...]
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as read: `set_aside` counts the torn lines that were not used."""

    path: Path
    manifest: dict[str, Any]
    measurements: tuple[Measurement, ...]
    set_aside: int


def _split(content: bytes) -> Iterator[tuple[bytes, bool]]:
    """Lines, each with whether its newline is there."""
    for line in content.splitlines(keepends=True):
        yield line.rstrip(b"\n"), line.endswith(b"\n")


def _parse(content: bytes) -> tuple[list[tuple[bytes, Record]], list[bytes]]:
    records: list[tuple[bytes, Record]] = []
    torn: list[bytes] = []
    for line, complete in _split(content):
        try:
            record = wire.decode(line, Record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            torn.append(line)
            continue
        # Without its newline a line may be cut inside a trailing part that still parses as JSON.
        if complete:
            records.append((line, record))
        else:
            torn.append(line)
    return records, torn


def _bytes_of(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def read_manifest(path: Path) -> dict[str, Any]:
    """`run.json` of a run folder; raises StoreError where there is none."""
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise StoreError(
            f"{path} is not a run: it has no {MANIFEST}; give the folder that `attnbench run` named"
        )
    try:
        return wire.decode(manifest.read_bytes(), dict[str, Any])
    except msgspec.DecodeError as error:
        raise StoreError(f"{manifest} is not valid JSON ({error})") from error


def read_run(path: Path) -> RunRecord:
    """The run in folder `path`, without changing it; torn lines are counted and left out, with a warning."""
    manifest = read_manifest(path)
    records, torn = _parse(_bytes_of(path / MEASUREMENTS))
    earlier = sum(1 for _ in _split(_bytes_of(path / SET_ASIDE)))
    if torn:
        warnings.warn(f"{path / MEASUREMENTS}: {len(torn)} torn line(s) left out", stacklevel=2)
    measurements = tuple(m for _, record in records for m in record.measurements)
    return RunRecord(path=path, manifest=manifest, measurements=measurements, set_aside=len(torn) + earlier)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Store:
    """A run folder opened for writing, by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        self.set_aside = 0
        self._file: int | None = None
        self._lock: int | None = None

    @classmethod
    def create(cls, path: Path, manifest: Mapping[str, Any], plan: Plan) -> Store:
        """A new run; raises StoreError where the folder already holds one."""
        if (path / MANIFEST).exists():
            raise StoreError(
                f"{path} already holds a run; go on with `attnbench resume {path}` or choose another --out"
            )
        path.mkdir(parents=True, exist_ok=True)
        _replace(path / PLAN, wire.pretty(plan))
        _replace(path / MANIFEST, wire.pretty(manifest))
        return cls(path)

    @property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.path)

    def update(self, **fields: Any) -> None:
        """Set fields of the manifest; the old one stays whole until the new one is on disk."""
        _replace(self.path / MANIFEST, wire.pretty({**self.manifest, **fields}))

    def plan(self) -> Plan:
        """The run's plan as it was made."""
        return wire.decode((self.path / PLAN).read_bytes(), Plan)

    def __enter__(self) -> Store:
        self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            self._lock = None
            raise StoreError(
                f"{self.path} is being written by another attnbench; wait for it or stop it"
            ) from error
        self._recover()
        self._file = os.open(
            self.path / MEASUREMENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    def _recover(self) -> None:
        records, torn = _parse(_bytes_of(self.path / MEASUREMENTS))
        self.records = [record for _, record in records]
        if not torn:
            return
        with open(self.path / SET_ASIDE, "ab") as aside:
            aside.write(b"".join(line + b"\n" for line in torn))
            aside.flush()
            os.fsync(aside.fileno())
        _replace(self.path / MEASUREMENTS, b"".join(line + b"\n" for line, _ in records))
        self.set_aside = len(torn)
        warnings.warn(
            f"{len(torn)} torn line(s) moved to {self.path / SET_ASIDE}; they are measured again",
            stacklevel=3,
        )

    def append(self, record: Record) -> None:
        """Add a finished step and return when it is on disk.

        Raises StoreError when the disk is full or cannot be written; what was written of the line is
        taken back, so that the run stays valid and can be resumed.
        """
        if self._file is None:
            raise StoreError("the store is not open: use it in a with statement")
        line = wire.encode(record) + b"\n"
        start = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, start)
            raise StoreError(
                f"cannot write {self.path / MEASUREMENTS} ({error.strerror}); "
                f"make room, then `attnbench resume {self.path}`"
            ) from error
        self.records.append(record)
