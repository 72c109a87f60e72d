"""Documents in segments: each token told once, bytes counted exactly, texts spelt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.tasks.language_bytes import BEGINNING, PIECES
from suites.tasks.segments import begins, byte_counts, cut, require_exact, spelt

# However busy the machine is, no clock decides a test.
quickly = settings(max_examples=50, deadline=None)

TEXTS = st.lists(st.text(min_size=1), min_size=1)


def encoded(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def test_a_document_is_cut_so_that_each_segment_sees_one_token_before_it() -> None:
    inputs, targets = cut([np.array([11, 12, 13, 14, 15]), np.array([21])], BEGINNING, 3, None)
    assert targets.tolist() == [[11, 12, 13], [14, 15, -1], [21, -1, -1]]
    assert inputs.tolist() == [
        [BEGINNING, 11, 12],
        [13, 14, BEGINNING],
        [BEGINNING, BEGINNING, BEGINNING],
    ]
    assert begins(inputs, PIECES).tolist() == [True, False, True]


@quickly
@given(TEXTS, st.integers(1, 13))
def test_every_byte_is_a_target_once_and_follows_the_one_before_it(texts: list[str], length: int) -> None:
    inputs, targets = cut([encoded(text) for text in texts], BEGINNING, length, None)
    assert b"".join(spelt(row, PIECES) for row in targets) == "".join(texts).encode()
    assert begins(inputs, PIECES).sum() == len(texts)
    scored = targets != -1
    told, given_to = targets[scored], inputs[scored]
    inside = given_to != BEGINNING
    # A beginning at a place that is scored stands before a document's first byte and nowhere else.
    assert (~inside).sum() == len(texts)
    assert np.array_equal(given_to[1:][inside[1:]], told[:-1][inside[1:]])


@quickly
@given(TEXTS)
def test_byte_counts_are_those_of_utf_8(texts: list[str]) -> None:
    _, targets = cut([encoded(text) for text in texts], BEGINNING, 7, None)
    assert byte_counts(targets, PIECES).sum() == sum(len(text.encode()) for text in texts)


def test_byte_counts_are_the_pieces_lengths_and_nothing_at_padding() -> None:
    pieces = (b"", "ü".encode(), "日本".encode(), b"a")
    assert byte_counts(np.array([[1, 2, 3], [0, 3, -1]]), pieces).tolist() == [[2, 6, 1], [0, 1, 0]]


def test_a_limit_takes_the_first_segments() -> None:
    documents = [encoded("abcdefg"), encoded("hij")]
    whole, few = (cut(documents, BEGINNING, 3, limit) for limit in (None, 2))
    assert len(whole[0]) == 4
    for all_of_it, part in zip(whole, few, strict=True):
        np.testing.assert_array_equal(part, all_of_it[:2])


def test_tokens_that_do_not_spell_their_text_are_refused_with_the_place() -> None:
    require_exact("naïve", encoded("naïve"), PIECES)
    with pytest.raises(ValueError, match=r"differ from byte 2 on: b'i' for b'\\xc3\\xafve'"):
        require_exact("naïve", np.array([*b"nai"]), PIECES)
    with pytest.raises(ValueError, match=r"differ from byte 2 on: b'' for b'\\xc3\\xafve'"):
        require_exact("naïve", np.array([*b"na"]), PIECES)
