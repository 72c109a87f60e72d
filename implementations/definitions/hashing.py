"""Hashed attention after Reformer, arXiv:2001.04451, section 2: the union of all rounds as one n x n mask.

Chunks are counted off inside their bucket among the real tokens so far, one token at a time; a query sees
the keys of its bucket that are in its chunk or the one before. Keys are the queries at unit length.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from implementations.definitions.projected import Array, join, linear, softmax, split, who_sees_whom


def layer(
    tokens: Array,
    *,
    context: Array | None,
    padding: Array | None,
    causal: bool,
    weights: Mapping[str, Array],
    heads: int,
    options: Mapping[str, Any],
) -> Array:
    """The whole layer; `weights` hold the rotations, and there is no map for keys."""
    source = tokens if context is None else context
    query, shared, value = (
        split(linear(x, weights, name), heads)
        for x, name in ((tokens, "query"), (source, "query"), (source, "value"))
    )
    visible = who_sees_whom(tokens, source, padding, causal=causal)
    real = np.ones(source.shape[:2], dtype=bool) if padding is None else padding
    lengths = np.sqrt((shared**2).sum(axis=-1, keepdims=True))
    key = shared / np.where(lengths > 0, lengths, 1.0)
    rotations = weights["rotations"].astype(np.float64)
    mixed = np.zeros_like(query)
    for batch, head in np.ndindex(query.shape[:2]):
        found = found_in_some_round(key[batch, head], real[batch], rotations, options.get("size", 64))
        seen = found & visible[batch]
        others = seen & ~np.eye(len(seen), dtype=bool)
        seen = np.where(others.any(axis=-1, keepdims=True), others, seen)
        scores = query[batch, head] @ key[batch, head].T / np.sqrt(query.shape[-1])
        mixed[batch, head] = softmax(scores, seen) @ value[batch, head]
    return linear(join(mixed), weights, "output")


def found_in_some_round(key: Array, real: Array, rotations: Array, size: int) -> Array:
    """``[time, time]``: True where the query's row finds the key's column in at least one round."""
    found = np.zeros((len(key), len(key)), dtype=bool)
    for rotation in rotations:
        chunks = chunks_of(key, real, rotation, size)
        for row, own in enumerate(chunks):
            for column, other in enumerate(chunks):
                if own is not None and other is not None:
                    found[row, column] |= own[0] == other[0] and own[1] - other[1] in (0, 1)
    return found


def chunks_of(key: Array, real: Array, rotation: Array, size: int) -> list[tuple[int, int] | None]:
    """Bucket and chunk of each token; None for a padded one."""
    met: defaultdict[int, int] = defaultdict(int)
    chunks: list[tuple[int, int] | None] = []
    for token, is_real in zip(key, real, strict=True):
        if not is_real:
            chunks.append(None)
            continue
        bucket = int(np.argmax(np.concatenate((token @ rotation, -(token @ rotation)))))
        chunks.append((bucket, met[bucket] // size))
        met[bucket] += 1
    return chunks
