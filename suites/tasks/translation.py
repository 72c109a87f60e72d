"""Translation from English to German: paragraphs of LibreOffice's help (`suites.tasks.help_pages`).

Pages are split once and for all: a page is on the test side when the SHA-256 of its name falls in the
lowest tenth. Pairs whose English comes twice on a side are taken once, those of training that the test
side has too are left out, and so are pairs that are the same in both languages (code, names) and pairs
longer than `max_length` tokens, the end included. The tokens are byte pairs (`suites.tasks.byte_pairs`),
one vocabulary for both languages, trained on the training side alone.

Inputs are the source's tokens with their end and what the decoder sees: the beginning and the target's
tokens; targets are the target's tokens with their end. Padding is token 0, and -1 in targets.

Own settings: ``language``, the target's (default ``de``; any that the help is installed in); ``data``, a
folder with the help instead of the installed packages; ``file``, a tab-separated file instead: source,
target and, if there are three columns, the document that a line is from, by which it is then split;
``vocabulary_size`` (default 4,096).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.schema import Task
from suites.framework import NOT_SCORED
from suites.tasks.byte_pairs import BytePairs, train_byte_pairs
from suites.tasks.data import (
    DataMissing,
    Source,
    TaskData,
    architecture_settings,
    count_setting,
    digest,
    held_out,
    in_fixed_order,
)
from suites.tasks.help_pages import LICENCE, Pair, help_folder, read_pairs, version
from suites.tasks.translated import BEGIN, END, PADDING, compared, signatures, text_of

VOCABULARY_SIZE = 4_096
TEST_SHARE = 0.1
OWN_SETTINGS = frozenset({"language", "data", "file", "vocabulary_size"})
Sides = tuple[list[Pair], list[Pair]]
Encoded = list[tuple[np.ndarray, np.ndarray]]


def load(task: Task) -> TaskData:
    """Pairs as tokens: inputs ``[pairs, max_length]`` twice, and targets of that shape.

    Raises:
        DataMissing: the help, the file, `tokenizers` or sacrebleu is not there.
        ValueError: for a setting that has no meaning here, or a file that cannot be read.
    """
    notes = signatures()
    pairs, source = _read(task)
    sides = split(pairs)
    size = count_setting(task, "vocabulary_size", VOCABULARY_SIZE) or VOCABULARY_SIZE
    texts = [text for pair in sides[0] for text in (pair.source, pair.target)]
    vocabulary = train_byte_pairs(texts, size, marks=END + 1)
    train, test = (_encoded(side, vocabulary, task.max_length) for side in sides)
    counts = {
        "pairs_read": len(pairs),
        "copies_left_out": len(pairs) - len(sides[0]) - len(sides[1]),
        "too_long": len(sides[0]) + len(sides[1]) - len(train) - len(test),
        "vocabulary": len(vocabulary.pieces),
    }
    train, test = train[: count_setting(task, "train_examples")], test[: count_setting(task, "test_examples")]
    train_inputs, train_targets = arranged(train, task.max_length)
    test_inputs, test_targets = arranged(test, task.max_length)
    return TaskData(
        train_inputs=train_inputs,
        train_targets=train_targets,
        test_inputs=test_inputs,
        test_targets=test_targets,
        loss="cross_entropy",
        score="translation",
        source=source,
        settings=architecture_settings(task, OWN_SETTINGS, vocabulary=len(vocabulary.pieces)),
        counts=counts,
        pieces=vocabulary.pieces,
        notes={**vocabulary.notes, **notes},
    )


def split(pairs: Sequence[Pair]) -> Sides:
    """Training and test pairs, about 9 to 1, by their pages, each side in the order of its texts' hash."""
    sides: tuple[dict[str, Pair], dict[str, Pair]] = ({}, {})
    for pair in pairs:
        if pair.source != pair.target:
            sides[held_out(digest(pair.page.encode()), TEST_SHARE)].setdefault(pair.source, pair)
    train = [pair for text, pair in sides[False].items() if text not in sides[True]]
    ordered = [in_fixed_order(side, _key, None) for side in (train, list(sides[True].values()))]
    return ordered[0], ordered[1]


def _key(pair: Pair) -> str:
    return digest(pair.source.encode())


def _read(task: Task) -> tuple[list[Pair], Source]:
    given, file = str(task.settings.get("data", "")), str(task.settings.get("file", ""))
    language = str(task.settings.get("language", "de"))
    if file:
        return read_file(Path(file).expanduser())
    folder = help_folder(given, language)
    pairs = list(read_pairs(folder, language))
    content = "\n".join(f"{pair.page}\t{pair.source}\t{pair.target}" for pair in pairs)
    return pairs, Source(
        name=f"LibreOffice help, English and {language}",
        version=version(folder),
        sha256=digest(content.encode()),
        licence=LICENCE,
        origin="a folder" if given else f"Debian libreoffice-help-en-us, libreoffice-help-{language.lower()}",
    )


def read_file(file: Path) -> tuple[list[Pair], Source]:
    """The pairs of a tab-separated file in UTF-8: source, target and, perhaps, the document.

    Raises:
        DataMissing: there is no such file.
        ValueError: for a line with fewer columns than two, or more than three.
    """
    if not file.is_file():
        raise DataMissing(
            f"there is no file {str(file)!r}: set file to a tab-separated file of source and target"
        )
    content = file.read_bytes()
    pairs = []
    # Not `splitlines`, which also ends a line at marks that a text may hold.
    for number, line in enumerate(content.decode("utf-8").rstrip("\n").split("\n"), start=1):
        match line.rstrip("\r").split("\t"):
            case [source, target]:
                pairs.append(Pair(source=source, target=target, page=source))
            case [source, target, page]:
                pairs.append(Pair(source=source, target=target, page=page))
            case columns:
                raise ValueError(
                    f"{file.name}: line {number} must have 2 or 3 columns between tabs, got {len(columns)}"
                )
    return pairs, Source(
        name="a tab-separated file",
        version="",
        sha256=digest(content),
        licence="the file's own",
        origin=file.name,
    )


def _encoded(pairs: Sequence[Pair], vocabulary: BytePairs, max_length: int) -> Encoded:
    """Tokens of source and target, where both fit with an end."""
    sources = vocabulary.encode([pair.source for pair in pairs])
    targets = vocabulary.encode([pair.target for pair in pairs])
    both = zip(sources, targets, strict=True)
    return [(source, target) for source, target in both if max(len(source), len(target)) < max_length]


def arranged(pairs: Encoded, max_length: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Source tokens, what the decoder sees, and what it is to tell, each ``[pairs, max_length]``."""
    source, seen = (np.full((len(pairs), max_length), PADDING, dtype=np.int32) for _ in range(2))
    told = np.full((len(pairs), max_length), NOT_SCORED, dtype=np.int32)
    for row, (first, second) in enumerate(pairs):
        source[row, : len(first) + 1] = [*first, END]
        seen[row, : len(second) + 1] = [BEGIN, *second]
        told[row, : len(second) + 1] = [*second, END]
    return (source, seen), told


def source_copied(data: TaskData) -> dict[str, list[float]]:
    """The trivial answer: the source as it stands; names and numbers are right."""
    sources, references = (
        [text_of(row, data.pieces) for row in tokens] for tokens in (data.test_inputs[0], data.test_targets)
    )
    return {name: values.tolist() for name, values in compared(sources, references).items()}
