"""Hashed attention after Reformer, arXiv:2001.04451, section 2: the union of all rounds as one n x n mask.

Not causal, the real tokens of a round are sorted by bucket and position and cut into chunks; a query sees
the keys of its bucket that are in its chunk or the one before. Causal, it sees the `size` tokens of its
bucket before it. Keys are the queries at unit length.
"""

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture, products, softmax


def keys(given: Given) -> Array:
    """The queries' map of the source, at unit length: there is no map for keys."""
    shared = given.of_source("query")
    lengths = np.sqrt((shared**2).sum(axis=-1, keepdims=True))
    key: Array = shared / np.where(lengths > 0, lengths, 1.0)
    return key


def scores(given: Given) -> Array:
    """q_i . k_j / sqrt(d), whoever sees whom."""
    return products(given.of_tokens("query"), keys(given))


def mix(given: Given, value: Array) -> Array:
    """Softmax attention to what any round found; `weights` hold the rotations."""
    key, found, visible = keys(given), scores(given), given.visible()
    real = np.ones(given.source.shape[:2], dtype=bool) if given.padding is None else given.padding
    mixed = np.zeros((*found.shape[:3], value.shape[-1]))
    for batch, head in np.ndindex(found.shape[:2]):
        seen = seen_in_rounds(given, key[batch, head], real[batch]) & visible[batch]
        others = seen & ~np.eye(len(seen), dtype=bool)
        seen = np.where(others.any(axis=-1, keepdims=True), others, seen)
        mixed[batch, head] = softmax(found[batch, head], seen) @ value[batch, head]
    return mixed


layer = Mixture(mix, scores=scores)


def seen_in_rounds(given: Given, key: Array, real: Array) -> Array:
    """``[time, time]``: True where in some round the query's row finds the key's column."""
    found = np.zeros((len(key), len(key)), dtype=bool)
    for rotation in given.weights["rotations"].astype(np.float64):
        buckets = buckets_of(key, real, rotation)
        found |= (found_before if given.causal else found_in_chunks)(buckets, given.options.get("size", 64))
    return found


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
