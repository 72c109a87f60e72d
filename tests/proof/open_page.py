"""How large a page is, and how long one with 20,000 cells takes to open: ``python tests/proof/open_page.py``.

Prints both beside their promises, under 5 MB for a quick run and under 2 s in headless chromium, and ends
with exit code 1 where one is broken. The run is made up; name the folder of a real one to have it weighed.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from reports.content import Block, Group, Section, Table, columns, words
from reports.figures import figure_cell
from reports.page import Report, build, write_reports
from reports.writers import html

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import make_run

CELLS, SECONDS, BYTES, OPENINGS = 20_000, 2.0, 5_000_000, 7
COLUMNS, ROWS = 10, 50
CHROMIUM, ARGUMENTS = (
    "/usr/bin/chromium",
    ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
)


def _large(report: Report) -> Report:
    """The report and as many cells as promised, each with an address and raw values of its own."""
    figures = [one for one in report.evidence.figures if one.suite == "throughput" and one.estimate]
    cells = iter(range(CELLS))
    groups: list[Block] = []
    for number in range(CELLS // (COLUMNS * ROWS)):
        rows = tuple(
            (*words(f"variant{row}@torch"), *(_cell(figures, next(cells)) for _ in range(COLUMNS)))
            for row in range(ROWS)
        )
        heads = columns("implementation", *(f"metric {place} #" for place in range(COLUMNS)))
        table = Table(caption=f"Table {number}", columns=heads, rows=rows)
        groups.append(Group(title=f"group {number}", blocks=(table,)))
    many = Section(name="many", title="Many", blocks=tuple(groups))
    return replace(report, sections=(*report.sections, many))


def _cell(figures: list[Any], number: int) -> Any:
    figure = figures[number % len(figures)]
    return replace(figure_cell(figure, "launch"), source=replace(figure, metric=f"{figure.metric} {number}"))


def _openings(page: Path) -> list[float]:
    """Seconds from the request of the page to its load event, each in a context of its own."""
    found = []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for _ in range(OPENINGS):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            opened = context.new_page()
            begin = time.perf_counter()
            opened.goto(page.as_uri())
            found.append(time.perf_counter() - begin)
            context.close()
        browser.close()
    return sorted(found)


def main() -> int:
    """Both figures beside their promises."""
    folder = Path(tempfile.mkdtemp())
    run = Path(sys.argv[1]) if sys.argv[1:] else make_run.write(folder / "run")
    (page,) = write_reports([run], folder / "quick", ["html"])
    size = page.stat().st_size
    print(f"the run's page: {size:,} bytes; promised: under {BYTES:,}")
    (folder / "large").mkdir()
    made_up = build([make_run.write(folder / "made-up")])
    large = html.write(_large(made_up), folder / "large")
    times = _openings(large)
    typical = times[len(times) // 2]
    print(f"a page with {CELLS:,} cells more ({large.stat().st_size:,} bytes): opens in {typical:.2f} s")
    print(f"(median of {OPENINGS}, {times[0]:.2f} to {times[-1]:.2f}); promised: under {SECONDS:g} s")
    return int(size >= BYTES or typical >= SECONDS)


if __name__ == "__main__":
    sys.exit(main())
