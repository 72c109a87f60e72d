"""The task ``text``: the user's own texts, ``attnbench compare --task text --data FILE``.

The file is a CSV or Parquet file, see `suites.tasks.labelled_file`. Every label is a class; classes are
numbered in the order of their names, or by value where all are whole numbers.

Where the file has a column ``split``, its sides are kept: training rows with the same words as a test or a
validation row are left out (and counted), and learning rates are chosen on the validation rows. Otherwise a
row is on the test side when the SHA-256 of its text's words falls in the lowest fifth, so that the split is
always the same and copies are on one side.

Own settings: ``data``, the file; ``data_sha256``, its hash when the run was planned, so that a run that is
resumed goes on with the same data or not at all; ``vocabulary_size``, see `suites.tasks.texts.by_words`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.schema import Task
from suites.tasks.data import DataMissing, Source, TaskData, digest
from suites.tasks.labelled_file import SPLITS, BadFileError, Row, read_rows
from suites.tasks.texts import (
    TEST_SHARE,
    LabelledText,
    Sides,
    by_words,
    content_key,
    majority,
    split,
    tfidf_logistic_regression,
    without_copies,
)

__all__ = ["check", "load", "majority", "tfidf_logistic_regression"]

OWN_SETTINGS = frozenset({"data", "data_sha256"})
MOST_CLASSES = 1_000


@dataclass(frozen=True, slots=True)
class Placed:
    """A row of the file with its text as the tasks hold it."""

    row: Row
    text: LabelledText


def load(task: Task) -> TaskData:
    """The task's data: inputs are ids ``[examples, max_length]`` and padding, True at real tokens.

    Raises:
        DataMissing: no file is named, it is not there or not what it was when the run was planned, or it
            cannot be used; the message names the row.
        ValueError: for a setting that has no meaning here.
    """
    return by_words(task, _sides(task), OWN_SETTINGS)


def check(task: Task) -> str:
    """What is wrong with the file that the task's settings name; empty where it can be used."""
    try:
        _sides(task)
    except DataMissing as wrong:
        return str(wrong)
    return ""


def _sides(task: Task) -> Sides:
    path = _file(task)
    rows = read_rows(path)
    sha256 = digest(path.read_bytes())
    planned = task.settings.get("data_sha256", sha256)
    if sha256 != planned:
        raise DataMissing(f"{path.name} is no longer the file that the run was planned with: begin a new run")
    classes = _classes(path, rows)
    number = {name: index for index, name in enumerate(classes)}
    placed = [Placed(row, LabelledText(row.text, number[row.label], content_key(row.text))) for row in rows]
    train, validation, test = _by_split(placed) if rows[0].split else _by_content(placed)
    kept_validation = without_copies(validation, test)
    kept = without_copies(train, [*kept_validation, *test])
    _check_sides(path, placed, kept, test)
    left_out = len(train) + len(validation) - len(kept) - len(kept_validation)
    return Sides(
        train=kept,
        validation=kept_validation,
        test=test,
        classes=classes,
        source=Source(
            name=f"the user's file {path.name}",
            version="as given",
            sha256=sha256,
            licence="the user's own",
            origin=f"--data, split {'by its column split' if rows[0].split else 'by content'}",
        ),
        counts={
            "rows_read": len(rows),
            "left_out_of_training": left_out,
            "validation_rows": len(kept_validation),
        },
    )


def _file(task: Task) -> Path:
    named = str(task.settings.get("data", ""))
    if not named:
        raise DataMissing(f"the task {task.name} reads a file of yours: name it with --data FILE")
    return Path(named)


def _classes(path: Path, rows: Sequence[Row]) -> tuple[str, ...]:
    """The names of the classes in the order of their numbers; raises BadFileError for too few or too many."""
    names = {row.label for row in rows}
    if len(names) < 2:
        raise BadFileError(
            f"{path.name}: all {len(rows):,} rows have the label {rows[0].label!r}; there must be two classes"
        )
    if len(names) > MOST_CLASSES:
        raise BadFileError(
            f"{path.name}: the column label holds {len(names):,} different values, more than the"
            f" {MOST_CLASSES:,} classes that are allowed: is it the right column?"
        )
    numbers = all(re.fullmatch(r"[+-]?\d+", name) for name in names)
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if numbers else None))


Parts = tuple[list[LabelledText], list[LabelledText], list[LabelledText]]


def _by_split(placed: Sequence[Placed]) -> Parts:
    train, validation, test = ([one.text for one in placed if one.row.split == side] for side in SPLITS)
    return train, validation, test


def _by_content(placed: Sequence[Placed]) -> Parts:
    train, test = split(one.text for one in placed)
    return train, [], test


def _check_sides(
    path: Path, placed: Sequence[Placed], train: Sequence[LabelledText], test: Sequence[LabelledText]
) -> None:
    """Raises BadFileError for an empty side, or a class that no training row shows."""
    chosen = bool(placed[0].row.split)
    for side, texts in (("train", train), ("test", test)):
        if not texts:
            why = (
                f"no row has the split {side}, or each is a copy of a row that is not for training"
                if chosen
                else f"none of its {len(placed):,} rows falls on the {side} side of the split by content"
                f" ({TEST_SHARE:.0%} are for the test); add rows or a column split"
            )
            raise BadFileError(f"{path.name} has no {side} rows: {why}")
    learnt, tested = {one.label for one in train}, {one.key for one in test}
    if len(learnt) < 2 and {one.label for one in test} <= learnt:
        raise BadFileError(f"{path.name}: all of its {len(train):,} train rows have the same label")
    for one in placed:
        if one.text.label not in learnt and one.text.key in tested:
            remedy = "" if chosen else "; add rows of it, or a column split"
            raise BadFileError(
                f"{path.name}, {one.row.place}: the class {one.row.label!r} is on the test side and no"
                f" training row has it, so that no model can learn it{remedy}"
            )
