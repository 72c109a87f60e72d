"""What docs/ shows works as it stands there; what it names exists."""

import importlib
import importlib.util
import re
from pathlib import Path
from typing import get_args

import doc_pages
import pytest
import typer
from doc_pages import DOCS, ROOT, Block, PageError, blocks, pages
from doc_reader import Reader

from bench.cli import app
from bench.profiles import PROFILES
from bench.registry import registry
from bench.schema import Method, Phase, Role, Status, VerdictWord
from bench.session import SCORE_MARGINS

WITH_EXAMPLES = [page for page in pages() if any(block.role == "run" for block in blocks(page))]
TEXTS = [*pages(), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
# Blocks that are only shown, over all pages; each gives its reason beside it.
MOST_SHOWN = 12
PATHS = re.compile(r"(?:bench|implementations|suites|reports|tests|docs|\.github)/[\w./*-]*")
MODULES = re.compile(r"(?:bench|implementations|suites|reports)(?:\.\w+)+(?::\w+)?")
OTHERS_OPTIONS = {"--bench", "--no-deps", "--show-stderr"}


def named(path: Path) -> str:
    return path.name


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """The options of each command of `attnbench`."""
    group = typer.main.get_command(app)
    return {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=named)
def test_whoever_does_what_the_page_says_sees_what_it_shows(page: Path, tmp_path: Path) -> None:
    Reader(tmp_path / "folder").read(page)


def test_every_page_that_teaches_has_examples() -> None:
    taught = {"tutorial.md", *(page.name for page in DOCS.glob("add_*.md"))}
    assert len(taught) == 6 and taught <= {page.name for page in WITH_EXAMPLES}


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        assert block.role
        doc_pages.require_same_commands(block)


def test_few_blocks_are_only_shown() -> None:
    shown = [block.where for page in pages() for block in blocks(page) if block.role == "shown"]
    assert len(shown) <= MOST_SHOWN, shown


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in doc_pages.links(page):
        place, _, anchor = target.partition("#")
        if "://" in place:
            continue
        other = (page.parent / place).resolve() if place else page
        assert other.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in doc_pages.anchors(other), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_command_and_option_exists(page: Path, options: dict[str, set[str]]) -> None:
    every = set.union(*options.values()) | OTHERS_OPTIONS | {"--help"}
    texts = [block.text for block in blocks(page) if block.language in ("sh", "")]
    texts += [block.said("tested as") or "" for block in blocks(page)]
    for words in (words for text in [*texts, *doc_pages.code(page)] for words in doc_pages.commands(text)):
        if len(words) == 1 or words[1] in ("…", "NAME"):
            continue
        assert words[1] in options, f"{page.name}: attnbench {words[1]}"
        unknown = set(doc_pages.options_of(words)) - options[words[1]] - {"--help"}
        assert not unknown, f"{page.name}: attnbench {words[1]} {unknown}"
    for text in doc_pages.code(page):
        if text.startswith("--"):
            assert text.split()[0].rstrip("=,") in every, f"{page.name}: {text}"


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_tox_environment_exists(page: Path) -> None:
    configured = set(re.findall(r"\[testenv:([\w-]+)\]", (ROOT / "tox.ini").read_text()))
    assert set(re.findall(r"tox run -e ([\w-]+)", page.read_text())) <= configured


@pytest.mark.parametrize("page", [page for page in TEXTS if page.name != "change_points.md"], ids=named)
def test_every_file_folder_and_module_that_is_named_exists(page: Path) -> None:
    for text in doc_pages.code(page):
        if PATHS.fullmatch(text):
            assert list(ROOT.glob(text.rstrip("/"))), f"{page.name}: there is no {text}"
        elif MODULES.fullmatch(text):
            assert exists(text), f"{page.name}: there is no {text}"


def exists(text: str) -> bool:
    """Whether a dotted name is a module, or something in one; after a colon, something in a module."""
    module, _, name = text.partition(":")
    if not name and not found(module):
        module, _, name = module.rpartition(".")
    return found(module) and (not name or hasattr(importlib.import_module(module), name))


def found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def test_the_glossary_holds_every_word_that_stands_in_results() -> None:
    words = {word for kind in (Status, Method, Phase, Role, VerdictWord) for word in get_args(kind)}
    missing = (words | set(PROFILES)) - doc_pages.anchors(DOCS / "glossary.md")
    assert not missing


def test_every_metric_that_ranks_is_explained() -> None:
    told = set(doc_pages.code(DOCS / "figures.md"))
    ranking = {
        metric.name for suite in registry().suites.values() for metric in suite.metrics if metric.ranks
    }
    assert ranking <= told, ranking - told


def test_the_numbers_of_the_profiles_and_margins_are_those_of_the_code() -> None:
    text = (DOCS / "figures.md").read_text()
    for profile in PROFILES.values():
        cells = (
            f"`{profile.name}`",
            profile.launches,
            profile.repeats,
            profile.seeds,
            f"{profile.attacked_seeds} × {profile.attacked_examples}",
            f"{profile.seconds:g} s",
            f"{profile.alpha:.0%}",
        )
        assert f"| {' | '.join(map(str, cells))} |" in text
    for metric, margin in SCORE_MARGINS.items():
        assert f"| `{metric}` | {margin:g} |" in text


def test_every_page_is_in_the_index() -> None:
    indexed = {target.partition("#")[0] for target in doc_pages.links(DOCS / "README.md")}
    assert {page.name for page in pages()} - {"README.md"} <= indexed


# The reader itself: it must be able to say no.


def written(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text)
    return page


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```sh\nfalse\n```\n", "ended with 1, not 0"),
        ("<!-- exit code 1 -->\n```sh\ntrue\n```\n", "ended with 0, not 1"),
        ("```python\nassert 1 == 2\n```\n", "AssertionError"),
        ("```sh\necho one two\n```\n<!-- output -->\n```text\none  three\n```\n", "was not printed"),
        ("```text\nanything\n```\n", "gives no reason"),
        ("<!-- not run: no -->\n```sh\ntrue\n```\n", "needs a reason"),
        ("```sh\ntrue\n", "does not end"),
    ],
)
def test_a_page_that_is_wrong_is_found_out(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=complaint):
        Reader(tmp_path / "folder").read(written(tmp_path, text))


def test_files_stay_from_block_to_block_and_dots_stand_for_anything(tmp_path: Path) -> None:
    page = written(
        tmp_path,
        "```python\n# made/by_page.py\nprint('one, 2 and three')\n```\n\n1. Then:\n\n"
        "   ```sh\n   python made/by_page.py\n   ```\n\n"
        "   <!-- output -->\n   ```text\n   one, … three\n   ```\n",
    )
    Reader(tmp_path / "folder").read(page)
    assert (tmp_path / "folder" / "made" / "by_page.py").read_text().endswith("three')\n")


def test_only_less_work_may_stand_in_for_what_is_shown() -> None:
    def block(shown: str, tested: str) -> Block:
        return Block(page=DOCS, line=1, language="sh", text=shown, comments=(f"tested as: {tested}",))

    doc_pages.require_same_commands(
        block("attnbench compare linear", "attnbench compare linear --profile smoke")
    )
    others = ("attnbench run linear", "attnbench compare sdpa", "attnbench compare linear --peers", "true")
    for tested in others:
        with pytest.raises(PageError):
            doc_pages.require_same_commands(block("attnbench compare linear", tested))
    with pytest.raises(PageError):
        doc_pages.require_same_commands(
            block("attnbench compare linear --causal", "attnbench compare linear")
        )
