"""Emotion of short messages (Saravia et al. 2018, CARER): one of six.

16,000 training and 2,000 test messages as published, through Hugging Face (``dair-ai/emotion``), or from a
local folder that the setting ``huggingface_name`` names; no package carries them. Training messages with
the same words as a test message are left out.

Own settings: ``vocabulary_size``, see `suites.tasks.texts.by_words`.
"""

from __future__ import annotations

from bench.schema import Task
from suites.tasks.data import TaskData, source_of
from suites.tasks.published_texts import published_sides
from suites.tasks.texts import by_words, majority, tfidf_logistic_regression

__all__ = ["CLASSES", "load", "majority", "tfidf_logistic_regression"]

CLASSES = ("sadness", "joy", "love", "anger", "fear", "surprise")


def load(task: Task) -> TaskData:
    """The task's data: inputs are ids ``[examples, max_length]`` and padding, True at real tokens.

    Raises:
        DataMissing: the data set cannot be had from Hugging Face.
        ValueError: for a setting that has no meaning here.
    """
    source_of(task, known=("huggingface",))
    return by_words(task, published_sides(task, "dair-ai/emotion", CLASSES, configuration="split"))
