"""The n-gram model of bytes: a distribution, against counts by hand, and beside it the compressors."""

import itertools
import lzma
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_language import data_of

from suites.tasks.language_baselines import (
    lzma_after_training,
    ngrams,
    training_stream,
    zlib_after_training,
)
from suites.tasks.ngrams import BEGINNING, train_ngrams
from suites.tasks.segments import cut

# However busy the machine is, no clock decides a test.
quickly = settings(max_examples=40, deadline=None)

TEXTS = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5)


def stream_of(texts: list[bytes]) -> np.ndarray:
    return np.array(list(itertools.chain.from_iterable([BEGINNING, *text] for text in texts)))


@quickly
@given(TEXTS, st.binary(max_size=7), st.integers(0, 5), st.booleans())
def test_what_may_follow_has_probability_one_together(
    texts: list[bytes], before: bytes, context: int, beginning: bool
) -> None:
    model = train_ngrams(stream_of(texts), context)
    seen = [BEGINNING, *before] if beginning or not before else [*before]
    bits = model.bits([np.array([*seen, value]) for value in range(256)])
    assert sum(2.0 ** -told[-1] for told in bits) == pytest.approx(1)


def by_hand(texts: list[bytes], before: list[int], symbol: int, longest: int) -> float:
    """The equation of the module's docstring, with dictionaries."""
    told = 1 / 256
    for length in range(1, min(longest, len(before) + 1) + 1):
        seen = [
            (tuple(([BEGINNING, *text])[end - length : end]), ([BEGINNING, *text])[: end - length][-1:])
            for text in texts
            for end in range(max(length, 2), len(text) + 2)
        ]
        grams = {gram for gram, _ in seen}
        if length == longest:
            counts = {gram: sum(other == gram for other, _ in seen) for gram in grams}
        else:
            lefts = {gram: {tuple(left) for other, left in seen if other == gram and left} for gram in grams}
            starts = {gram: sum(other == gram and not left for other, left in seen) for gram in grams}
            counts = {gram: len(lefts[gram]) + starts[gram] for gram in grams}
        once, twice = (sum(count == number for count in counts.values()) for number in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        context = tuple(before[len(before) - length + 1 :])
        following = {gram: count for gram, count in counts.items() if gram[:-1] == context}
        if following:
            total = sum(following.values())
            own = max(following.get((*context, symbol), 0) - discount, 0)
            told = own / total + discount * len(following) / total * told
    return told


@quickly
@given(TEXTS, st.binary(min_size=1, max_size=5), st.integers(0, 4))
def test_it_is_kneser_ney_as_the_equation_says(texts: list[bytes], asked: bytes, context: int) -> None:
    (told,) = train_ngrams(stream_of(texts), context).bits([np.array([BEGINNING, *asked])])
    expected = [
        by_hand(texts, [BEGINNING, *asked[:place]], asked[place], context + 1) for place in range(len(asked))
    ]
    np.testing.assert_allclose(2.0**-told, expected)


@quickly
@given(TEXTS, st.binary(min_size=2, max_size=5), st.binary(min_size=1, max_size=5))
def test_of_what_stands_before_a_segment_only_its_first_byte_is_known(
    texts: list[bytes], asked: bytes, other: bytes
) -> None:
    """A segment from the middle of a text, told after another one."""
    texts = [*texts, other + asked, b"\0\0" + asked]
    _, told = train_ngrams(stream_of(texts), 2).bits([np.array([*other]), np.array([*asked])])
    expected = [by_hand(texts, [*asked[:place]], asked[place], 3) for place in range(1, len(asked))]
    np.testing.assert_allclose(2.0**-told, expected)


def test_a_context_that_64_bits_do_not_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold 0 to 6 bytes, got 7"):
        train_ngrams(stream_of([b"abc"]), 7)
    with pytest.raises(ValueError, match="must begin with the mark"):
        train_ngrams(np.array([*b"abc"]), 2)


def repeating(generator: np.random.Generator, count: int) -> list[str]:
    words = ["schön", "ist", "es", "hier", "und", "dort", "日本"]
    return [" ".join(generator.choice(words, 40)) for _ in range(count)]


def test_baselines_learn_from_training_and_agree_on_what_is_easy() -> None:
    generator = np.random.default_rng(5)
    texts, other = repeating(generator, 40), repeating(generator, 9)
    learnt = data_of(other, train_texts_are=texts)
    unlearnt = data_of(other, train_texts_are=["nothing"])
    for baseline in (ngrams, zlib_after_training, lzma_after_training):
        before, after = (np.mean(baseline(data)["bits_per_byte"]) for data in (unlearnt, learnt))
        assert 0.3 < after < before < 8


def test_the_n_grams_give_a_value_a_segment_and_a_profile_that_falls_with_context() -> None:
    generator = np.random.default_rng(5)
    data = data_of(repeating(generator, 9), train_texts_are=repeating(generator, 40))
    found = ngrams(data)
    assert len(found["bits_per_byte"]) == len(data.test_targets)
    profile = found["bits_by_position"]
    assert len(profile) == 5 and profile[-1] < 0.7 * profile[0]


def test_a_compressor_pays_for_what_the_test_text_adds() -> None:
    data = data_of(["abc" * 50, "xyz"], train_texts_are=["abcabd" * 9])
    train, test = b"abcabd" * 9, b"abc" * 50 + b"xyz"
    for baseline, compress in (
        (zlib_after_training, lambda text: zlib.compress(text, 9)),
        (lzma_after_training, lambda text: lzma.compress(text, preset=9)),
    ):
        added = len(compress(train + test)) - len(compress(train))
        assert baseline(data)["bits_per_byte"] == [8 * added / len(test)]


def test_the_training_stream_is_the_documents_again_with_their_beginnings() -> None:
    data = data_of(["x"], train_texts_are=["a longer text than one segment", "日本"])
    expected = stream_of([b"a longer text than one segment", "日本".encode()])
    np.testing.assert_array_equal(training_stream(data), expected)


def test_a_token_costs_what_its_bytes_do() -> None:
    pieces = (b"", *(bytes([value]) for value in range(256)), "ü".encode(), b"ab")
    by_tokens = [np.array([257, 258, 1 + ord("a"), 258]), np.array([258, 257])]
    spelt = ["üabaab", "abü"]
    inputs, targets = cut(by_tokens, 0, 13, None)
    tokens = data_of(
        ["x"],
        train_inputs=(inputs,),
        train_targets=targets,
        test_inputs=(inputs,),
        test_targets=targets,
        pieces=pieces,
    )
    plain = data_of(spelt, train_texts_are=spelt)
    first, second = ngrams(tokens), ngrams(plain)
    np.testing.assert_allclose(first["bits_per_byte"], second["bits_per_byte"])
    # The first token of the first document is two bytes, of the second the two bytes "ab".
    assert len(first["bits_by_position"]) == 3 and len(second["bits_by_position"]) == 4
