"""Documents cut into segments for language models, and what each token spells.

A document of tokens x_1 … x_n is cut into segments of `max_length`. The inputs of a segment are the
tokens before each of its targets: the mark of a beginning before x_1, the last token of the segment
before for the others. So each token of a document is a target exactly once, and a segment is read without
what came before it, but for one token. Padding has the target -1, which is not scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np

from suites.framework import NOT_SCORED

Side: TypeAlias = tuple[np.ndarray, np.ndarray]


def cut(documents: Sequence[np.ndarray], beginning: int, max_length: int, limit: int | None) -> Side:
    """Inputs and targets, each ``[segments, max_length]``, document after document, at most `limit`.

    `beginning` is the token that stands before a document's first; the inputs' padding is the same.
    """
    starts = ((document, at) for document in documents for at in range(0, len(document), max_length))
    chosen = list(islice(starts, limit))
    inputs = np.full((len(chosen), max_length), beginning, dtype=np.int32)
    targets = np.full((len(chosen), max_length), NOT_SCORED, dtype=np.int32)
    for row, (document, at) in enumerate(chosen):
        segment = document[at : at + max_length]
        targets[row, : len(segment)] = segment
        inputs[row, 1 : len(segment)] = segment[:-1]
        if at:
            inputs[row, 0] = document[at - 1]
    return inputs, targets


def begins(inputs: np.ndarray, pieces: Sequence[bytes]) -> np.ndarray:
    """Which segments ``[segments, time]`` begin a document: those whose first input spells nothing."""
    empty = np.array([not piece for piece in pieces])
    found: np.ndarray = empty[inputs[:, 0]]
    return found


def spelt(tokens: np.ndarray, pieces: Sequence[bytes]) -> bytes:
    """The bytes of the tokens ``[time]`` that are scored."""
    return b"".join([pieces[token] for token in tokens[tokens != NOT_SCORED].tolist()])


def byte_counts(targets: np.ndarray, pieces: Sequence[bytes]) -> np.ndarray:
    """How many bytes each target spells, in the shape of the targets; 0 where nothing is scored."""
    lengths = np.array([*map(len, pieces), 0])
    counts: np.ndarray = lengths[targets]
    return counts


def require_exact(text: str, tokens: np.ndarray, pieces: Sequence[bytes]) -> None:
    """Raise ValueError unless the tokens spell the text, byte for byte."""
    found, expected = spelt(tokens, pieces), text.encode()
    if found != expected:
        both = enumerate(zip(found, expected, strict=False))
        at = next((place for place, (one, other) in both if one != other), min(len(found), len(expected)))
        raise ValueError(
            f"tokens must spell their text exactly, but differ from byte {at} on:"
            f" {found[at : at + 20]!r} for {expected[at : at + 20]!r}"
        )
