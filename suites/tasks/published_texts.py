"""Texts of a data set on Hugging Face: its published training and test rows, and the names of its classes.

Published validation rows are left unread: the engine cuts a validation side of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bench.schema import Task
from suites.tasks.data import DataMissing
from suites.tasks.huggingface import Splits, load_splits
from suites.tasks.texts import LabelledText, Sides, digest_of_rows, labelled, without_copies


def published_sides(
    task: Task,
    canonical: str,
    classes: Sequence[str],
    *,
    label: str = "label",
    configuration: str = "",
    counted: str = "texts",
) -> Sides:
    """The rows with one class, on the side they were published on; training copies of test texts left out.

    The column `label` holds a class's number or a list of such numbers; rows with none or with several are
    left out and counted. `classes` names them where the data set itself does not.

    Raises:
        DataMissing: the data set cannot be had, lacks a column, or numbers a class below 0.
    """
    found = load_splits(task, canonical, ("text", label), configuration)
    train, test = (_texts(found, side, label) for side in (found.train, found.test))
    kept = without_copies(train, test)
    if not kept or not test:
        raise DataMissing(
            f"the data set {found.name!r} has {len(kept)} training and {len(test)} test rows"
            f" with a single {label}: nothing to learn from or to test on"
        )
    rows = len(found.train) + len(found.test)
    counts = {f"{counted}_read": rows, "left_out_of_training": len(train) - len(kept)}
    if several := rows - len(train) - len(test):
        counts["rows_without_a_single_class"] = several
    return Sides(
        train=kept,
        test=test,
        classes=_class_names(found.classes.get(label) or tuple(classes), [*train, *test]),
        source=found.source(digest_of_rows(train, test)),
        counts=counts,
    )


def _texts(found: Splits, rows: Iterable[dict[str, Any]], label: str) -> list[LabelledText]:
    texts = []
    for number, row in enumerate(rows, start=1):
        classes = _numbers(row[label])
        if len(classes) != 1:
            continue
        if not isinstance(row["text"], str) or not isinstance(classes[0], int) or classes[0] < 0:
            raise DataMissing(
                f"the data set {found.name!r}, row {number}: there must be a text and the number of its"
                f" class, 0 or more, got {row['text']!r:.60} and {classes[0]!r:.60}"
            )
        texts.append(labelled(row["text"], classes[0]))
    return texts


def _numbers(label: Any) -> Sequence[Any]:
    """The classes of a row: a number, a list of numbers, or a list as CSV has to write it (``"[2, 27]"``)."""
    if isinstance(label, str) and re.fullmatch(r"\[?[\d\s,]*\]?", label):
        return [int(number) for number in re.findall(r"\d+", label)]
    return label if isinstance(label, (list, tuple)) else (label,)


def _class_names(known: tuple[str, ...], texts: Iterable[LabelledText]) -> tuple[str, ...]:
    """The known names, or plain numbers where the data have classes beyond them."""
    count = max(one.label for one in texts) + 1
    return known if count <= len(known) else tuple(map(str, range(count)))
