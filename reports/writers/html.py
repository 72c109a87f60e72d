"""`index.html`: one file that loads nothing, and that is whole without its scripts.

Whatever a user named is put in as text by jinja2's escaping; only the drawings of `reports.pictures.drawing`
and our own scripts go in as markup. The page's policy lets the two scripts run that it names by their digest,
and nothing else; data for them stands in blocks that no browser runs. Bokeh's script is started when the
first figure comes into view.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from reports.comparison import Comparison
from reports.content import Answer, Block, Cell, Plot, Section, Told
from reports.frame import Results
from reports.page import Report, write_whole
from reports.pictures import interactive
from reports.writers.raw import RawValues, address

SCRIPTS = ("tables.js", "cells.js", "figures.js", "page.js")
_WORDS = {
    "better": "good",
    "worse": "bad",
    "same": "even",
    "ok": "good",
    "undecided": "open",
    "failed": "bad",
    "false alarm": "bad",
    "slower": "bad",
    "faster": "good",
    "more": "bad",
    "less": "good",
    "broken": "bad",
    "mended": "good",
    "not measured": "open",
    "inconclusive": "open",
    "measured": "good",
    "sampled": "good",
    "modelled": "open",
    "assumed": "open",
    "flips": "open",
    "unknown": "open",
    "environment": "open",
    "reference": "open",
    "cannot flip": "even",
    "no flip seen": "even",
}


def write(report: Told, folder: Path) -> Path:
    """`index.html` in `folder`."""
    return write_whole(folder / "index.html", rendered("page.html", report))


def rendered(template: str, report: Told) -> str:
    """A document through one of the templates; cells of a report on runs lead to their raw values."""
    results = report.evidence.results if isinstance(report, Report) else None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    environment.filters["kind"] = _kind
    environment.filters["tone"] = lambda word: _WORDS.get(word, "quiet")
    environment.filters["drawing"] = markupsafe.Markup
    environment.globals["page"] = Page(report.sections, results)
    return environment.get_template(template).render(report=report)


class Page:
    """What the template asks for while it writes one page: addresses, numbers of charts, scripts and data."""

    def __init__(self, sections: Sequence[Section], results: Results | None) -> None:
        self._raw = RawValues(results)
        self._addresses: set[str] = set()
        self._charts: list[dict[str, Any]] = []
        self._drawn = any(_has_chart(block) for section in sections for block in section.blocks)

    def attributes(self, cell: Cell) -> markupsafe.Markup:
        """Of a cell's element: its address where it is the first that has it, its number, its raw values."""
        found: list[str] = []
        number = cell.number
        if cell.source is not None:
            number = _number(cell)
            name = address(cell.source)
            if name not in self._addresses:
                self._addresses.add(name)
                found.append(f'id="{name}"')
            rows = self._raw.rows(cell.source)
            if rows:
                found.append(f'data-raw="{" ".join(map(str, rows))}"')
        if number is not None:
            found.append(f'data-number="{number:.6g}"')
        return markupsafe.Markup(" ".join(["", *found]))

    def address(self, cell: Cell) -> str:
        """The fragment that leads to a cell; empty where it has no values to show."""
        return address(cell.source) if cell.source is not None and self._raw.rows(cell.source) else ""

    def place(self, answer: Answer) -> str:
        """The fragment that an answer leads to: its cell, or else its section."""
        return address(answer.source) if answer.source is not None else answer.target

    def chart(self, plot: Plot) -> int | None:
        """The number of the chart's data; None where the picture is all there is."""
        if plot.chart is None:
            return None
        self._charts.append(interactive.item(plot.chart))
        return len(self._charts) - 1

    @property
    def script(self) -> markupsafe.Markup:
        """The page's own script."""
        return markupsafe.Markup(_own_script())

    @property
    def bokeh(self) -> markupsafe.Markup:
        """Bokeh's script; empty on a page without a chart."""
        return markupsafe.Markup(interactive.script() if self._drawn else "")

    @property
    def policy(self) -> str:
        """The Content-Security-Policy: no request, no script but those on the page."""
        digests = " ".join(f"'sha256-{_digest(text)}'" for text in (self.script, self.bokeh) if text)
        return (
            f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        )

    def data(self) -> markupsafe.Markup:
        """All that the scripts read, to be asked for when everything else is written."""
        return inert({"charts": self._charts, "raw": self._raw.data()})


def _has_chart(block: Block) -> bool:
    if isinstance(block, Plot):
        return block.chart is not None
    return any(_has_chart(inner) for inner in getattr(block, "blocks", ()))


def _number(cell: Cell) -> float | None:
    if isinstance(cell.source, Comparison):
        return cell.source.verdict.ratio
    return cell.source.estimate if cell.source is not None else None


def _own_script() -> str:
    folder = resources.files("reports") / "templates"
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return '\n(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def inert(value: Any) -> markupsafe.Markup:
    """JSON that no tag can end."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return markupsafe.Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _breakable(text: str) -> markupsafe.Markup:
    """The text, escaped, that may break its line before an @: ``variant@framework`` in a narrow column."""
    return markupsafe.Markup("<wbr>@").join(text.split("@"))


def _kind(block: Block) -> str:
    return type(block).__name__.lower()
