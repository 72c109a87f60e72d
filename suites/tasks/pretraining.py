"""Sentiment of film-review snippets, with whole reviews to learn the language from first.

The labelled sides are those of `suites.tasks.sentiment`. The unlabelled texts are IMDB's reviews (Maas and
others 2011; the 25,000 of the published training half), cut into stretches of `Task.max_length` tokens. A
review that the tasks over IMDB would test on (the lowest fifth by the SHA-256 of its words), and one with
the same words as a test snippet, is left out. The vocabulary is that of the training snippets and the
unlabelled texts together, with one more number, the last, for the mask.

Own settings: ``vocabulary_size`` (default 8,000), ``unlabelled_reviews``, how many reviews at most, always
the same ones, and ``pretraining_steps``, which the suite reads.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from bench.schema import Option, Task
from suites.tasks.data import (
    DataMissing,
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
from suites.tasks.movie_reviews import FILE, PACKAGE
from suites.tasks.sentiment import load as load_sentiment
from suites.tasks.texts import (
    FIRST_WORD,
    TEST_SHARE,
    VOCABULARY_SIZE,
    build_vocabulary,
    content_key,
    encode,
    tokens,
)
from suites.transferring.masking import Words

OWN_SETTINGS = frozenset({"vocabulary_size", "unlabelled_reviews", "pretraining_steps", "experiment"})
# What a stretch of a review needs to be worth a place in a batch.
SHORTEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingData(TaskData):
    """A task's data, with texts to learn the language from: token numbers ``[stretches, max_length]``."""

    unlabelled: np.ndarray
    words: Words


def load(task: Task) -> PretrainingData:
    """The task's data: inputs are ids ``[examples, max_length]`` and padding, True at real tokens.

    Raises:
        DataMissing: a package, or a data set on Hugging Face, is not there.
        ValueError: for a setting that has no meaning here.
    """
    labelled = load_sentiment(replace(task, settings=_without_own(task)))
    reviews = unlabelled(task, labelled.test_texts)
    size = count_setting(task, "vocabulary_size", VOCABULARY_SIZE) or VOCABULARY_SIZE
    stretches = list(cut(reviews, task.max_length))
    vocabulary = build_vocabulary([*labelled.train_texts, *stretches], size)
    mask = FIRST_WORD + len(vocabulary)
    return PretrainingData(
        train_inputs=encode(labelled.train_texts, vocabulary, task.max_length),
        train_targets=labelled.train_targets,
        test_inputs=encode(labelled.test_texts, vocabulary, task.max_length),
        test_targets=labelled.test_targets,
        loss="cross_entropy",
        score="accuracy",
        source=replace(
            labelled.source,
            name=f"{labelled.source.name}; unlabelled: reviews of IMDB (Maas and others 2011)",
            sha256=digest("\n".join([labelled.source.sha256, *reviews]).encode()),
        ),
        settings=architecture_settings(task, OWN_SETTINGS, vocabulary=mask + 1, classes=2),
        counts={
            **labelled.counts,
            "words_known": len(vocabulary),
            "unlabelled_reviews": len(reviews),
            "unlabelled_stretches": len(stretches),
        },
        train_texts=labelled.train_texts,
        test_texts=labelled.test_texts,
        vocabulary=vocabulary,
        unlabelled=encode(stretches, vocabulary, task.max_length)[0],
        words=Words(first=FIRST_WORD, last=mask - 1, mask=mask),
    )


def _without_own(task: Task) -> dict[str, Option]:
    return {name: value for name, value in task.settings.items() if name not in OWN_SETTINGS}


def unlabelled(task: Task, tested: Iterable[str]) -> list[str]:
    """The reviews to learn the language from, in a fixed order, none of them held out or among `tested`."""
    found = _from_packages() if source_of(task) == "packages" else _from_huggingface(task)
    forbidden = set(map(content_key, tested))
    ordered = in_fixed_order(found, lambda text: digest(text.encode()), None)
    return list(itertools.islice(_allowed(ordered, forbidden), count_setting(task, "unlabelled_reviews")))


def _allowed(texts: Iterable[str], forbidden: Set[str]) -> Iterator[str]:
    """Those of a training side, each once. Lazy: keys of all reviews take seconds."""
    seen = set(forbidden)
    for text in texts:
        key = content_key(text)
        if key not in seen and not held_out(key, TEST_SHARE):
            seen.add(key)
            yield text


def _from_packages() -> list[str]:
    content = data_file(installed(PACKAGE), FILE).read_bytes().decode("utf-8")
    rows = csv.DictReader(io.StringIO(content, newline=""))
    found = [row["text"] for row in rows if row["source"] == "imdb"]
    if not found:
        raise DataMissing(f"{FILE} of this version of {PACKAGE} holds no IMDB review")
    return found


def _from_huggingface(task: Task) -> list[str]:
    # `huggingface_name` names the labelled set.
    settings = {name: value for name, value in task.settings.items() if name != "huggingface_name"}
    found = load_splits(replace(task, settings=settings), "imdb", ("text",))
    return [str(row["text"]) for row in found.train]


def cut(texts: Sequence[str], length: int) -> Iterator[str]:
    """Stretches of `length` tokens, one after another, without a last one that is very short."""
    for text in texts:
        found = tokens(text)
        for start in range(0, len(found), length):
            stretch = found[start : start + length]
            if len(stretch) >= min(SHORTEST, length):
                yield " ".join(stretch)
