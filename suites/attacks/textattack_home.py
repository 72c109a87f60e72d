"""`import textattack` on a machine without network or downloaded data, leaving nothing behind.

As it stands TextAttack 0.3.11 downloads six NLTK packages and a Stanza model at its first import, stops with
a LookupError when NLTK's stop words are not there, points Hugging Face's caches somewhere else, switches all
loggers off and on, and warns through deprecated calls. Here it finds what it reads in a folder that
lasts as long as the process: our own stop words (`words/english_stopwords.txt`) and the mark of a finished
installation. The environment and the loggers are put back as they were.

Parts of speech need no tagger here: `suites.attacks.lexicon` looks them up in WordNet.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import importlib.util
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STOPWORDS = Path(__file__).parent / "words" / "english_stopwords.txt"
REMEDY = "pip install attnbench[robustness]"

# TextAttack takes its installation for finished when this file is there.
_INSTALLED_MARK = Path(".cache", "textattack", "post_install_check_3")

# What is set for the import, or by it.
_BORROWED = (
    "HOME",
    "MPLCONFIGDIR",
    "TA_CACHE_DIR",
    "TOKENIZERS_PARALLELISM",
    "TORCHINDUCTOR_CACHE_DIR",
    "USE_TF",
)


class AttackUnsupported(Exception):  # noqa: N818 - reads as what it is, where it is raised and caught
    """An attack that cannot be made on this machine; the message says why, and what to install."""


@functools.cache
def stopwords() -> frozenset[str]:
    """English function words, negations among them: words that an attack must leave as they are."""
    return frozenset(STOPWORDS.read_text(encoding="utf-8").split())


@functools.cache
def textattack() -> Any:
    """The package `textattack`, imported quietly and without network.

    Raises:
        AttackUnsupported: when it is not installed.
    """
    if importlib.util.find_spec("textattack") is None:
        raise AttackUnsupported(f"TextAttack is not installed: {REMEDY}")
    # These two read where their caches are when they are imported; so they see the user's environment.
    for name in ("huggingface_hub.constants", "datasets.config"):
        with contextlib.suppress(ImportError), confined_warnings():
            importlib.import_module(name)
    home = _home()
    _nltk_reads(home / "nltk_data")
    with _environment(home), _loggers_as_they_were(), confined_warnings():
        package = importlib.import_module("textattack")
    _remember_words(importlib.import_module("textattack.shared.attacked_text"))
    logging.getLogger("textattack.shared.utils.install").setLevel(logging.ERROR)
    return package


def _remember_words(module: Any) -> None:
    """TextAttack splits every word of a text anew for each candidate: most of a character attack's time."""
    original = module.words_from_text
    split = functools.lru_cache(maxsize=2**16)(lambda text: tuple(original(text)))
    module.words_from_text = lambda text: list(split(text))


def _home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="attnbench-textattack-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    words = Path("nltk_data", "corpora", "stopwords", "english")
    for file, text in ((words, "\n".join(sorted(stopwords())) + "\n"), (_INSTALLED_MARK, "")):
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_text(text, encoding="utf-8")
    return home


def _nltk_reads(folder: Path) -> None:
    with confined_warnings():
        data: Any = importlib.import_module("nltk.data")
    # At the end: what the user has downloaded comes first.
    if str(folder) not in data.path:
        data.path.append(str(folder))


@contextlib.contextmanager
def _environment(home: Path) -> Iterator[None]:
    """With `home` as the home directory.

    Setting ``TA_CACHE_DIR`` would do for TextAttack itself, which would then move everybody's caches.
    """
    before = {name: os.environ.get(name) for name in _BORROWED}
    os.environ.pop("TA_CACHE_DIR", None)
    os.environ["HOME"] = str(home)
    os.environ["MPLCONFIGDIR"] = os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(home / "caches")
    os.environ.setdefault("USE_TF", "0")  # transformers would load TensorFlow as well
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _loggers_as_they_were() -> Iterator[None]:
    """TextAttack configures logging in a way that disables all loggers there are, Flair enables them all."""
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    before = [(one, one.disabled) for one in loggers]
    try:
        yield
    finally:
        for one, disabled in before:
            one.disabled = disabled


@contextlib.contextmanager
def confined_warnings() -> Iterator[None]:
    """Warnings that TextAttack and what it loads raise about themselves; all others pass."""
    with warnings.catch_warnings():
        for message, category in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        yield


_KNOWN_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    # TextAttack's validators call Logger.warn for every model that is not its own.
    ("The 'warn' method is deprecated", DeprecationWarning),
)
