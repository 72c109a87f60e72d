"""Sentences that LibreOffice's help has in two languages, aligned by page and element.

The help is one HTML page a topic, in a folder for each language, and its paragraphs and headings have the
same ids in all of them: ``<p id="par_id3149821">``. So pairs are what stands under one id on one page. It is
read where Debian's packages ``libreoffice-help-en-us`` and ``libreoffice-help-de`` put it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from suites.tasks.data import DataMissing

FOLDERS = (Path("/usr/share/libreoffice/help"), Path("/usr/lib/libreoffice/help"))
SOURCE_LANGUAGE = "en-US"
ELEMENT = re.compile(r'<(p|h[1-6]) id="((?:par|hd)_[^"]+)"[^>]*>(.*?)</\1>', re.DOTALL)
VERSION = re.compile(r"LibreOffice (\d+(?:\.\d+)+)")
LICENCE = "MPL 2.0 (LibreOffice help)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A text, its translation, and the page that both are from."""

    source: str
    target: str
    page: str


def help_folder(given: str, language: str) -> Path:
    """The folder with a help for each language: the given one, or that of the installed packages.

    Raises:
        DataMissing: it is not there, or lacks one of the languages.
    """
    folders = (Path(given).expanduser(),) if given else FOLDERS
    for folder in folders:
        if all((folder / name / "text").is_dir() for name in (SOURCE_LANGUAGE, language)):
            return folder
    packages = f"libreoffice-help-en-us libreoffice-help-{language.lower()}"
    raise DataMissing(
        f"no LibreOffice help in {SOURCE_LANGUAGE} and {language} under {' or '.join(map(str, folders))}:"
        f" apt-get install {packages}, or set data to a folder that has {SOURCE_LANGUAGE}/text and"
        f" {language}/text (usr/share/libreoffice/help of those packages, unpacked), or file to a"
        " tab-separated file"
    )


def read_pairs(folder: Path, language: str) -> Iterator[Pair]:
    """All pairs, page after page in the order of their names; texts without a letter are left out."""
    root = folder / SOURCE_LANGUAGE / "text"
    for page in sorted(root.rglob("*.html")):
        place = page.relative_to(root)
        translated = folder / language / "text" / place
        if not translated.is_file():
            continue
        targets = elements(translated.read_text(encoding="utf-8"))
        for name, source in elements(page.read_text(encoding="utf-8")).items():
            if any(letter.isalpha() for letter in source) and targets.get(name):
                yield Pair(source=source, target=targets[name], page=place.as_posix())


def version(folder: Path) -> str:
    """The version that the help's start page names; empty where it names none."""
    start = folder / SOURCE_LANGUAGE / "text" / "shared" / "05" / "new_help.html"
    found = VERSION.search(start.read_text(encoding="utf-8")) if start.is_file() else None
    return found[1] if found else ""


def elements(page: str) -> dict[str, str]:
    """The text of each paragraph and heading that has an id, by that id; the first, if one comes twice."""
    found: dict[str, str] = {}
    for match in ELEMENT.finditer(page):
        found.setdefault(match[2], text_of(match[3]))
    return found


def text_of(markup: str) -> str:
    """The text that a reader sees, spaces and line breaks as one space each."""
    reader = _Text()
    reader.feed(markup)
    reader.close()
    return " ".join("".join(reader.parts).split())


class _Text(HTMLParser):
    """Collects text, but for what one of several systems alone shows (a Mac's menus)."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.open: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "span":
            told = dict(attrs)
            self.open.append("hidden" in told and not (told.get("id") or "").startswith("default"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "span" and self.open:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not any(self.open):
            self.parts.append(data)
