"""The answer first: each implementation against its reference, on every axis, one row each.

A cell stands at the longest length that both were measured at. It holds a word, the ratio (or the
difference of scores) with its interval, the length and how many launches stand behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reports import formatting
from reports.comparison import SETTLED_LAUNCHES, SETTLED_REPEATS, SETTLED_SEEDS, Comparison
from reports.content import Block, Cell, Column, Items, Paragraph, Section, Table
from reports.directions import better
from reports.energy.pairs import HEADLINE, NOTHING_NEW, unranked
from reports.evidence import Evidence
from reports.headline import PHASES, Heading, headings, headline
from reports.learnt.outdone import in_short, outdone

_BETTER = {"time": "faster", "memory": "leaner", "energy": "less energy", "score": "better scores"}
_WORSE = {"time": "slower", "memory": "more memory", "energy": "more energy", "score": "worse scores"}


def render(evidence: Evidence) -> Section:
    """The verdict table, what it says in short, and torch against keras where that was measured."""
    chosen = headline(evidence.comparisons)
    blocks: list[Block] = []
    if not evidence.comparisons:
        blocks.append(Paragraph(text="Nothing has been measured yet that can be compared with a reference."))
    blocks.extend(_in_short(evidence, chosen))
    blocks.extend(_main_table(evidence, chosen))
    blocks.extend(_frameworks(evidence.comparisons))
    shown = {id(comparison) for comparison in chosen.values()}
    data = [_as_data(comparison, id(comparison) in shown) for comparison in evidence.comparisons]
    return Section(name="verdicts", title="Verdicts", blocks=tuple(blocks), data=data)


def _in_short(evidence: Evidence, chosen: dict[tuple[str, str, Heading], Comparison]) -> Iterator[Block]:
    lines: list[tuple[str, str]] = []
    for heading in dict.fromkeys(key[2] for key in chosen):
        cells = [comparison for key, comparison in chosen.items() if key[2] == heading]
        said = []
        for word, phrase in (
            ("better", _BETTER[heading.axis]),
            ("worse", _WORSE[heading.axis]),
            ("same", "the same"),
        ):
            names = [_doubted(evidence, c) for c in cells if c.verdict.word == word]
            if names:
                said.append(f"{phrase}: {formatting.listed(names)}")
        said += _open(cells)
        if heading.axis == "score":
            said += in_short(outdone(evidence.figures, heading.subject, heading.metric))
        lines.append((heading.title, "; ".join(said)))
    if lines:
        yield Items(items=tuple(lines))


def _open(cells: Sequence[Comparison]) -> Iterator[str]:
    """How many are undecided, those apart that no measuring of this kind would decide."""
    refused = sum(unranked(comparison) for comparison in cells)
    undecided = sum(comparison.verdict.word == "undecided" for comparison in cells) - refused
    if undecided:
        yield f"undecided: {undecided} of {len(cells)}"
    if refused:
        yield f"undecided, as modelled: {refused} of {len(cells)}; {NOTHING_NEW}"


def _doubted(evidence: Evidence, comparison: Comparison) -> str:
    """Its name, with a warning where it is not what its name says."""
    failed, _ = _certificate(evidence, comparison.environment_id, comparison.implementation)
    return f"{comparison.implementation} (certificate failed)" if failed else comparison.implementation


def _main_table(evidence: Evidence, chosen: dict[tuple[str, str, Heading], Comparison]) -> Iterator[Block]:
    columns = headings(evidence.comparisons)
    rows = [
        (_name_cell(evidence, environment, implementation), *cells)
        for environment, implementation, is_reference in _implementations(evidence)
        for cells in [_cells(evidence, chosen, columns, (environment, implementation), is_reference)]
    ]
    if rows and columns:
        yield Table(
            caption=_caption(evidence),
            columns=(Column(title="implementation"), *(Column(title=heading.title) for heading in columns)),
            rows=tuple(rows),
        )


def _caption(evidence: Evidence) -> str:
    results = evidence.results
    return (
        "Against the reference of the same framework, at the longest length that both were measured at. Time "
        "and memory: ratio to the reference, below 1× is less. Scores: difference from the reference"
        f"{_less_is_better(evidence)}. In brackets the interval. “same”: within {results.margin:.0%}"
        f"{_score_margins(evidence)}. Error rate "
        f"{results.alpha:g} over all costs, {results.score_alpha:g} over all scores. Provisional: "
        f"planned with fewer than {SETTLED_LAUNCHES} launches, or resting on fewer than "
        f"{SETTLED_REPEATS} memory processes or {SETTLED_SEEDS} seeds."
        f"{_on_energy(evidence)}"
    )


def _on_energy(evidence: Evidence) -> str:
    """How the column of energy is to be read; nothing where there is none."""
    if not any(comparison.axis == "energy" for comparison in evidence.comparisons):
        return ""
    return (
        " Energy: ratio of gross joules without those of memory, paired window by window, corrected among "
        "energies alone; provisional where all windows are of one launch. Under it stands how the joules "
        "are known: modelled or assumed ones are never ranked."
    )


def _judged(evidence: Evidence) -> list[str]:
    """The scores that stand in the table."""
    return list(dict.fromkeys(c.metric for c in evidence.comparisons if c.axis == "score"))


def _score_margins(evidence: Evidence) -> str:
    margins = evidence.results.score_margins
    return "".join(f", {metric} within {margins[metric]:g}" for metric in _judged(evidence))


def _less_is_better(evidence: Evidence) -> str:
    """Which of the scores are better below 0; nothing where none is."""
    names = [metric for metric in _judged(evidence) if better("accuracy", metric) == "lower"]
    return f" (of {formatting.listed(names)} less is better)" if names else ""


def _implementations(evidence: Evidence) -> list[tuple[str, str, bool]]:
    """Environment, name and whether it is a reference: what was measured before what could not be, and
    within each framework the reference first."""
    frame = evidence.results.frame
    rows = frame[frame["role"].isin(["reference", "candidate"])]
    references = set(rows[(rows["role"] == "reference") & (rows["suite"] != "crossing")]["implementation"])
    columns = ["environment_id", "framework", "implementation"]
    measured = dict.fromkeys(rows[rows["status"] == "ok"][columns].itertuples(index=False, name=None))
    found = dict.fromkeys((*measured, *rows[columns].itertuples(index=False, name=None)))
    frameworks = list(dict.fromkeys((environment, framework) for environment, framework, _ in found))
    ordered = sorted(
        found, key=lambda key: (key not in measured, frameworks.index(key[:2]), key[2] not in references)
    )
    return [(environment, name, name in references) for environment, _, name in ordered]


def _name_cell(evidence: Evidence, environment: str, implementation: str) -> Cell:
    failed, held = _certificate(evidence, environment, implementation)
    notes = [f"on {environment}"] if evidence.results.mixed else []
    if failed:
        return Cell(text=implementation, notes=tuple(notes), mark=f"certificate failed: {', '.join(failed)}")
    notes.append(f"certified: {formatting.plural(held, 'property')}" if held else "not certified")
    return Cell(text=implementation, notes=tuple(notes))


def _certificate(evidence: Evidence, environment: str, implementation: str) -> tuple[list[str], int]:
    """Which properties failed, and how many hold."""
    rows = evidence.results.select("certificate")
    mine = rows[(rows["implementation"] == implementation) & (rows["environment_id"] == environment)]
    failed = list(dict.fromkeys(mine[mine["status"] == "failed"]["metric"]))
    return failed, len(set(mine[mine["status"] == "ok"]["metric"]))


def _cells(
    evidence: Evidence,
    chosen: dict[tuple[str, str, Heading], Comparison],
    columns: Sequence[Heading],
    row: tuple[str, str],
    is_reference: bool,
) -> list[Cell]:
    cells = []
    for heading in columns:
        comparison = chosen.get((*row, heading))
        if comparison is not None:
            cells.append(verdict_cell(comparison))
        else:
            cells.append(_uncompared(evidence, row, heading, is_reference))
    return cells


def verdict_cell(comparison: Comparison, *, beside: bool = False) -> Cell:
    """A comparison as word, estimate with interval, place and launches; place and remarks are left out where
    it stands `beside` its own figures."""
    verdict, unit = comparison.verdict, comparison.unit
    signed = comparison.axis == "score"
    text, interval = formatting.with_bounds(verdict.ratio, verdict.low, verdict.high, unit, signed=signed)
    count = formatting.plural(len(comparison.effects), comparison.unit_of_evidence)
    known = signed or beside or comparison.suite == "task_energy"
    places = () if known else (_place(comparison),)
    remarks = () if beside else comparison.remarks
    tier = (comparison.method,) if comparison.axis == "energy" else ()
    if verdict.ratio is None:
        return Cell(word=verdict.word, notes=(verdict.reason, *places, *remarks), source=comparison)
    return Cell(
        word=verdict.word,
        text=text,
        notes=(f"({interval})", *tier, *places, count, *remarks),
        mark="provisional" if comparison.provisional else "",
        source=comparison,
    )


def _place(comparison: Comparison) -> str:
    what = comparison.architecture.replace("_", " ") or comparison.series
    if comparison.axis == "memory" or comparison.suite == "energy":
        what = f"{what} {PHASES.get(comparison.phase, comparison.phase).lower()}"
    return f"{what}, {formatting.length(comparison.length)} tokens" if comparison.length else what


def _uncompared(evidence: Evidence, row: tuple[str, str], heading: Heading, is_reference: bool) -> Cell:
    """Why there is no comparison: it is the reference, or the status of what was tried, or nothing was."""
    frame = evidence.results.frame
    mine = frame[(frame["environment_id"] == row[0]) & (frame["implementation"] == row[1])]
    suites = {"time": "throughput", "memory": "memory", "score": "accuracy"}
    suites["energy"] = "task_energy" if heading.subject else "energy"
    tried = mine[mine["suite"] == suites[heading.axis]]
    if heading.axis == "energy":
        tried = tried[tried["metric"] == HEADLINE]
    if heading.subject:
        tried = tried[tried["subject"] == heading.subject]
    elif heading.phase:
        tried = tried[tried["phase"] == heading.phase]
    if tried.empty:
        return Cell(word="not measured")
    wrong = tried[tried["status"] != "ok"]
    if is_reference and len(wrong) < len(tried):
        return Cell(word="reference")
    if wrong.empty:
        return Cell(word="no reference", notes=("nothing to compare it with",))
    return Cell(word=wrong.iloc[-1]["status"], notes=("see what failed",))


def _frameworks(comparisons: Sequence[Comparison]) -> Iterator[Block]:
    crossing = [comparison for comparison in comparisons if comparison.axis == "framework"]
    if not crossing:
        return
    rows = tuple(
        (
            Cell(text=comparison.implementation),
            Cell(text=comparison.reference),
            Cell(text=comparison.subject),
            verdict_cell(comparison),
        )
        for comparison in crossing
    )
    titles = ("implementation", "against", "work", "time")
    yield Table(
        caption="One framework against the other on the same work, in alternating turns of two processes.",
        columns=tuple(Column(title=title) for title in titles),
        rows=rows,
    )


def _as_data(comparison: Comparison, headline_cell: bool) -> dict[str, Any]:
    verdict = comparison.verdict
    axis = {"time": comparison.phase}.get(comparison.axis, comparison.axis)
    return {
        "implementation": comparison.implementation,
        "reference": comparison.reference,
        "axis": axis,
        "subject": comparison.subject,
        "metric": comparison.metric,
        "phase": comparison.phase,
        "length": comparison.length or None,
        "word": verdict.word,
        "method": comparison.method,
        "estimate": verdict.ratio,
        "low": verdict.low,
        "high": verdict.high,
        "level": verdict.level,
        "margin": verdict.margin,
        "unit": comparison.unit,
        "launches": comparison.launches,
        "adjusted_p": comparison.adjusted_p,
        "provisional": comparison.provisional,
        "headline": headline_cell,
        "reason": verdict.reason,
        "environment": comparison.environment_id,
    }
