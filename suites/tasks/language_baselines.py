"""What language models are held against: an n-gram model of bytes, and general compressors.

All work on the bytes that the task's tokens spell, and learn from what a model learns from. The n-gram
model is asked as a model is: segment by segment, with nothing before a segment but its first input. A
compressor is not: it goes on from the training text, and from each segment to the next, so that it knows
more than a model; its figure is one for all.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable

import numpy as np

from suites.tasks.data import TaskData
from suites.tasks.language import metrics
from suites.tasks.ngrams import BEGINNING, NGrams, train_ngrams
from suites.tasks.segments import begins, byte_counts, spelt

CONTEXT = 5


def ngrams(data: TaskData) -> dict[str, list[float]]:
    """Interpolated Kneser-Ney over a byte and the five before it."""
    model = train_ngrams(training_stream(data), CONTEXT)
    counts = byte_counts(data.test_targets, data.pieces)
    bits = np.stack([_of_tokens(*row) for row in zip(_of_bytes(model, data), counts, strict=True)])
    found = metrics(bits, data.test_targets, data)
    if data.score == "language_memory":
        # Positions are counted otherwise there: in what a model reads at a time.
        del found["bits_by_position"]
    return {name: values.tolist() for name, values in found.items()}


def training_stream(data: TaskData) -> np.ndarray:
    """All bytes of the training side ``[bytes and beginnings]``, `BEGINNING` before each document."""
    inputs = data.train_inputs[0]
    parts: list[np.ndarray] = []
    for first, row in zip(begins(inputs, data.pieces), data.train_targets, strict=True):
        mark = [BEGINNING] if first or not parts else []
        parts.append(np.array(mark, dtype=np.int64))
        parts.append(np.frombuffer(spelt(row, data.pieces), dtype=np.uint8).astype(np.int64))
    return np.concatenate(parts)


def _of_bytes(model: NGrams, data: TaskData) -> list[np.ndarray]:
    """The bits of each byte, segment by segment."""
    rows = []
    for given, targets in zip(data.test_inputs[0][:, 0].tolist(), data.test_targets, strict=True):
        before = data.pieces[given][-1] if data.pieces[given] else BEGINNING
        rows.append(np.array([before, *spelt(targets, data.pieces)], dtype=np.int64))
    return model.bits(rows)


def _of_tokens(bits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The bits of each token ``[time]``: those of its bytes, of which `counts` says how many."""
    until = np.concatenate([[0.0], bits.cumsum()])
    return np.diff(until[np.concatenate([[0], counts.cumsum()])])


def zlib_after_training(data: TaskData) -> dict[str, list[float]]:
    """Deflate at its best level; of the training text it remembers the last 32 KiB."""
    return _compressed(data, lambda text: zlib.compress(text, 9))


def lzma_after_training(data: TaskData) -> dict[str, list[float]]:
    """LZMA at its best level; it remembers 64 MiB."""
    return _compressed(data, lambda text: lzma.compress(text, preset=9))


def _compressed(data: TaskData, compress: Callable[[bytes], bytes]) -> dict[str, list[float]]:
    """What the test text adds to the compressed training text, in bits a byte."""
    train, test = (
        b"".join(spelt(row, data.pieces) for row in targets)
        for targets in (data.train_targets, data.test_targets)
    )
    added = len(compress(train + test)) - len(compress(train))
    return {"bits_per_byte": [8 * added / len(test)]}
