"""The user's own texts out of a CSV or Parquet file: every row checked, and errors that name the row.

A file has the columns ``text`` and ``label`` and, if it likes, ``split`` (train, validation or test); other
columns are ignored. CSV is UTF-8 (with a byte-order mark or without), comma-separated, quoted by ``"``; its
rows are named by the line on which they begin, the header being line 1. Parquet rows are named by their
number, from 1. Labels are text or whole numbers; spaces around them, and lines of a CSV file that are wholly
empty, do not count.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.loading import did_you_mean
from suites.tasks.data import DataMissing

TEXT, LABEL, SPLIT = "text", "label", "split"
NEEDED = (TEXT, LABEL)
SPLITS = ("train", "validation", "test")
SUFFIXES = (".csv", ".parquet")
LONGEST_LABEL = 200


class BadFileError(DataMissing):
    """A file that cannot be used as it is; the message names the file and, where one is to blame, the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place (``line 3``, ``row 3``), its text, its label, and its side if the file has any."""

    place: str
    text: str
    label: str
    split: str = ""


def read_rows(path: Path) -> list[Row]:
    """All rows of the file in their order, at least one.

    Raises:
        DataMissing: there is no such file, or it is a Parquet file and pyarrow is not installed.
        BadFileError: the file is not what the module's docstring says.
    """
    if not path.is_file():
        raise DataMissing(f"there is no file {path}: --data takes a file with the columns text and label")
    read = {".csv": _csv_cells, ".parquet": _parquet_cells}.get(path.suffix.lower())
    if read is None:
        raise BadFileError(
            f"{path.name} is neither a CSV nor a Parquet file: its name must end in {' or '.join(SUFFIXES)}"
        )
    rows = [_row(path, place, cells) for place, cells in read(path)]
    if not rows:
        raise BadFileError(f"{path.name} is empty: it has no row beside its columns' names")
    return rows


def _csv_cells(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    content = _utf_8(path)
    if not content.strip():
        raise BadFileError(f"{path.name} is empty: its first line must name the columns text and label")
    earlier = csv.field_size_limit(max(len(content), 1 << 17))
    try:
        reader = csv.reader(io.StringIO(content, newline=""), strict=True)
        yield from _csv_rows(path, reader)
    finally:
        csv.field_size_limit(earlier)


def _utf_8(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadFileError(
            f"{path.name}, line {line}: byte {content[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        ) from error


def _csv_rows(path: Path, reader: Any) -> Iterator[tuple[str, dict[str, object]]]:
    names: list[str] = []
    while True:
        # The line on which the next row begins: a field in quotes may hold newlines.
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise BadFileError(
                f"{path.name}, line {line}: {error}; a quote inside a quoted field is written twice"
            ) from error
        if cells is None:
            return
        if not cells:
            continue
        if not names:
            names = [name.strip() for name in cells]
            _check_columns(path, f", line {line}", names)
        elif len(cells) != len(names):
            raise BadFileError(
                f"{path.name}, line {line}: {len(cells)} fields where the first line names {len(names)}"
                " columns; put a text that holds commas into double quotes"
            )
        else:
            yield f"line {line}", dict(zip(names, cells, strict=True))


def _check_columns(path: Path, place: str, names: Sequence[str]) -> None:
    for name in (*NEEDED, SPLIT):
        if names.count(name) > 1:
            raise BadFileError(f"{path.name}{place}: the column {name!r} is there {names.count(name)} times")
    for name in NEEDED:
        if name not in names:
            commas = "; fields must be separated by commas" if len(names) == 1 else ""
            raise BadFileError(
                f"{path.name}{place}: there is no column {name!r}{did_you_mean(name, list(names))};"
                f" the columns are {', '.join(map(repr, names))}{commas}"[:500]
            )


def _parquet_cells(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    if importlib.util.find_spec("pyarrow") is None:
        raise DataMissing(
            "reading Parquet needs pyarrow, which is not installed: pip install attnbench[data]"
        )
    if not path.stat().st_size:
        raise BadFileError(f"{path.name} is empty: it holds not a byte")
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    try:
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            _check_columns(path, "", names)
            table = file.read(columns=[name for name in (*NEEDED, SPLIT) if name in names])
    except (pyarrow.ArrowException, OSError) as error:
        raise BadFileError(f"{path.name} is not a Parquet file that can be read: {error}") from error
    columns = [_values(path, name, table.column(name)) for name in table.column_names]
    for number, cells in enumerate(zip(*columns, strict=True), start=1):
        yield f"row {number}", dict(zip(table.column_names, cells, strict=True))


def _values(path: Path, name: str, column: Any) -> list[object]:
    """The column's cells; raises BadFileError for text that is not UTF-8, which Parquet does not check."""
    values: list[object] = []
    for number, cell in enumerate(column, start=1):
        try:
            values.append(cell.as_py())
        except UnicodeDecodeError as error:
            raise BadFileError(f"{path.name}, row {number}: the {name} is not UTF-8") from error
    return values


def _row(path: Path, place: str, cells: dict[str, object]) -> Row:
    where = f"{path.name}, {place}"
    text, label = cells[TEXT], cells[LABEL]
    if text is None or not str(text).strip():
        raise BadFileError(f"{where}: the text is empty")
    if not isinstance(text, str):
        raise BadFileError(f"{where}: the text must be text, got {type(text).__name__} {text!r:.60}")
    if label is None or not str(label).strip():
        raise BadFileError(f"{where}: the label is missing")
    if not isinstance(label, (str, int)):
        raise BadFileError(
            f"{where}: a label must be text or a whole number, got {type(label).__name__} {label!r:.60}"
        )
    name = str(label).strip()
    if len(name) > LONGEST_LABEL:
        raise BadFileError(
            f"{where}: a label of {len(name):,} characters (at most {LONGEST_LABEL}): is it the text?"
        )
    return Row(place, text, name, _split_of(where, cells))


def _split_of(where: str, cells: dict[str, object]) -> str:
    if SPLIT not in cells:
        return ""
    said = str(cells[SPLIT] if cells[SPLIT] is not None else "").strip()
    if said.lower() not in SPLITS:
        raise BadFileError(
            f"{where}: split must be train, validation or test,"
            f" got {said[:60]!r}{did_you_mean(said, [*SPLITS])}"
        )
    return said.lower()
