"""How translations are made and scored: searched for, written out, and held against the reference.

Texts are searched for greedily and by `suites.tasks.beam_search` of width 4, with the decoder run anew over
what was written for each token: so every variant that can be trained can translate, whatever it keeps
while decoding. BLEU (Papineni and others 2002) is one value for all sentences, chrF (Popović 2015) one
for each; both are sacrebleu's (Post 2018, arXiv:1804.08771), whose signatures stand in the details.
``bits_per_byte`` is what the reference costs, given each right beginning: the bits of a sentence over the
mean number of bytes, as in `suites.tasks.language`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.schema import Task
from suites.framework import Framework, Model
from suites.learning.scoring import outputs_of
from suites.tasks.beam_search import Marks, NextLogits, beam_search
from suites.tasks.data import DataMissing, TaskData, count_setting
from suites.tasks.installed import REMEDY
from suites.tasks.language import bits_of, require_finite
from suites.tasks.segments import byte_counts, spelt

PADDING, BEGIN, END = 0, 1, 2
MARKS = Marks(begin=BEGIN, end=END, never=(PADDING,))
BEAM_WIDTH, PENALTY = 4, 0.6
# Texts that are gone on with at once, and what their length is filled up to: few shapes, as each one is
# compiled for, and little work on what is not there yet.
ROWS, BLOCK = 128, 16


def evaluate(
    framework: Framework,
    model: Model,
    inputs: Sequence[np.ndarray],
    targets: np.ndarray,
    data: TaskData,
    task: Task,
) -> dict[str, np.ndarray]:
    """The metrics of translations, for sources ``[sentences, time]`` and targets of that shape.

    No more sentences are translated than ``test_examples`` says, on the validation side as well.

    Raises:
        NotFiniteError: for outputs that are not finite.
    """
    limit = count_setting(task, "test_examples")
    inputs, targets = [array[:limit] for array in inputs], targets[:limit]
    references = [text_of(row, data.pieces) for row in targets]
    ask = asking(framework, model, inputs[0], task.max_length)
    found: dict[str, np.ndarray] = {}
    for ending, width in (("", BEAM_WIDTH), ("_greedy", 1)):
        written = beam_search(ask, len(targets), MARKS, steps=task.max_length, width=width, penalty=PENALTY)
        texts = [text_of(np.array(tokens, dtype=np.int64), data.pieces) for tokens in written]
        found |= {name + ending: values for name, values in compared(texts, references).items()}
    bits = [
        bits_of(require_finite(outputs), targets[start : start + len(outputs)]).sum(axis=1)
        for start, outputs in outputs_of(framework, model, inputs, task.batch)
    ]
    found["bits_per_byte"] = np.concatenate(bits) / byte_counts(targets, data.pieces).sum(axis=1).mean()
    return found


def asking(framework: Framework, model: Model, sources: np.ndarray, max_length: int) -> NextLogits:
    """What comes next, by running the model over the sources and all that was written of each."""

    def next_logits(sentences: np.ndarray, begun: np.ndarray) -> np.ndarray:
        length = begun.shape[1]
        block = min(-(-length // BLOCK) * BLOCK, max_length)
        targets = np.full((len(begun), block), PADDING, dtype=np.int64)
        targets[:, :length] = begun
        answers = []
        for start in range(0, len(begun), ROWS):
            rows = np.minimum(np.arange(start, start + ROWS), len(begun) - 1)
            arrays = framework.arrays([sources[sentences[rows]], targets[rows]], "float32")
            logits = framework.output(framework.forward(model, arrays)())[: len(begun) - start, length - 1]
            answers.append(require_finite(logits))
        return np.concatenate(answers)

    return next_logits


def text_of(tokens: np.ndarray, pieces: Sequence[bytes]) -> str:
    """The text that tokens ``[time]`` spell; what is no UTF-8, as a model may write it, is marked."""
    return spelt(tokens, pieces).decode("utf-8", errors="replace")


def compared(texts: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
    """chrF of each text ``[sentences]`` and BLEU of all ``[1]``, 0 to 100."""
    sacrebleu = load_sacrebleu()
    chrf, bleu = sacrebleu.CHRF(), sacrebleu.BLEU()
    pairs = zip(texts, references, strict=True)
    return {
        "chrf": np.array([chrf.sentence_score(text, [reference]).score for text, reference in pairs]),
        "bleu": np.array([bleu.corpus_score(list(texts), [list(references)]).score]),
    }


def signatures() -> dict[str, str]:
    """sacrebleu's signatures of both scores with one reference, and how texts are searched for.

    Raises:
        DataMissing: sacrebleu is not installed.
    """
    sacrebleu = load_sacrebleu()
    chrf, bleu = sacrebleu.CHRF(), sacrebleu.BLEU()
    # A signature knows the number of references only after a score.
    chrf.corpus_score(["a"], [["a"]])
    bleu.corpus_score(["a b c d"], [["a b c d"]])
    return {
        "chrf_signature": str(chrf.get_signature()),
        "bleu_signature": str(bleu.get_signature()),
        "search": f"beam of {BEAM_WIDTH}, length penalty {PENALTY} (Wu et al. 2016)",
    }


def load_sacrebleu() -> Any:
    """sacrebleu's metrics; raises DataMissing, which says what to install."""
    if importlib.util.find_spec("sacrebleu") is None:
        raise DataMissing(f"sacrebleu, which scores translations, is not installed: {REMEDY}")
    return importlib.import_module("sacrebleu.metrics")
