"""Hashed attention after Reformer, arXiv:2001.04451, section 2: the union of all rounds as one n x n mask.

Not causal, the real tokens of a round are sorted by bucket and position and cut into chunks; a query sees
the keys of its bucket that are in its chunk or the one before. Causal, it sees the `size` tokens of its
bucket before it. Keys are the queries at unit length.
"""

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
        found = np.zeros(visible.shape[1:], dtype=bool)
        for rotation in rotations:
            buckets = buckets_of(key[batch, head], real[batch], rotation)
            found |= (found_before if causal else found_in_chunks)(buckets, options.get("size", 64))
        seen = found & visible[batch]
        others = seen & ~np.eye(len(seen), dtype=bool)
        seen = np.where(others.any(axis=-1, keepdims=True), others, seen)
        scores = query[batch, head] @ key[batch, head].T / np.sqrt(query.shape[-1])
        mixed[batch, head] = softmax(scores, seen) @ value[batch, head]
    return linear(join(mixed), weights, "output")


def buckets_of(key: Array, real: Array, rotation: Array) -> list[int | None]:
    """The bucket of each token; None for a padded one."""
    turned = key @ rotation
    nearest = np.argmax(np.concatenate((turned, -turned), axis=-1), axis=-1)
    return [int(bucket) if is_real else None for bucket, is_real in zip(nearest, real, strict=True)]


def found_in_chunks(buckets: list[int | None], size: int) -> Array:
    """``[time, time]``: True where the query's row finds the key's column in the paper's chunks."""
    found = np.zeros((len(buckets), len(buckets)), dtype=bool)
    placed = [(bucket, position) for position, bucket in enumerate(buckets) if bucket is not None]
    ordered = list(enumerate(sorted(placed)))
    for place, (bucket, row) in ordered:
        for other_place, (other_bucket, column) in ordered:
            found[row, column] = bucket == other_bucket and place // size - other_place // size in (0, 1)
    return found


def found_before(buckets: list[int | None], size: int) -> Array:
    """The same for what is causal: the token itself and the `size` before it in its bucket."""
    found = np.zeros((len(buckets), len(buckets)), dtype=bool)
    for row, bucket in enumerate(buckets):
        if bucket is not None:
            met = [column for column in range(row + 1) if buckets[column] == bucket]
            found[row, met[-1 - size :]] = True
    return found
