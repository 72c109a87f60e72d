"""Byte-pair encodings whose tokens spell text exactly, trained by Hugging Face's `tokenizers`.

Text is cut into words as GPT-2 cuts it, each byte is a symbol, and the most frequent pair of symbols in a
word becomes a new one, until the vocabulary is full (Sennrich and others 2016, arXiv:1508.07909). Marks (a
beginning, an end, padding) have the first ids, in their order. The library does not know them, so that no
text makes one, not even a text that holds a mark's name.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from suites.tasks.data import DataMissing, digest
from suites.tasks.installed import REMEDY
from suites.tasks.segments import require_exact

# What the library tells of each token takes far more room than its id, so few texts are asked at once.
CHUNK = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BytePairs:
    """A trained encoding: the bytes of each id (none for the first `marks` ones), and the library's own."""

    tokenizer: Any
    marks: int
    pieces: tuple[bytes, ...]
    notes: dict[str, str]

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text ``[tokens]`` (int32).

        Raises:
            ValueError: if ever the tokens of a text did not spell it.
        """
        return list(self._encoded(texts))

    def _encoded(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        for start in range(0, len(texts), CHUNK):
            chunk = list(texts[start : start + CHUNK])
            for text, encoding in zip(chunk, self.tokenizer.encode_batch_fast(chunk), strict=True):
                ids = np.array(encoding.ids, dtype=np.int32) + np.int32(self.marks)
                require_exact(text, ids, self.pieces)
                yield ids


def train_byte_pairs(texts: Sequence[str], size: int, marks: int) -> BytePairs:
    """The encoding of these texts: `size` ids, those of the marks included, or fewer if no pair is left.

    The same texts give the same encoding; its hash is in the notes.

    Raises:
        DataMissing: `tokenizers` is not installed.
        ValueError: for a size that does not hold all bytes and marks.
    """
    if size < 256 + marks:
        raise ValueError(f"a vocabulary must hold 256 bytes and {marks} marks, got a size of {size}")
    if importlib.util.find_spec("tokenizers") is None:
        raise DataMissing(f"Hugging Face tokenizers is not installed: {REMEDY}")
    library: Any = importlib.import_module("tokenizers")
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = library.trainers.BpeTrainer(
        vocab_size=size - marks,
        min_frequency=2,
        initial_alphabet=sorted(letters()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    return BytePairs(
        tokenizer=tokenizer,
        marks=marks,
        pieces=(b"",) * marks + _pieces(tokenizer.get_vocab()),
        notes={
            "tokenizer": f"byte-level BPE, tokenizers {library.__version__}",
            "tokenizer_sha256": digest(tokenizer.to_str().encode()),
        },
    )


def letters() -> dict[str, int]:
    """The letter that GPT-2's byte-level encoding writes for each byte, and the byte.

    Printable letters of Latin-1 stand for themselves, the other bytes for the letters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [value for value in range(256) if value not in printable]
    return dict(
        chain(
            ((chr(value), value) for value in printable),
            ((chr(0x100 + place), value) for place, value in enumerate(others)),
        )
    )


def _pieces(vocabulary: dict[str, int]) -> tuple[bytes, ...]:
    """The bytes of each of the library's ids."""
    byte = letters()
    ordered = sorted(vocabulary, key=vocabulary.__getitem__)
    return tuple(bytes([byte[letter] for letter in token]) for token in ordered)
