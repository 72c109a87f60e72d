"""How language models are scored: bits a byte of the text, whatever its tokens are.

A test segment's value of ``bits_per_byte`` is its bits over the mean number of bytes of a segment: the mean
of the values is then exactly all bits over all bytes, however long each segment is, and two models can be
compared segment by segment. ``bits_by_position`` is a profile of the whole side: all bits over all bytes
in each bin of positions in the segment, 0, 1, 2-3, 4-7, …, the last one up to the segment's end. It falls
as far as context helps. ``perplexity`` is that of a token, 2 to the mean bits, so it tells models of the
same tokens apart and no others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.schema import Task
from suites.framework import NOT_SCORED, Framework, Model
from suites.learning.scoring import NotFiniteError, outputs_of
from suites.tasks.data import TaskData
from suites.tasks.segments import byte_counts


def evaluate(
    framework: Framework,
    model: Model,
    inputs: Sequence[np.ndarray],
    targets: np.ndarray,
    data: TaskData,
    task: Task,
) -> dict[str, np.ndarray]:
    """The metrics of ``data.score`` on segments ``[segments, time]``, each read by itself.

    Raises:
        NotFiniteError: for outputs that are not finite.
    """
    bits = np.concatenate(
        [
            bits_of(require_finite(outputs), targets[start : start + len(outputs)])
            for start, outputs in outputs_of(framework, model, inputs, task.batch)
        ]
    )
    return metrics(bits, targets, data)


def metrics(bits: np.ndarray, targets: np.ndarray, data: TaskData) -> dict[str, np.ndarray]:
    """The metrics of ``data.score``, given the bits of each target ``[segments, time]``."""
    counts = byte_counts(targets, data.pieces)
    found = {
        "bits_per_byte": bits.sum(axis=1) / counts.sum(axis=1).mean(),
        "bits_by_position": by_position(bits, counts),
    }
    if data.score == "language_tokens":
        found["perplexity"] = np.array([2 ** (bits.sum() / (targets != NOT_SCORED).sum())])
    return found


def bits_of(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """What each of `targets` ``[batch, time]`` costs, in bits, under the logits `outputs` ``[batch, time,
    vocabulary]``; 0 where nothing is scored."""
    scored = targets != NOT_SCORED
    # Only the sum is taken in double precision: it is what adds up over a vocabulary.
    highest = outputs.max(axis=-1, keepdims=True)
    total = np.exp(outputs - highest).sum(axis=-1, dtype=np.float64)
    chosen = np.take_along_axis(outputs, np.where(scored, targets, 0)[..., None].astype(np.int64), axis=-1)
    nats = np.log(total) - (chosen - highest)[..., 0].astype(np.float64)
    return np.where(scored, nats / math.log(2), 0.0)


def by_position(bits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Bits over bytes in each bin of positions, from bits and byte counts ``[segments, time]``.

    Bins 0, 1, 2-3, 4-7, …; those behind the longest segment are left out.
    """
    time = bits.shape[1]
    edges = [0, *(2**power for power in range(math.ceil(math.log2(time)) if time > 1 else 0))]
    sums, bytes_of = (np.add.reduceat(values.sum(axis=0), edges) for values in (bits, counts))
    filled = bytes_of > 0
    profile: np.ndarray = sums[filled] / bytes_of[filled]
    return profile


def require_finite(outputs: np.ndarray) -> np.ndarray:
    """The outputs; raises NotFiniteError where NaN or infinity is among them."""
    finite = np.isfinite(outputs)
    if not finite.all():
        raise NotFiniteError(f"{int((~finite).sum())} of {outputs.size} outputs in a batch are not finite")
    return outputs
