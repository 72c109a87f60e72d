"""Transformer-XL read as its paper reads it: segment after segment, with the memory of those before.

The segments of a document are read in turn, each with the memory that the one before left; a new document
starts without memory. Training is plain: on segments of `max_length`, without memory. So that no distance
is met that training has not seen, evaluation reads `read_length` tokens at a time, and ``read_length`` and
``memory_length`` may be `max_length` together; both are half of it by default. Paper: Dai and others 2019,
arXiv:1901.02860, section 3.2, which trains with memory too.

Own settings: ``read_length``; ``text``, which of two texts is read, ``reviews`` (default) or the longer
documents of ``shakespeare``; and those of `suites.tasks.reviews` or `suites.tasks.shakespeare`.

Metrics are those of `suites.tasks.language`; ``bits_by_position`` counts positions in what is read at a
time, and ``bits_per_byte_alone`` is the same reading without any memory: what the memory is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from bench.schema import Task
from suites.framework import NOT_SCORED, Framework, Model
from suites.tasks.data import TaskData, count_setting
from suites.tasks.language import bits_of, by_position, metrics, require_finite
from suites.tasks.language_bytes import of_texts
from suites.tasks.reviews import LIMITS, Texts, read_reviews
from suites.tasks.segments import begins, byte_counts
from suites.tasks.shakespeare import read_plays

TEXTS: Mapping[str, Callable[[Task], Texts]] = {"reviews": read_reviews, "shakespeare": read_plays}
OWN_SETTINGS = LIMITS | {"file", "read_length", "text"}


def load(task: Task) -> TaskData:
    """The bytes of a text in segments, as `suites.tasks.language_bytes` has them.

    Raises:
        DataMissing: the text is not there.
        ValueError: for a setting that has no meaning here.
    """
    text = str(task.settings.get("text", "reviews"))
    if text not in TEXTS:
        raise ValueError(f"{task.name} reads {' or '.join(TEXTS)}, got text {text!r}")
    read_length(task)
    return replace(of_texts(task, TEXTS[text](task), OWN_SETTINGS), score="language_memory")


def evaluate(
    framework: Framework,
    model: Model,
    inputs: Sequence[np.ndarray],
    targets: np.ndarray,
    data: TaskData,
    task: Task,
) -> dict[str, np.ndarray]:
    """The metrics on segments ``[segments, max_length]``, those of a document one after another.

    Raises:
        NotFiniteError: for outputs that are not finite.
        ValueError: for a ``read_length`` that does not divide `max_length`.
    """
    length = read_length(task)
    first = begins(inputs[0], data.pieces)
    # What is read at a time is a row: a document's rows follow one another.
    pages = inputs[0].reshape(-1, length), targets.reshape(-1, length)
    documents = documents_of(np.flatnonzero(first) * (task.max_length // length), len(pages[0]))
    read, alone = (
        _bits(framework, model, *pages, documents, task.batch, remember=remember)
        for remember in (True, False)
    )
    counts = byte_counts(pages[1], data.pieces)
    return {
        **metrics(read.reshape(targets.shape), targets, data),
        "bits_by_position": by_position(read, counts),
        "bits_per_byte_alone": metrics(alone.reshape(targets.shape), targets, data)["bits_per_byte"],
    }


def read_length(task: Task) -> int:
    """How many tokens are read at a time; raises ValueError if segments do not hold them evenly."""
    length = count_setting(task, "read_length") or max(task.max_length // 2, 1)
    if task.max_length % length:
        raise ValueError(
            f"{task.name}: read_length must divide max_length, got {length} and {task.max_length}"
        )
    return length


def documents_of(starts: np.ndarray, rows: int) -> list[range]:
    """The rows of each document, given where documents start.

    Rows before the first start are of one document as well: the rest of one that was cut.
    """
    edges = sorted({0, rows, *starts.tolist()})
    return [range(start, end) for start, end in pairwise(edges)]


def _bits(
    framework: Framework,
    model: Model,
    inputs: np.ndarray,
    targets: np.ndarray,
    documents: list[range],
    batch: int,
    *,
    remember: bool,
) -> np.ndarray:
    """What each target costs, ``[rows, length]``; `batch` documents are read side by side."""
    bits = np.zeros(targets.shape)
    # Documents of one length together, so that few rows are read after their document's end.
    ordered = sorted(documents, key=len)
    for start in range(0, len(ordered), batch):
        chosen = ordered[start : start + batch]
        memory: Any = None
        for turn in range(len(chosen[-1])):
            rows = np.array([document[min(turn, len(document) - 1)] for document in chosen])
            going = np.array([turn < len(document) for document in chosen])
            if (targets[rows[going]] == NOT_SCORED).all():
                break
            (tokens,) = framework.arrays([inputs[rows]], "float32")
            outputs, kept = framework.call(model.read, tokens, memory)
            logits = require_finite(framework.output(outputs))
            bits[rows[going]] = bits_of(logits, targets[rows])[going]
            memory = kept if remember else None
    return bits
