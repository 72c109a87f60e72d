"""BERT's masking: how many words are asked for, which, and what stands in their place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.framework import NOT_SCORED
from suites.transferring.masking import Masked, Words, asked_at_most, mask

WORDS = Words(first=2, last=990, mask=991)
UNKNOWN, LENGTH = 1, 61


def texts(count: int, *, length: int = LENGTH, unknown: float = 0.05, seed: int = 0) -> np.ndarray:
    """Texts of 1 to `length` tokens, some of them unknown, and padding after them."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(WORDS.first, WORDS.last + 1, (count, length))
    tokens[generator.random(tokens.shape) < unknown] = UNKNOWN
    ends = generator.integers(1, length + 1, count)
    tokens[np.arange(length) >= ends[:, None]] = 0
    return tokens


def masked(tokens: np.ndarray, seed: int = 0) -> Masked:
    return mask(tokens, WORDS, np.random.default_rng(seed))


def asked(found: Masked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Text, place and word of all that is asked for."""
    row, column = np.nonzero(found.targets != NOT_SCORED)
    return row, found.places[row, column], found.targets[row, column]


def test_15_in_100_tokens_of_each_text_are_asked_for_and_at_least_one() -> None:
    tokens = texts(500, unknown=0.0)
    counts = (masked(tokens).targets != NOT_SCORED).sum(axis=1)
    real = (tokens != 0).sum(axis=1)
    np.testing.assert_array_equal(counts, np.maximum(1, np.round(0.15 * real)))
    assert real.min() < 4 and counts.min() == 1


def test_80_in_100_become_the_mask_10_another_word_and_10_stay() -> None:
    tokens = texts(4000)
    found = masked(tokens)
    row, place, word = asked(found)
    shown = found.tokens[row, place]
    shares = [(shown == WORDS.mask).mean(), (shown == word).mean()]
    shares.append(1 - sum(shares))
    # Three standard deviations of a share of that many draws.
    assert len(word) > 15_000
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=3 * (0.8 * 0.2 / len(word)) ** 0.5)
    others = shown[(shown != WORDS.mask) & (shown != word)]
    assert others.min() >= WORDS.first and others.max() <= WORDS.last
    assert len(np.unique(others)) > 600


@given(st.integers(1, 40), st.integers(0, 2**31), st.floats(0, 1))
def test_what_is_asked_for_are_known_words_at_places_of_their_own_and_the_rest_stays(
    length: int, seed: int, unknown: float
) -> None:
    tokens = texts(7, length=length, unknown=unknown, seed=seed)
    before = tokens.copy()
    found = masked(tokens, seed)
    np.testing.assert_array_equal(tokens, before)
    row, place, word = asked(found)
    np.testing.assert_array_equal(word, before[row, place])
    assert (word >= WORDS.first).all()
    assert len(set(zip(row, place, strict=True))) == len(row)
    rest = np.ones(tokens.shape, dtype=bool)
    rest[row, place] = False
    np.testing.assert_array_equal(found.tokens[rest], before[rest])
    assert found.targets.shape == (7, asked_at_most(length))


def test_a_text_of_unknown_words_is_asked_for_none() -> None:
    assert (masked(np.full((3, 5), UNKNOWN)).targets == NOT_SCORED).all()


def test_the_same_generator_hides_the_same_words_and_another_one_others() -> None:
    tokens = texts(50)
    np.testing.assert_array_equal(masked(tokens).tokens, masked(tokens).tokens)
    assert (masked(tokens, 1).places != masked(tokens).places).any()


def test_every_place_is_asked_for_about_as_often() -> None:
    tokens = np.full((6000, 20), WORDS.first)
    _, place, _ = asked(masked(tokens))
    expected = 6000 * 3 / 20
    assert np.bincount(place) == pytest.approx([expected] * 20, rel=0.15)
