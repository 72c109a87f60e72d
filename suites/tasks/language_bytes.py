"""Language modelling of film reviews, byte by byte: how many bits does a byte of text cost?

The reviews of `suites.tasks.reviews` as UTF-8, cut into segments of `max_length` bytes
(`suites.tasks.segments`): token b is the byte b, token 256 stands before the first one. Nothing is left
out of the text and no vocabulary is chosen, so that figures can be held against any other model of the
same bytes.

Own settings: ``train_documents`` and ``test_documents``, see `suites.tasks.reviews`;
``train_examples`` and ``test_examples`` count segments.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bench.schema import Task
from suites.tasks.data import TaskData, architecture_settings, count_setting
from suites.tasks.reviews import LIMITS, Texts, read_reviews
from suites.tasks.segments import cut

BEGINNING = 256
PIECES = (*(bytes([value]) for value in range(256)), b"")


def load(task: Task) -> TaskData:
    """Segments of reviews: inputs and targets ``[segments, max_length]``, targets -1 at padding.

    Raises:
        DataMissing: the package, or the data set on Hugging Face, is not there.
        ValueError: for a setting that has no meaning here.
    """
    return of_texts(task, read_reviews(task), LIMITS)


def of_texts(task: Task, texts: Texts, own: frozenset[str]) -> TaskData:
    """The data of a task on any texts by bytes; `own` names the settings that are the loader's."""
    train = cut(_encoded(texts.train), BEGINNING, task.max_length, count_setting(task, "train_examples"))
    test = cut(_encoded(texts.test), BEGINNING, task.max_length, count_setting(task, "test_examples"))
    return TaskData(
        train_inputs=(train[0],),
        train_targets=train[1],
        test_inputs=(test[0],),
        test_targets=test[1],
        loss="cross_entropy",
        score="language",
        source=texts.source,
        settings=architecture_settings(task, own, vocabulary=len(PIECES)),
        counts=texts.counts,
        pieces=PIECES,
    )


def _encoded(texts: Iterable[str]) -> list[np.ndarray]:
    return [np.frombuffer(text.encode(), dtype=np.uint8) for text in texts]
