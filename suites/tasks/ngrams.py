"""An n-gram model of bytes with interpolated Kneser-Ney smoothing, in NumPy.

    p_k(w | c) = max(N(c w) - D_k, 0) / N(c) + D_k T(c) / N(c) * p_{k-1}(w | c')

c are the k - 1 bytes before w, c' those without the first, T(c) how many different bytes followed c, and
p_0 is 1/256. N counts occurrences for the longest n-gram, and for shorter ones how many different bytes
came before it (occurrences, if it stands at a document's beginning, where none can). D_k = n_1 / (n_1 + 2
n_2), from the numbers of n-grams counted once and twice. Where c was never seen, p_k is p_{k-1}. Papers:
Kneser and Ney 1995, doi:10.1109/ICASSP.1995.479394; Chen and Goodman 1999, doi:10.1006/csla.1999.0128
(interpolated, with one discount for each length).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

BEGINNING = 256
SYMBOLS = 257
# So many bytes before one make a number that 64 bits hold.
LONGEST_CONTEXT = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The n-grams of one length as sorted numbers, base 257, with their counts; what is known of their
    contexts, sorted as well; and the discount."""

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    followers: np.ndarray
    discount: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NGrams:
    """The model: `orders` from single bytes up."""

    orders: tuple[Order, ...]

    def probabilities(self, stream: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Of each symbol of a stream ``[symbols]``, given at most as many before it as `known` says.

        That of `BEGINNING` is meaningless: it is never told.
        """
        told = np.full(len(stream), 1 / (SYMBOLS - 1))
        for length, order in enumerate(self.orders, start=1):
            grams = windows(stream, length)
            at, seen = _find(order.contexts, grams // SYMBOLS)
            seen &= known >= length - 1
            place, found = _find(order.grams, grams)
            counts = np.where(found, order.counts[place], 0)
            own = np.maximum(counts - order.discount, 0) + order.discount * order.followers[at] * told
            told = np.where(seen, own / order.totals[at], told)
        return told

    def bits(self, segments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What each byte of each segment costs, but for the first, which is only seen."""
        lengths = [len(segment) for segment in segments]
        known = np.concatenate([np.arange(length) for length in lengths])
        told = -np.log2(self.probabilities(np.concatenate(segments), known))
        return [part[1:] for part in np.split(told, np.cumsum(lengths)[:-1])]


def train_ngrams(stream: np.ndarray, context: int) -> NGrams:
    """The model of a stream of bytes ``[symbols]`` with `BEGINNING` before each document.

    Raises:
        ValueError: for a context that does not fit into 64 bits, or a stream that begins otherwise.
    """
    if not 0 <= context <= LONGEST_CONTEXT:
        raise ValueError(f"a context must hold 0 to {LONGEST_CONTEXT} bytes, got {context}")
    if not len(stream) or stream[0] != BEGINNING:
        raise ValueError(f"a stream must begin with the mark of a beginning, {BEGINNING}")
    places = np.arange(len(stream))
    begins = np.maximum.accumulate(np.where(stream == BEGINNING, places, 0))
    return NGrams(orders=tuple(_orders(stream, places - begins, context + 1))[::-1])


def _orders(stream: np.ndarray, known: np.ndarray, longest: int) -> Iterator[Order]:
    """From the longest n-grams down; `known` is how many symbols of its document are before each one."""
    longer: np.ndarray | None = None
    for length in range(longest, 0, -1):
        grams = windows(stream, length)
        told = stream != BEGINNING
        if longer is None:
            numbers, counts = np.unique(grams[told & (known >= length - 1)], return_counts=True)
        else:
            # None of these can stand after another symbol, so no number is in both.
            first = grams[told & (known == length - 1)]
            numbers, counts = np.unique(np.concatenate([longer % SYMBOLS**length, first]), return_counts=True)
        longer = numbers
        # No document may be as long as the longest n-grams.
        if len(numbers):
            yield _order(numbers, counts)


def _order(grams: np.ndarray, counts: np.ndarray) -> Order:
    contexts, starts = np.unique(grams // SYMBOLS, return_index=True)
    once, twice = (int((counts == number).sum()) for number in (1, 2))
    return Order(
        grams=grams,
        counts=counts,
        contexts=contexts,
        totals=np.add.reduceat(counts, starts),
        followers=np.diff([*starts, len(grams)]),
        # Without n-grams seen once there is nothing to take from; half is what Ney's formula tends to.
        discount=once / (once + 2 * twice) if once else 0.5,
    )


def windows(stream: np.ndarray, length: int) -> np.ndarray:
    """The `length` symbols that end at each one, as numbers to base 257; before the first stand zeros."""
    numbers = np.zeros(len(stream), dtype=np.int64)
    for back in range(min(length, len(stream))):
        numbers[back:] += stream[: len(stream) - back] * SYMBOLS**back
    return numbers


def _find(table: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in a sorted table, and whether what is wanted stands there."""
    at = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return at, table[at] == wanted
