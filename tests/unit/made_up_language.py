"""A small language task for tests, and as much of a framework as an evaluator asks for, on NumPy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.schema import Task
from suites.tasks import language_bytes
from suites.tasks.data import Source, TaskData
from suites.tasks.segments import cut

TIME, VOCABULARY = 13, 257
TASK = Task(
    name="made-up",
    title="",
    architecture="causal_lm",
    target="",
    metric="bits_per_byte",
    width=6,
    heads=2,
    max_length=TIME,
    batch=5,
    steps=3,
    learning_rates=(0.01,),
    causal=True,
)
SOURCE = Source(name="made up", version="1", sha256="00", licence="none", origin="here")
TEXTS = ("Wie süß!", "naïve café 日本語, a longer text than one segment holds 🎬", "x")


class OnNumPy:
    """As much of a framework as an evaluator asks for."""

    def arrays(self, values: Sequence[np.ndarray], dtype: str) -> tuple[np.ndarray, ...]:
        return tuple(values)

    def forward(self, model: Callable[..., np.ndarray], inputs: Sequence[np.ndarray]) -> Callable[[], Any]:
        return lambda: model(*inputs)

    def output(self, value: np.ndarray) -> np.ndarray:
        return value


def data_of(texts: Sequence[str], train_texts_are: Sequence[str] = (), **changes: Any) -> TaskData:
    """The texts by bytes on the test side, and on the training side too where it has none of its own."""
    train, test = (segments_of(side) for side in (train_texts_are or texts, texts))
    fields: dict[str, Any] = {
        "train_inputs": (train[0],),
        "train_targets": train[1],
        "test_inputs": (test[0],),
        "test_targets": test[1],
        "loss": "cross_entropy",
        "score": "language",
        "source": SOURCE,
        "pieces": language_bytes.PIECES,
    }
    return TaskData(**fields | changes)


def segments_of(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    documents = [np.frombuffer(text.encode(), dtype=np.uint8) for text in texts]
    return cut(documents, language_bytes.BEGINNING, TIME, None)
