"""Energy of the work that was metered, and how it is known: tiers, idle, windows, and what cannot be said.

Gross is the headline and net of idle stands beside it. Memory is kept apart: its figure is a guess a DIMM on
most machines, and would outweigh what the variants differ in. Carbon needs an intensity, which a run does not
hold: that is for the audit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.tiers import READ
from reports import formatting
from reports.content import Block, Group, Items, Paragraph, Section
from reports.energy.known import known
from reports.energy.pairs import HEADLINE, NOTHING_NEW, SUITES, flagged, metered
from reports.energy.plots import Front, growth, worth
from reports.energy.table import EnergyTable
from reports.estimates import Figure
from reports.evidence import Evidence

_TITLE = "Energy, and how it is known"
_READING = (
    "Gross energy of processor and accelerator is the headline; beside it what is left of it without the "
    "idle power. Memory stands apart and ranks nothing. Intervals are Student's t over launches, or over "
    "windows where there was one launch only: chance alone, not the error of the method, told here:"
)
_CARBON = (
    "Carbon is not told here: it takes an intensity and a boundary. “attnbench audit RUN” writes the "
    "document, with grams by country or by the intensity that you give."
)


def render(evidence: Evidence) -> Section:
    """What can be said of the joules, how they are known, a table a kind of work and a task, and plots."""
    rows = metered(evidence.results)
    if rows.empty:
        told: Block = Paragraph(text="No energy was metered in these runs.")
        return Section(name="energy", title=_TITLE, blocks=(told,), data={})
    warnings = [*unranked_sentences(rows, mixed=evidence.results.mixed), *_flag_sentences(rows)]
    lines = known(rows)
    fronts = list(worth(evidence))
    blocks: list[Block] = [Paragraph(text=text, warning=True) for text in warnings]
    blocks += [Paragraph(text=_READING), Items(items=tuple(lines))]
    blocks += _tables(evidence)
    blocks += [front.plot for front in fronts]
    blocks += growth(evidence)
    blocks.append(Paragraph(text=_CARBON))
    return Section(
        name="energy", title=_TITLE, blocks=tuple(blocks), data=_data(evidence, warnings, lines, fronts)
    )


def unranked_sentences(rows: Any, *, mixed: bool) -> Iterator[str]:
    """What must be said where joules were modelled or assumed, one sentence an environment."""
    fine = rows[(rows["metric"] == HEADLINE) & (rows["status"] == "ok")]
    for environment, mine in fine.groupby("environment_id", sort=False):
        place = f"On {environment}: " if mixed else ""
        modelled = mine[~mine["method"].isin(READ)]
        names = list(dict.fromkeys(modelled["implementation"]))
        if len(modelled) == len(mine):
            yield (
                f"{place}There was no counter to read: these joules are time multiplied by a power that was "
                f"modelled or assumed, and {NOTHING_NEW}."
            )
        elif names:
            yield (
                f"{place}No counter was read for {formatting.listed(names)}: where joules are modelled or "
                f"assumed, {NOTHING_NEW}."
            )


def _flag_sentences(rows: Any) -> Iterator[str]:
    count, windows = flagged(rows[(rows["metric"] == HEADLINE) & (rows["status"] == "ok")])
    if count:
        yield (
            f"Other work took more than 10% of the machine in {count} of "
            f"{formatting.plural(windows, 'window')}. They are in the "
            "figures, which say so; a quieter machine would tell more."
        )


def _tables(evidence: Evidence) -> Iterator[Block]:
    """A table a kind of made-up work, then one a task; idle power stands above them."""
    mine = [figure for figure in evidence.figures if figure.suite in SUITES and figure.role != "yardstick"]
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in sorted(mine, key=lambda figure: SUITES.index(figure.suite)):
        title = figure.series if figure.suite == "energy" else figure.subject.rpartition("/")[0]
        groups.setdefault((figure.suite, title), []).append(figure)
    for (suite, title), figures in groups.items():
        table = EnergyTable(evidence=evidence, suite=suite, task=title, figures=figures)
        yield Group(title=title, blocks=tuple(table.blocks()), opened=True)


def _data(
    evidence: Evidence, warnings: list[str], lines: list[tuple[str, str]], fronts: list[Front]
) -> dict[str, Any]:
    """Figures and verdicts themselves stand under their own keys of the report."""
    cells = [comparison for comparison in evidence.comparisons if comparison.axis == "energy"]
    return {
        "warnings": warnings,
        "known": dict(lines),
        "remarks": [
            {"implementation": c.implementation, "subject": c.subject, "remark": remark}
            for c in cells
            for remark in c.remarks
        ],
        "fronts": [front.data for front in fronts],
    }
