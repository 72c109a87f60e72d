"""Every figure with its estimate, interval, unit, method and status: one table a kind of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from reports import formatting
from reports.comparison import Comparison
from reports.content import Block, Cell, Column, Group, Paragraph, Section, Table
from reports.energy.pairs import SUITES as ENERGY
from reports.estimates import Figure
from reports.evidence import Evidence
from reports.failures import summary
from reports.verdicts import verdict_cell

_TITLES = {
    "latency_p50": "latency p50",
    "latency_p95": "latency p95",
    "latency_p99": "latency p99",
    "items_per_second": "items a second",
    "tokens_per_second": "tokens a second",
    "share_of_matrix_product": "share of matrix-product speed",
    "gemm_flops": "matrix product",
    "peak_bytes": "peak memory",
    "seconds": "time of one call",
}
_LONGEST_REASON = 60
_IN_THEIR_VIEW = {"accuracy", "robustness", "attack_transfer", *ENERGY}
_ROLES = {"reference": 0, "candidate": 1, "control": 2, "yardstick": 3, "baseline": 4}


def render(evidence: Evidence) -> Section:
    """Folded tables by suite and kind of work; scores, attacks and energy stand in views of their own."""
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in evidence.figures:
        if figure.suite not in _IN_THEIR_VIEW:
            groups.setdefault((figure.suite, figure.series), []).append(figure)
    blocks: list[Block] = [
        Group(title=f"{suite}: {series}", blocks=(_table(figures, evidence),))
        for (suite, series), figures in groups.items()
    ]
    lead = (
        "Estimates are geometric means over launches, with Student's t interval over launches in brackets "
        "and the method below. Ratios come from paired calls of one process and are more precise than a "
        "quotient of two latencies."
    )
    blocks.insert(0, Paragraph(text=lead if blocks else "Nothing has been measured yet."))
    data = [_as_data(figure) for figure in evidence.figures]
    return Section(name="figures", title="Every figure", blocks=tuple(blocks), data=data)


def _table(figures: Sequence[Figure], evidence: Evidence) -> Table:
    metrics = _columns(figures)
    compared = {
        (c.environment_id, c.suite, c.subject, c.implementation): c
        for c in evidence.comparisons
        if c.axis != "score"
    }
    keys = sorted(
        dict.fromkeys((f.environment_id, f.length, f.subject, f.implementation, f.role) for f in figures),
        key=lambda key: (key[0], key[1], _ROLES.get(key[4], 9)),
    )
    rows = []
    for environment, _, subject, name, role in keys:
        mine = {f.metric: f for f in figures if _key(f) == (environment, subject, name, role)}
        ratio = _ratio(compared.get((environment, figures[0].suite, subject, name)), role)
        cells = [_first_cell(mine, metric) for metric in metrics]
        note = (f"on {environment}",) if evidence.results.mixed else ()
        rows.append((Cell(text=name, notes=note), Cell(text=subject), ratio, *cells))
    titles = [Column(title="implementation"), Column(title="work"), Column(title="against reference")]
    titles += [
        Column(title=_TITLES.get(metric, metric.replace("_", " ")), numeric=True) for metric in metrics
    ]
    return Table(caption=_tools(figures), columns=tuple(titles), rows=tuple(rows))


def _columns(figures: Sequence[Figure]) -> list[str]:
    """The metrics shown: one that no row holds a value of (raw seconds beside their percentiles) goes
    into the row's first cell instead."""
    metrics = list(dict.fromkeys(figure.metric for figure in figures))
    if "latency_p50" in metrics and "seconds" in metrics:
        metrics.remove("seconds")
    return metrics


def _first_cell(mine: dict[str, Figure], metric: str) -> Cell:
    return figure_cell(mine.get(metric) or mine.get("seconds"), "launch")


def _key(figure: Figure) -> tuple[str, str, str, str]:
    return figure.environment_id, figure.subject, figure.implementation, figure.role


def _tools(figures: Sequence[Figure]) -> str:
    return "Measured with " + formatting.listed(list(dict.fromkeys(figure.tool for figure in figures))) + "."


def _ratio(comparison: Comparison | None, role: str) -> Cell:
    if comparison is not None:
        return verdict_cell(comparison)
    return Cell(word=role if role in ("reference", "yardstick", "baseline") else "not compared")


def figure_cell(figure: Figure | None, unit_of_evidence: str) -> Cell:
    """A figure as estimate, interval and method, or its status with the reason; never blank."""
    if figure is None:
        return Cell(word="not measured")
    if figure.estimate is None:
        return Cell(word=figure.status, notes=(_short(figure.reason),), source=figure)
    text, interval = formatting.with_bounds(figure.estimate, figure.low, figure.high, figure.unit)
    notes = [f"({interval})"] if figure.low is not None else []
    notes.append(figure.method)
    mark = (
        f"provisional: {formatting.plural(figure.launches, unit_of_evidence)}" if figure.provisional else ""
    )
    return Cell(text=text, notes=tuple(notes), mark=mark, source=figure)


def _short(reason: str) -> str:
    text = summary(reason)
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def _as_data(figure: Figure) -> dict[str, Any]:
    return {name: value for name, value in asdict(figure).items() if name != "series"}
