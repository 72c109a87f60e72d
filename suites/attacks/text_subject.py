"""The test texts that every variant is attacked on: the same, in the same order, as the models read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suites.attacks.textattack_home import stopwords
from suites.attacks.victim import Victim
from suites.tasks.data import TaskData
from suites.tasks.texts import UNKNOWN, encode, tokens

# How many test texts are attacked. At 20% discordance McNemar's test needs 155 paired examples to tell ten
# points of accuracy apart, 626 for five: `quick` shows large differences only.
EXAMPLES = {"smoke": 20, "quick": 100, "full": 500}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSubject:
    """Texts and labels ``[n]``, and how texts become inputs.

    The texts are the model's own tokens with spaces between: in lower case, cut where the model stops
    reading. So no query is spent on what the model cannot see.
    """

    texts: tuple[str, ...]
    labels: np.ndarray
    vocabulary: tuple[str, ...]
    max_length: int

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids ``[texts, max_length]`` and padding, by the task's own encoding."""
        return encode(texts, self.vocabulary, self.max_length)

    def right(self, victim: Victim, texts: Sequence[str]) -> np.ndarray:
        """Whether the victim labels the texts as `labels` says, bool ``[n]``."""
        right: np.ndarray = victim.logits(self.encode(texts)).argmax(axis=-1) == self.labels
        return right

    def known_share(self) -> float:
        """The fraction of tokens that are in the vocabulary."""
        ids, padding = self.encode(self.texts)
        return float(np.mean(ids[padding] != UNKNOWN))

    def unknown_word(self) -> str:
        """A single token that the vocabulary does not have, to take a word's place when its weight is asked.

        TextAttack's own ``[UNK]`` is three tokens here, which would shift all words behind it.
        """
        known = set(self.vocabulary)
        word = "unk"
        while word in known:
            word += "k"
        return word


def text_subject(data: TaskData, max_length: int, examples: int) -> TextSubject:
    """The first `examples` test texts of the task.

    Raises:
        ValueError: the texts do not encode to the task's test inputs, so that an attack on the texts would
            not be one on what the model was tested with.
    """
    texts = tuple(" ".join(tokens(text)[:max_length]) for text in data.test_texts[:examples])
    if not texts:
        raise ValueError("the task has no test texts to attack")
    encoded = encode(texts, data.vocabulary, max_length)
    for found, expected in zip(encoded, data.test_inputs, strict=True):
        if not np.array_equal(found, expected[:examples]):
            raise ValueError(
                "the test texts do not encode to the task's test inputs: vocabulary or length is another one"
            )
    return TextSubject(
        texts=texts, labels=data.test_targets[:examples], vocabulary=data.vocabulary, max_length=max_length
    )


def editable(words: Sequence[str], shortest: int = 2) -> list[int]:
    """The places of words that an attack may change: letters, no function word, at least `shortest` long."""
    kept = stopwords()
    return [
        place
        for place, word in enumerate(words)
        if len(word) >= shortest and word.isalpha() and word not in kept
    ]
