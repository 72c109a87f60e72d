"""What tasks over texts share: words, what makes two texts the same one, splits, ids and baselines.

Two texts are the same when their words are, whatever their case, spacing and punctuation; such copies
stand on one side of every split.
"""

from __future__ import annotations

import collections
import functools
import importlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.schema import Task
from suites.tasks.data import (
    Source,
    TaskData,
    architecture_settings,
    count_setting,
    digest,
    held_out,
    in_fixed_order,
)

TEST_SHARE = 0.2
WORD_SETTINGS = frozenset({"vocabulary_size"})
VOCABULARY_SIZE = 8_000
LEAST_SEEN = 2
PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2
FIRST_BYTE = 1
BYTE_VOCABULARY = 256 + FIRST_BYTE

WORD = re.compile(r"\w+(?:'\w+)?")
TOKEN = re.compile(r"\w+(?:'\w+)?|[^\w\s]")


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text, the number of its class and the SHA-256 of its words."""

    text: str
    label: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Both sides of a task over texts; `classes` are the classes' names in the order of their numbers.

    `validation` belongs to the training side and stands ahead of `train` there, see
    `TaskData.validation_examples`.
    """

    train: Sequence[LabelledText]
    test: Sequence[LabelledText]
    classes: tuple[str, ...]
    source: Source
    validation: Sequence[LabelledText] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


def tokens(text: str) -> list[str]:
    """Words and punctuation marks, in lower case, compatibility characters unified (NFKC)."""
    return TOKEN.findall(_unified(text))


