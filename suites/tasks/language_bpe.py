"""Language modelling of film reviews by byte-pair encoding: bits a byte, with tokens of several bytes.

The reviews of `suites.tasks.reviews`, in the tokens of a byte-pair encoding (`suites.tasks.byte_pairs`)
trained on the training side alone. Tokens spell the text exactly, so bits are counted against its bytes
and compare with those of `language_bytes`. Perplexity does not: it depends on the vocabulary.

Own settings: ``vocabulary_size`` (default 4,096, the mark of a beginning included), and those of
`suites.tasks.language_bytes`.
"""

from __future__ import annotations

from bench.schema import Task
from suites.tasks.byte_pairs import BytePairs, train_byte_pairs
from suites.tasks.data import TaskData, architecture_settings, count_setting
from suites.tasks.reviews import LIMITS, read_reviews
from suites.tasks.segments import Side, cut

VOCABULARY_SIZE = 4_096
BEGINNING = 0
OWN_SETTINGS = LIMITS | {"vocabulary_size"}


def load(task: Task) -> TaskData:
    """Segments of reviews: inputs and targets ``[segments, max_length]``, targets -1 at padding.

    Raises:
        DataMissing: `tokenizers`, the package, or the data set on Hugging Face, is not there.
        ValueError: for a setting that has no meaning here, and if ever tokens did not spell their text.
    """
    texts = read_reviews(task)
    size = count_setting(task, "vocabulary_size", VOCABULARY_SIZE) or VOCABULARY_SIZE
    pairs = train_byte_pairs(texts.train, size, marks=1)
    train = _segments(task, pairs, texts.train, "train_examples")
    test = _segments(task, pairs, texts.test, "test_examples")
    return TaskData(
        train_inputs=(train[0],),
        train_targets=train[1],
        test_inputs=(test[0],),
        test_targets=test[1],
        loss="cross_entropy",
        score="language_tokens",
        source=texts.source,
        settings=architecture_settings(task, OWN_SETTINGS, vocabulary=len(pairs.pieces)),
        counts={**texts.counts, "vocabulary": len(pairs.pieces)},
        pieces=pairs.pieces,
        notes=pairs.notes,
    )


def _segments(task: Task, pairs: BytePairs, texts: tuple[str, ...], limit: str) -> Side:
    return cut(pairs.encode(texts), BEGINNING, task.max_length, count_setting(task, limit))
