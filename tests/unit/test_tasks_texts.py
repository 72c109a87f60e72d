"""What tasks over texts share: the same text told from another, splits, words and bytes as numbers."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.schema import Task
from suites.tasks.data import Source
from suites.tasks.texts import (
    LabelledText,
    Sides,
    build_vocabulary,
    by_bytes,
    by_words,
    content_key,
    decode_bytes,
    digest_of_rows,
    encode,
    encode_bytes,
    labelled,
    majority,
    split,
    tokens,
    without_copies,
)

TASK = Task(
    name="made-up",
    title="",
    architecture="text_classifier",
    target="",
    metric="accuracy",
    width=5,
    heads=1,
    max_length=11,
    batch=2,
    steps=3,
    learning_rates=(0.1,),
    settings={"layers": 3, "vocabulary_size": 7},
)
SOURCE = Source(name="made up", version="1", sha256="00", licence="none", origin="here")


def made_up(prefix: str, count: int) -> list[LabelledText]:
    return [labelled(f"{prefix} text number {number}", number % 3) for number in range(count)]


SIDES = Sides(train=made_up("train", 29), test=made_up("test", 13), classes=("a", "b", "c"), source=SOURCE)


@given(st.lists(st.text(min_size=1), min_size=1))
def test_texts_that_differ_in_case_spacing_or_marks_only_land_on_one_side(texts: list[str]) -> None:
    plain = [" ".join(tokens(text)) for text in texts]
    disguised = [f"  {text.replace(' ', '   ')} " for text in plain]
    train, test = split([labelled(text, 0) for text in [*plain, *disguised]])
    assert not {one.key for one in train} & {one.key for one in test}
    assert len(train) % 2 == len(test) % 2 == 0


@given(st.text())
def test_a_key_is_that_of_the_tokens_that_begin_with_a_letter_or_digit_or_of_all_where_none_does(
    text: str,
) -> None:
    words = [token for token in tokens(text) if token[0].isalnum()]
    assert content_key(text) == content_key(" ".join(words or tokens(text)))


def test_training_texts_that_are_copies_of_test_texts_are_left_out() -> None:
    train = [labelled(text, 0) for text in ("one", "Two!", "three")]
    assert [one.text for one in without_copies(train, [labelled("two", 1)])] == ["one", "three"]


def test_the_hash_of_rows_changes_with_text_label_and_order() -> None:
    one, two = labelled("one", 0), labelled("two", 1)
    hashes = {
        digest_of_rows([one], [two]),
        digest_of_rows([two], [one]),
        digest_of_rows([one], [dataclasses.replace(two, label=0)]),
        digest_of_rows([one], [dataclasses.replace(two, text="Two")]),
    }
    assert len(hashes) == 4


def test_the_vocabulary_has_the_frequent_words_first_and_leaves_out_what_was_seen_once() -> None:
    texts = ["b b b a a", "c a once", "c"]
    assert build_vocabulary(texts, 10) == ("a", "b", "c")
    assert build_vocabulary(texts, 2) == ("a", "b")


def test_encoding_cuts_pads_and_marks_unknown_words() -> None:
    ids, padding = encode(["b a x", "a a a a a a", ""], ("a", "b"), 5)
    assert ids.tolist() == [[3, 2, 1, 0, 0], [2, 2, 2, 2, 2], [1, 0, 0, 0, 0]]
    assert padding.sum(axis=1).tolist() == [3, 5, 1]


def test_bytes_are_cut_padded_and_moved_up_by_one() -> None:
    ids, padding = encode_bytes(["ab", "éa\x00", "", "abcdefg"], 5)
    assert ids.tolist() == [
        [98, 99, 0, 0, 0],
        [0xC3 + 1, 0xA9 + 1, 98, 1, 0],
        [33, 0, 0, 0, 0],
        [98, 99, 100, 101, 102],
    ]
    np.testing.assert_array_equal(padding, ids != 0)


@given(st.lists(st.text(min_size=1, max_size=11), min_size=1))
def test_bytes_long_enough_are_the_whole_text(texts: list[str]) -> None:
    assert decode_bytes(encode_bytes(texts, 44)[0]) == texts


def test_a_character_that_was_cut_in_two_is_left_out_of_the_text() -> None:
    assert decode_bytes(encode_bytes(["aé"], 2)[0]) == ["a"]


def test_words_and_bytes_make_the_same_examples_of_the_same_sides() -> None:
    words, raw = by_words(TASK, SIDES), by_bytes(TASK, SIDES, frozenset({"vocabulary_size"}))
    assert words.train_texts == raw.train_texts and words.test_texts == raw.test_texts
    np.testing.assert_array_equal(words.train_targets, raw.train_targets)
    assert words.classes == raw.classes == ("a", "b", "c")
    assert words.settings == {"layers": 3, "vocabulary": len(words.vocabulary) + 2, "classes": 3}
    assert raw.settings == {"layers": 3, "vocabulary": 257, "classes": 3}
    assert raw.vocabulary == () and 0 < len(words.vocabulary) <= 7
    assert (raw.counts["train_texts_cut"], raw.counts["test_texts_cut"]) == (29, 13)


def test_majority_gives_the_class_that_training_saw_most() -> None:
    data = by_words(
        TASK, dataclasses.replace(SIDES, train=[*SIDES.train, labelled("b", 1), labelled("c", 1)])
    )
    assert majority(data)["accuracy"] == (data.test_targets == 1).astype(float).tolist()