def _unified(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def content_key(text: str) -> str:
    """SHA-256 of the text's words alone, or of its marks where it has no word."""
    unified = _unified(text)
    words = [word for word in WORD.findall(unified) if word[0].isalnum()]
    return digest(" ".join(words or TOKEN.findall(unified)).encode())


def labelled(text: str, label: int) -> LabelledText:
    """The text with its class and its key."""
    return LabelledText(text, label, content_key(text))


def split(texts: Iterable[LabelledText]) -> tuple[list[LabelledText], list[LabelledText]]:
    """Training and test texts, about 4 to 1, by their words alone."""
    sides: tuple[list[LabelledText], list[LabelledText]] = ([], [])
    for one in texts:
        sides[held_out(one.key, TEST_SHARE)].append(one)
    return sides


def without_copies(train: Iterable[LabelledText], test: Iterable[LabelledText]) -> list[LabelledText]:
    """The training texts that are not copies of a test text."""
    tested = {one.key for one in test}
    return [one for one in train if one.key not in tested]


def digest_of_rows(*sides: Iterable[LabelledText]) -> str:
    """SHA-256 of labels and texts in the order in which they came."""
    return digest("\n".join(f"{one.label}\t{one.text}" for side in sides for one in side).encode())


def limited(task: Task, sides: Sides) -> tuple[list[LabelledText], int, list[LabelledText]]:
    """Both sides in their fixed order, each cut to what the task's settings allow, and between them how many
    of the training side are for validation: they lead it."""
    train, test = (
        in_fixed_order(side, lambda one: one.key, count_setting(task, f"{name}_examples"))
        for name, side in (("train", [*sides.validation, *sides.train]), ("test", sides.test))
    )
    validating = {one.key for one in sides.validation}
    train.sort(key=lambda one: one.key not in validating)
    return train, sum(one.key in validating for one in train), test


def by_words(task: Task, sides: Sides, own: frozenset[str] = frozenset()) -> TaskData:
    """The task's data by words: ids ``[examples, max_length]`` and padding, True at real tokens.

    Own settings, beside the loader's `own`: ``vocabulary_size``, the most words known (default 8,000;
    those seen at least twice in training, the frequent ones first).
    """
    train, validating, test = limited(task, sides)
    size = count_setting(task, "vocabulary_size", VOCABULARY_SIZE) or VOCABULARY_SIZE
    vocabulary = build_vocabulary([one.text for one in train], size)
    return TaskData(
        train_inputs=encode([one.text for one in train], vocabulary, task.max_length),
        train_targets=_labels(train),
        test_inputs=encode([one.text for one in test], vocabulary, task.max_length),
        test_targets=_labels(test),
        loss="cross_entropy",
        score="accuracy",
        source=sides.source,
        settings=architecture_settings(
            task, own | WORD_SETTINGS, vocabulary=len(vocabulary) + FIRST_WORD, classes=len(sides.classes)
        ),
        counts={**sides.counts, "words_known": len(vocabulary)},
        classes=sides.classes,
        validation_examples=validating,
        train_texts=tuple(one.text for one in train),
        test_texts=tuple(one.text for one in test),
        vocabulary=vocabulary,
    )


def by_bytes(task: Task, sides: Sides, own: frozenset[str] = frozenset()) -> TaskData:
    """The task's data by bytes of UTF-8: ids ``[examples, max_length]`` and padding, True at real bytes.

    There is no vocabulary: an id is the byte plus 1, and 0 is padding. `counts` says how many texts of
    each side are longer than `max_length` and lose their end.
    """
    train, validating, test = limited(task, sides)
    cut = {
        f"{name}_texts_cut": sum(len(one.text.encode()) > task.max_length for one in side)
        for name, side in (("train", train), ("test", test))
    }
    return TaskData(
        train_inputs=encode_bytes([one.text for one in train], task.max_length),
        train_targets=_labels(train),
        test_inputs=encode_bytes([one.text for one in test], task.max_length),
        test_targets=_labels(test),
        loss="cross_entropy",
        score="accuracy",
        source=sides.source,
        settings=architecture_settings(task, own, vocabulary=BYTE_VOCABULARY, classes=len(sides.classes)),
        counts={**sides.counts, **cut},
        classes=sides.classes,
        validation_examples=validating,
        train_texts=tuple(one.text for one in train),
        test_texts=tuple(one.text for one in test),
    )


def _labels(texts: Sequence[LabelledText]) -> np.ndarray:
    return np.array([one.label for one in texts], dtype=np.int64)


def build_vocabulary(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """The most frequent tokens seen at least twice, ties in alphabetical order; at most `size`."""
    seen = collections.Counter(token for text in texts for token in tokens(text))
    ranked = sorted((-count, token) for token, count in seen.items() if count >= LEAST_SEEN)
    return tuple(token for _, token in ranked[:size])


@functools.lru_cache(maxsize=8)
def _numbers(vocabulary: tuple[str, ...]) -> dict[str, int]:
    # An attack encodes thousands of times, a few texts each.
    return {word: index for index, word in enumerate(vocabulary, start=FIRST_WORD)}


def encode(texts: Sequence[str], vocabulary: Sequence[str], max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids ``[texts, max_length]`` (int64) and padding of the same shape, True at real tokens.

    Longer texts are cut; one without any token counts as one unknown word, so that no row is all padding.
    """
    number = _numbers(tuple(vocabulary))
    ids = np.full((len(texts), max_length), PADDING, dtype=np.int64)
    for row, text in zip(ids, texts, strict=True):
        found = [number.get(token, UNKNOWN) for token in tokens(text)[:max_length]] or [UNKNOWN]
        row[: len(found)] = found
    return ids, ids != PADDING


def encode_bytes(texts: Sequence[str], max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids ``[texts, max_length]`` (int32), byte + 1, and padding of the same shape, True at real bytes.

    Longer texts are cut; an empty one counts as one space, so that no row is all padding.
    """
    ids = np.full((len(texts), max_length), PADDING, dtype=np.int32)
    for row, text in zip(ids, texts, strict=True):
        found = np.frombuffer((text or " ").encode()[:max_length], dtype=np.uint8)
        row[: len(found)] = found.astype(np.int32) + FIRST_BYTE
    return ids, ids != PADDING


def decode_bytes(ids: np.ndarray) -> list[str]:
    """The texts that ids ``[texts, max_length]`` hold, without a character that was cut in two."""
    return [
        (row[row != PADDING] - FIRST_BYTE).astype(np.uint8).tobytes().decode(errors="ignore") for row in ids
    ]


def majority(data: TaskData) -> dict[str, list[float]]:
    """The class that training saw most often, for every test text."""
    answer = np.bincount(data.train_targets).argmax()
    return {"accuracy": (data.test_targets == answer).astype(float).tolist()}


def tfidf_logistic_regression(data: TaskData) -> dict[str, list[float]]:
    """Logistic regression on TF-IDF of the words of the whole texts, however long, and of their pairs.

    At scikit-learn's defaults but for sublinear term frequencies and more iterations. With more than two
    classes words alone: on 20 Newsgroups pairs took 200 s, not 7 s, and scored no better (0.836, 0.838).
    """
    return tfidf_of(data, data.train_texts, data.test_texts)


def tfidf_of(data: TaskData, train: Sequence[str], test: Sequence[str]) -> dict[str, list[float]]:
    """`tfidf_logistic_regression` on these texts in place of the data's own."""
    text: Any = importlib.import_module("sklearn.feature_extraction.text")
    linear_model: Any = importlib.import_module("sklearn.linear_model")
    longest = 2 if len(np.unique(data.train_targets)) <= 2 else 1
    vectoriser = text.TfidfVectorizer(
        tokenizer=tokens, token_pattern=None, lowercase=False, ngram_range=(1, longest), sublinear_tf=True
    )
    model = linear_model.LogisticRegression(max_iter=1000)
    model.fit(vectoriser.fit_transform(train), data.train_targets)
    answers = model.predict(vectoriser.transform(test))
    return {"accuracy": (answers == data.test_targets).astype(float).tolist()}
