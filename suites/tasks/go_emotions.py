"""Emotion of Reddit comments (GoEmotions; Demszky et al. 2020, arXiv:2005.00547): one of 28.

43,410 training and 5,427 test comments as published, through Hugging Face
(``google-research-datasets/go_emotions``, its part ``simplified``), or from a local folder that the setting
``huggingface_name`` names; no package carries them. Only comments with a single emotion are kept, and
training comments with the same words as a test comment are left out; both are counted in the results.

Own settings: ``vocabulary_size``, see `suites.tasks.texts.by_words`.
"""

from __future__ import annotations

from bench.schema import Task
from suites.tasks.data import TaskData, source_of
from suites.tasks.published_texts import published_sides
from suites.tasks.texts import by_words, majority, tfidf_logistic_regression

__all__ = ["CLASSES", "load", "majority", "tfidf_logistic_regression"]

NAME = "google-research-datasets/go_emotions"
CLASSES = (
    "admiration",
    "amusement",
    "anger",
    "annoyance",
    "approval",
    "caring",
    "confusion",
    "curiosity",
    "desire",
    "disappointment",
    "disapproval",
    "disgust",
    "embarrassment",
    "excitement",
    "fear",
    "gratitude",
    "grief",
    "joy",
    "love",
    "nervousness",
    "optimism",
    "pride",
    "realization",
    "relief",
    "remorse",
    "sadness",
    "surprise",
    "neutral",
)


def load(task: Task) -> TaskData:
    """The task's data: inputs are ids ``[examples, max_length]`` and padding, True at real tokens.

    Raises:
        DataMissing: the data set cannot be had from Hugging Face.
        ValueError: for a setting that has no meaning here.
    """
    source_of(task, known=("huggingface",))
    return by_words(task, published_sides(task, NAME, CLASSES, label="labels", configuration="simplified"))
