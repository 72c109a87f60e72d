"""Which words of a text are hidden from a masked language model, and what stands in their place.

15% of a text's tokens are asked for, at least one. Of these 80% become the mask, 10% another word drawn
from the vocabulary, 10% stay what they are. Devlin and others 2019, arXiv:1810.04805, section 3.1; that the
share is of each text, rounded, and that a text is masked anew each time it is read is as in the released
code and in Liu and others 2019, arXiv:1907.11692, section 4.1. Padding and unknown words are never asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suites.framework import NOT_SCORED

SHARE = 0.15
MASKED, REPLACED = 0.8, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The numbers that stand for known words, `first` to `last`, and for the mask."""

    first: int
    last: int
    mask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """Texts ``[texts, time]`` with words hidden, the places asked for ``[texts, asked]`` and the words that
    stood there; `NOT_SCORED`, at place 0, where a text is asked for fewer."""

    tokens: np.ndarray
    places: np.ndarray
    targets: np.ndarray


def asked_at_most(length: int) -> int:
    """How many words are asked for of a text of `length` tokens."""
    return max(1, round(SHARE * length))


def mask(tokens: np.ndarray, words: Words, generator: np.random.Generator) -> Masked:
    """The texts ``[texts, time]`` with words hidden; number 0 is padding.

    A text without any known word is asked for none.
    """
    places, asked = _places(tokens, words, generator)
    rows = np.arange(len(tokens))[:, None]
    targets = np.where(asked, tokens[rows, places], NOT_SCORED)
    hidden = tokens.copy()
    # Places that are not asked for repeat place 0, which must not be written to.
    row, column = np.nonzero(asked)
    hidden[row, places[row, column]] = _stand_ins(targets[row, column], words, generator)
    return Masked(tokens=hidden, places=np.where(asked, places, 0), targets=targets)


def _places(
    tokens: np.ndarray, words: Words, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places drawn without repetition ``[texts, asked]``, and which of them are asked for."""
    known = (tokens >= words.first) & (tokens <= words.last)
    order = np.where(known, generator.random(tokens.shape, np.float32), 2.0)
    places = np.argsort(order, axis=1)[:, : asked_at_most(tokens.shape[1])]
    real = (tokens != 0).sum(axis=1)
    count = np.minimum(np.maximum(1, np.round(SHARE * real)), known.sum(axis=1))
    return places, np.arange(places.shape[1]) < count[:, None]


def _stand_ins(asked: np.ndarray, words: Words, generator: np.random.Generator) -> np.ndarray:
    drawn = generator.random(len(asked))
    others = generator.integers(words.first, words.last + 1, len(asked))
    kept = np.where(drawn < MASKED + REPLACED, others, asked)
    return np.where(drawn < MASKED, words.mask, kept)
