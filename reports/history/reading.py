"""Runs on disk to one column table, quickly: a row a measurement, its values brought to three figures.

`measurements.jsonl` stays the only record. Beside it lies `history.parquet`, made from it at first sight and
made again whenever the record's size or time of change is another; where it cannot be written it is done
without. The log ratio is that of the blocks of a launch (the medians' where the arms have no common blocks).
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet

from bench.store import MEASUREMENTS

CACHE = "history.parquet"
LAYOUT = "1"
"""Changed whenever the table's columns or what they mean change: older caches are then made again."""
_NAMES = ("suite", "metric", "unit", "implementation", "role", "subject", "environment_id")
_NUMBERS = ("seed", "launch")
_FIGURES = ("mean", "median", "log_ratio")
SCHEMA = pyarrow.schema(
    [(name, pyarrow.dictionary(pyarrow.int32(), pyarrow.string())) for name in _NAMES]
    + [(name, pyarrow.int64()) for name in _NUMBERS]
    + [(name, pyarrow.float64()) for name in _FIGURES]
)
_Floats = npt.NDArray[np.float64]


class _Measured(msgspec.Struct, gc=False):
    """Of a stored measurement what a history needs; the rest is passed over while it is read."""

    suite: str
    metric: str
    unit: str
    implementation: str
    subject: str
    environment_id: str
    seed: int
    launch: int
    status: str = "ok"
    role: str = "candidate"
    values: list[float] = []


class _Step(msgspec.Struct):
    measurements: list[_Measured]


def read_table(run: Path) -> pyarrow.Table:
    """What the run in this folder measured with status ok, from the cache where that is still true."""
    record = run / MEASUREMENTS
    if not record.is_file():
        return SCHEMA.empty_table()
    state = record.stat()
    seen = {"layout": LAYOUT, "size": str(state.st_size), "changed": str(state.st_mtime_ns)}
    cached = _cached(run / CACHE, seen)
    if cached is not None:
        return cached
    with _no_collector():
        table = _tabulated(_measured(record))
    marked = table.replace_schema_metadata({"attnbench": json.dumps(seen)})
    _keep(marked, run / CACHE)
    return table


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Without the search for reference cycles, which looks at a million small objects again and again and
    finds nothing: it is half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _cached(path: Path, seen: Mapping[str, str]) -> pyarrow.Table | None:
    """The cache, unless it is of another state of the record or was torn."""
    try:
        # Not memory-mapped and one thread: the files are small, and threads cost more than they save.
        table = pyarrow.parquet.ParquetFile(path).read(use_threads=False)
    except (OSError, pyarrow.ArrowInvalid):
        return None
    said = (table.schema.metadata or {}).get(b"attnbench", b"{}")
    return table.replace_schema_metadata(None).cast(SCHEMA) if json.loads(said) == dict(seen) else None


def _keep(table: pyarrow.Table, path: Path) -> None:
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        pyarrow.parquet.write_table(table, unfinished)
        unfinished.replace(path)
    except OSError:
        # A folder that may only be read has no cache, and is read from its record each time.
        unfinished.unlink(missing_ok=True)


def _measured(record: Path) -> list[_Measured]:
    """The rows with values; a torn line is left out with a warning, as `bench.store.read_run` does."""
    decoder, found, torn = msgspec.json.Decoder(_Step), list[_Measured](), 0
    for line in record.read_bytes().splitlines(keepends=True):
        try:
            step = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            torn += 1
            continue
        if line.endswith(b"\n"):
            found += [row for row in step.measurements if row.status == "ok" and row.values]
        else:
            torn += 1
    if torn:
        warnings.warn(f"{record}: {torn} torn line(s) left out", stacklevel=3)
    return found


def _tabulated(rows: Sequence[_Measured]) -> pyarrow.Table:
    counts = np.fromiter((len(row.values) for row in rows), np.int64, len(rows))
    starts = np.concatenate([[0], np.cumsum(counts)])[:-1].astype(np.int64)
    values = np.fromiter(chain.from_iterable(row.values for row in rows), np.float64, int(counts.sum()))
    medians = _middles(values, starts, counts)
    texts = {name: map(attrgetter(name), rows) for name in _NAMES}
    columns: dict[str, Any] = {
        name: pyarrow.array(list(held), pyarrow.string()).dictionary_encode() for name, held in texts.items()
    }
    columns |= {name: list(map(attrgetter(name), rows)) for name in _NUMBERS}
    columns["mean"] = np.add.reduceat(values, starts) / counts if len(rows) else []
    columns["median"] = medians
    columns["log_ratio"] = pyarrow.array(_log_ratios(rows, values, starts, counts, medians), from_pandas=True)
    return pyarrow.table(columns).cast(SCHEMA)


def _middles(values: _Floats, starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> _Floats:
    """The median of each row's values; rows of one length are taken together."""
    medians = np.empty(len(counts))
    for count in np.unique(counts):
        places = np.flatnonzero(counts == count)
        medians[places] = np.median(values[starts[places, None] + np.arange(count)], axis=1)
    return medians


def _log_ratios(
    rows: Sequence[_Measured],
    values: _Floats,
    starts: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    medians: _Floats,
) -> _Floats:
    """``log(candidate / reference)`` of the same launch; NaN for a row with no reference or not positive."""
    pairs = np.array(_pairs(rows), dtype=np.int64).reshape(-1, 2)
    ratios = np.full(len(rows), math.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
        for count in np.unique(counts[pairs[:, 0]]):
            mine, beside = pairs[(counts[pairs[:, 0]] == count) & (counts[pairs[:, 1]] == count)].T
            blocks = np.arange(count)
            ratios[mine] = np.median(
                logs[starts[mine, None] + blocks] - logs[starts[beside, None] + blocks], axis=1
            )
        mine, beside = pairs[counts[pairs[:, 0]] != counts[pairs[:, 1]]].T
        ratios[mine] = np.log(medians[mine] / medians[beside])
    ratios[~np.isfinite(ratios)] = math.nan
    return ratios


def _pairs(rows: Sequence[_Measured]) -> list[tuple[int, int]]:
    """Each candidate's position with that of the reference of the same launch, framework and seed."""
    references: dict[tuple[object, ...], int] = {}
    candidates: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.role not in ("reference", "candidate"):
            continue
        framework = row.implementation.rpartition("@")[2]
        key = (row.suite, row.metric, row.subject, framework, row.environment_id, row.launch, row.seed)
        if row.role == "reference":
            references[key] = place
        else:
            candidates[key].append(place)
    return [
        (mine, references[key]) for key, places in candidates.items() if key in references for mine in places
    ]
