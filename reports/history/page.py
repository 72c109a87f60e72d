"""The page and the document of a history: what changed, when, between which commits, and the drawings."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import wire
from bench.changes import Change
from reports import formatting
from reports.content import Block, Cell, Document, Items, Paragraph, Plot, Section, Table, columns
from reports.history.plot import draw
from reports.history.series import Run, Series, environment_changes, find_runs, read_series
from reports.page import write_whole
from reports.pictures import palette
from reports.writers.html import rendered

PLOTS = 12
"""At most so many drawings, those with steps first: a page that nobody can load answers nothing."""


def write_history(
    folders: Sequence[Path], out: Path, metrics: Sequence[str] = (), variants: Sequence[str] = ()
) -> dict[str, Any]:
    """Write ``index.html`` and ``history.json`` into `out`; answers what the latter holds.

    Raises StoreError where there is no run, UnknownNameError for names that no run holds.
    """
    runs = find_runs(folders)
    series = read_series(runs, metrics, variants)
    environments = environment_changes(runs)
    document = _document(runs, series, environments)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "history.json", wire.pretty(document).decode())
    page = Document(
        title="What changed from night to night",
        lead=(("Over", f"{formatting.plural(len(runs), 'night')}"), ("Of", f"{len(series):,} series")),
        warnings=(),
        sections=(
            Section(name="changes", title="Changes", blocks=tuple(_told(series, environments))),
            Section(name="series", title="Series", blocks=tuple(_drawn(series, environments))),
        ),
    )
    write_whole(out / "index.html", rendered("page.html", page))
    return {**document, "page": str(out / "index.html")}


def _document(
    runs: Sequence[Run], series: Sequence[Series], environments: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Everything but the nights' values: every change with the series it is of, the latest first."""
    return {
        "nights": len(runs),
        "first": runs[0].started_at,
        "last": runs[-1].started_at,
        "series": len(series),
        "quiet": sum(not one.steps for one in series),
        "changes": [_as_data(*step) for step in _steps(series)],
        "environments": [{"since": moment, "what": what} for moment, what in environments],
    }


