"""The pages under docs/ as tests read them: blocks that are run in a folder of the page's own, links, names.

A fence says what it is by itself, or in HTML comments right above it, which readers do not see:

- a first line ``# path/name.ext``: a file; it is written where the text says;
- ``sh`` and ``python``: run in the page's folder, in the order of the page, and must end with exit code 0;
- ``text`` under ``<!-- output -->``: each line must stand in what the last ``sh`` block printed, spaces
  aside; `…` stands for anything. ``<!-- output not compared: REASON -->``: figures of a clock, which differ;
- ``<!-- tested as: COMMANDS -->``: what is run in place of what is shown, the same commands on less work;
- ``<!-- exit code N -->``: how the block ends;
- ``<!-- not run: REASON -->``: neither run nor written.

A block that is none of these is an error. A page that starts with ``<!-- continues: PAGE -->`` finds the
files of that page in its folder.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^( *)```(\w*)\s*$")
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
_FILE = re.compile(r"# ([\w./-]+\.\w+)$")
REASON_LENGTH = 20
# What a tested command may say that the shown one does not: less work, and where the answer goes.
MAY_ADD = {
    "--profile",
    "--lengths",
    "--set",
    "--out",
    "--jobs",
    "--launches",
    "--report",
    "--phase",
    "--model",
}


class PageError(AssertionError):
    """A page that does not hold what it promises; the message names the page and the line."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block; `comments` are those right above it."""

    page: Path
    line: int
    language: str
    text: str
    comments: tuple[str, ...]

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page.name}:{self.line}"

    def said(self, what: str) -> str | None:
        """What a comment says after its first words; None where there is no such comment."""
        found = (comment.removeprefix(what) for comment in self.comments if comment.startswith(what))
        text = next(found, None)
        return None if text is None else text.lstrip(":").strip()

    @property
    def file(self) -> str | None:
        """The path of a block that is a file."""
        first = self.text.partition("\n")[0]
        match = _FILE.match(first)
        return match[1] if match and self.language != "sh" else None

    @property
    def role(self) -> str:
        """file, run, output, shown; raises PageError for a block that is nothing."""
        for words in ("not run", "output not compared"):
            reason = self.said(words)
            if reason is not None:
                if len(reason) < REASON_LENGTH:
                    raise PageError(f"{self.where}: {words!r} needs a reason, got {reason!r}")
                return "shown"
        if self.said("output") is not None:
            return "output"
        if self.file:
            return "file"
        if self.language in ("sh", "python"):
            return "run"
        raise PageError(f"{self.where}: a {self.language or 'bare'} block is not run and gives no reason")


def pages() -> list[Path]:
    """All pages, README and CONTRIBUTING not among them."""
    return sorted(DOCS.glob("*.md"))


def blocks(page: Path) -> list[Block]:
    """The page's fenced blocks in order; raises PageError for a fence that does not end."""
    found: list[Block] = []
    lines = page.read_text().splitlines()
    begun: tuple[int, str, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if begun is None and match:
            begun, inside = (number, match[1], match[2]), []
        elif begun is not None and match:
            start, indent, language = begun
            text = "".join(one.removeprefix(indent) + "\n" for one in inside)
            found.append(
                Block(
                    page=page,
                    line=start + 1,
                    language=language,
                    text=text,
                    comments=_comments_above(lines[:start]),
                )
            )
            begun = None
        elif begun is not None:
            inside.append(line)
    if begun is not None:
        raise PageError(f"{page.name}:{begun[0] + 1}: the fence does not end")
    return found


def _comments_above(lines: list[str]) -> tuple[str, ...]:
    """All comments that end on the line above, or above one another."""
    text = "\n".join(lines).rstrip()
    found: list[str] = []
    while text.endswith("-->"):
        start = text.rindex("<!--")
        found.append(text[start + 4 : -3].strip())
        text = text[:start].rstrip()
    return tuple(reversed(found))


def before(page: Path) -> list[Path]:
    """The pages whose files this one builds on, the first of them first."""
    match = re.match(r"<!-- continues: (\S+) -->", page.read_text())
    return [*before(DOCS / match[1]), DOCS / match[1]] if match else []


def commands(text: str) -> Iterator[list[str]]:
    """The words of each `attnbench` command in a script or piece of code, pipes and what follows cut off."""
    for line in text.replace("\\\n", " ").replace("\\|", "|").splitlines():
        for part in re.split(r"\|\|?|&&|;", line):
            if part.strip().startswith("attnbench"):
                words = shlex.split(part, comments=True)
                if words[0] == "attnbench":
                    yield words


def options_of(words: list[str]) -> dict[str, str]:
    """Options with their values, of a command's words; flags with nothing."""
    found: dict[str, str] = {}
    for place, word in enumerate(words):
        if word.startswith("--"):
            after = words[place + 1] if place + 1 < len(words) else ""
            found[word] = "" if after.startswith("--") else after
    return found


def arguments_of(words: list[str]) -> list[str]:
    """The command and what it is given beside options; folders of runs, named by the clock, left out."""
    after_option = [False, *(word.startswith("--") for word in words)]
    return [
        word
        for word, value in zip(words, after_option, strict=False)
        if not value and not word.startswith("--") and not word.startswith("results/")
    ]


def require_same_commands(block: Block) -> None:
    """Raises PageError where what is tested is not what is shown, but for less work."""
    tested = block.said("tested as")
    if tested is None:
        return
    pairs = list(commands(block.text)), list(commands(tested))
    if len(pairs[0]) != len(pairs[1]):
        raise PageError(f"{block.where}: {len(pairs[0])} commands are shown, {len(pairs[1])} tested")
    for shown, run in zip(*pairs, strict=True):
        names, others = set(options_of(shown)), set(options_of(run))
        same = arguments_of(shown) == arguments_of(run)
        if not same or not names <= others or not others - names <= MAY_ADD:
            raise PageError(f"{block.where}: {shlex.join(shown)!r} is tested as {shlex.join(run)!r}")


def links(page: Path) -> Iterator[str]:
    """Targets of all Markdown links outside of blocks, and of code in the text."""
    yield from re.findall(r"\]\(([^)\s]+)\)", prose(page))


def code(page: Path) -> list[str]:
    """All pieces of code in the running text."""
    return re.findall(r"`([^`\n]+)`", prose(page, with_code=True))


def prose(page: Path, *, with_code: bool = False) -> str:
    """The page without blocks and comments, and without pieces of code unless asked for."""
    text = _COMMENT.sub(
        "", re.sub(r"^( *)```.*?^ *```\s*$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    )
    return text if with_code else re.sub(r"`[^`\n]+`", "", text)


def anchors(page: Path) -> set[str]:
    """Of all headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", _without_blocks(page), flags=re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        name, count = plain, 0
        while name in found:
            count += 1
            name = f"{plain}-{count}"
        found.add(name)
    return found


def _without_blocks(page: Path) -> str:
    return re.sub(r"^( *)```.*?^ *```\s*$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