def _steps(series: Sequence[Series]) -> list[tuple[Series, Change, int]]:
    """All steps, the latest first, each with how many it stands for: a reference that moved is told once, by
    the ratio that moved middling of those that it moved on one night or the next."""
    own = [(one, change, 1) for one in series for change in one.steps if change.kind != "reference"]
    moved: defaultdict[tuple[object, ...], list[tuple[Series, Change]]] = defaultdict(list)
    for one in series:
        for change in one.steps:
            if change.kind == "reference":
                moved[one.reference].append((one, change))
    for steps in moved.values():
        steps.sort(key=lambda step: _since(*step))
        nights = sorted({night.started_at for one, _ in steps for night in one.nights})
        places = [nights.index(_since(*step)) for step in steps]
        begins = [0, *(i for i in range(1, len(steps)) if places[i] > places[i - 1] + 1), len(steps)]
        for first, last in itertools.pairwise(begins):
            alike = sorted(steps[first:last], key=lambda step: step[1].change)
            own.append((*alike[len(alike) // 2], len(alike)))
    return sorted(own, key=lambda step: _since(*step[:2]), reverse=True)


def _since(series: Series, change: Change) -> str:
    return series.nights[change.first].started_at


def _as_data(series: Series, change: Change, together: int = 1) -> dict[str, Any]:
    framework = series.implementation.rpartition("@")[2]
    ratios = f"{formatting.plural(together, 'ratio')} to the reference@{framework}"
    return {
        "suite": series.suite,
        "metric": series.metric,
        "unit": series.unit,
        "implementation": ratios if change.kind == "reference" else series.implementation,
        "subject": series.subject,
        **{name: value for name, value in asdict(change).items() if name not in ("first", "found")},
        "relative": series.sized,
        "amount": amount(series, change),
        "commits": change.commits,
        "first_night": series.nights[change.first].started_at,
        "found_night": series.nights[change.found].started_at,
    }


def amount(series: Series, change: Change) -> str:
    """How much it is: "+2.1%" of what has a size, points of a fraction, otherwise in the metric's unit."""
    if series.sized:
        return f"{100 * change.change:+.1f}%"
    if series.unit == "fraction":
        return f"{100 * change.change:+.2f} points"
    return formatting.quantity(change.change, series.unit, signed=True)


def _told(series: Sequence[Series], environments: Sequence[tuple[str, str]]) -> Iterator[Block]:
    steps = _steps(series)
    quiet = sum(not one.steps for one in series)
    yield Paragraph(
        text=f"{formatting.plural(len(steps), 'step')} in {len(series):,} series; {quiet:,} are quiet. A "
        "step is called when three nights or more carry it, with what was known that night. On a night with "
        "a changed environment a level begins anew and nothing is called. Where most ratios to one reference "
        "move alike it is the reference that moved, the other way; that is told once."
    )
    if steps:
        yield Table(
            caption="Steps, the latest first. The commits are those between the night before and the first "
            "night that carries it.",
            columns=columns("of", "work", "change", "first night", "found", "commits"),
            rows=tuple(_row(*step) for step in steps),
        )
    if environments:
        yield Items(items=tuple((formatting.moment(moment), what) for moment, what in environments))


def _row(series: Series, change: Change, together: int) -> tuple[Cell, ...]:
    data = _as_data(series, change, together)
    return (
        Cell(text=data["implementation"]),
        Cell(text=f"{series.subject}", notes=(series.metric.replace("_", " "),)),
        Cell(word=change.kind, text=data["amount"]),
        Cell(text=data["first_night"][:10]),
        Cell(text=data["found_night"][:10]),
        Cell(text=change.commits),
    )


def _drawn(series: Sequence[Series], environments: Sequence[tuple[str, str]]) -> Iterator[Block]:
    groups: defaultdict[tuple[Any, ...], list[Series]] = defaultdict(list)
    for one in series:
        groups[one.machine, one.suite, one.metric, one.unit, one.subject].append(one)
    plots = [
        part for group in groups.values() for part in _parts(sorted(group, key=lambda one: -len(one.steps)))
    ]
    plots.sort(key=lambda part: -sum(len(one.steps) for one in part))
    variants = palette.colours([one.implementation.rpartition("@")[0] for one in series])
    moments = [moment for moment, _ in environments]
    if plots:
        yield Paragraph(
            text="A point is a night, a level the median of the nights between two changes. Dashed lines are "
            "steps, with the first commit that may have brought them; dotted lines a changed environment."
        )
    for place, part in enumerate(plots[:PLOTS]):
        first = part[0]
        what = "ratio to the reference of the same launch" if first.paired else f"in {first.unit}"
        title = f"{first.metric.replace('_', ' ')} of {first.subject}, {what}"
        marks = [variants[one.implementation.rpartition("@")[0]] for one in part]
        yield Plot(
            title=title, svg=draw(part, marks, moments, name=f"history {place}"), description=_said(part)
        )
    if len(plots) > PLOTS:
        left = len(plots) - PLOTS
        yield Paragraph(
            text=f"{formatting.plural(left, 'drawing')} more, with the fewest steps, left out: --metric and "
            "--variant choose."
        )


def _parts(group: Sequence[Series]) -> list[Sequence[Series]]:
    """As many series a drawing as there are colours."""
    size = palette.SERIES_COLOURS
    return [group[at : at + size] for at in range(0, len(group), size)]


def _said(series: Sequence[Series]) -> str:
    steps = [f"{one.implementation} {amount(one, change)}" for one in series for change in one.steps]
    nights = max(len(one.nights) for one in series)
    return f"{len(series)} series over {formatting.plural(nights, 'night')}; " + (
        f"steps: {', '.join(steps)}" if steps else "no step"
    )
