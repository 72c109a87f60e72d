"""What the command line prints: lists, and the verdict table of a finished report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.registry import Registry

COLOURS = {"better": "green", "worse": "red", "same": "blue", "undecided": "yellow"}


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def list_table(kind: str, registry: Registry) -> Table:
    """The rows of one kind."""
    if kind == "variants":
        table = _table("variant", "what it is", "time", "on", "paper")
        for variant in registry.variants.values():
            frameworks = ", ".join(variant.targets)
            table.add_row(*map(Text, (variant.name, variant.title, variant.time, frameworks, variant.paper)))
        for name, reason in registry.refused.items():
            table.add_row(Text(name), Text(f"refused: {reason}"), "", "", "")
    elif kind == "suites":
        table = _table("suite", "measures", "needs")
        for suite in registry.suites.values():
            measures = (
                ", ".join(metric.title for metric in suite.metrics if metric.ranks) or "whether claims hold"
            )
            table.add_row(suite.name, measures, f"attnbench[{suite.extra}]" if suite.extra else "")
    elif kind == "tasks":
        table = _table("task", "what is learnt", "score", "model")
        for task in registry.tasks.values():
            table.add_row(task.name, Text(task.title), task.metric, task.architecture)
    else:
        table = _table("view", "shows")
        for view in registry.views.values():
            table.add_row(view.name, view.title)
    return table


def list_rows(kind: str, registry: Registry) -> Sequence[Any]:
    """The same as plain data."""
    return list(
        {
            "variants": registry.variants,
            "suites": registry.suites,
            "views": registry.views,
            "tasks": registry.tasks,
        }[kind].values()
    )


def verdict_table(report: Mapping[str, Any]) -> Table:
    """A row a variant, a column an axis: the word, and the ratio or difference with its interval."""
    verdicts = [verdict for verdict in report["verdicts"] if verdict["headline"]]
    axes = list(dict.fromkeys(map(_axis, verdicts)))
    table = _table("against softmax", *axes)
    for name in dict.fromkeys(verdict["implementation"] for verdict in verdicts):
        cells = {_axis(v): v for v in verdicts if v["implementation"] == name}
        table.add_row(Text(name.replace("@", "\n@")), *(_verdict(cells.get(axis)) for axis in axes))
    return table


def _axis(verdict: Mapping[str, Any]) -> str:
    """The column a verdict stands in: its phase, memory, or the task and metric."""
    if verdict["axis"] == "score":
        return f"{verdict['subject']}\n{verdict['metric']}"
    return str(verdict["axis"]).replace("_", " ")


def _verdict(verdict: Mapping[str, Any] | None) -> Text:
    if verdict is None:
        return Text("not measured", "dim")
    word = str(verdict["word"])
    cell = Text(word, COLOURS.get(word, ""))
    if verdict.get("estimate") is not None:
        cell.append(f"\n{_estimate(verdict)}", "default")
    return cell


def _estimate(verdict: Mapping[str, Any]) -> str:
    estimate, low, high, unit = (verdict.get(name) for name in ("estimate", "low", "high", "unit"))
    times = unit == "ratio"
    shown = f"×{estimate:.3g}" if times else f"{estimate:+.3g} {unit}"
    if low is None or high is None:
        return shown
    span = f"{low:.3g}–{high:.3g}" if times else f"{low:+.2g} to {high:+.2g}"
    return f"{shown}\n{span}"


def print_summary(console: Console, report: Mapping[str, Any], page: str) -> None:
    """The verdict table, how settled it is, and where the page is."""
    console.print(verdict_table(report))
    if report.get("provisional"):
        console.print(
            "Provisional: fewer launches than a settled figure takes (8); see --profile full.", markup=False
        )
    failures = report.get("failures") or []
    if failures:
        console.print(f"{len(failures)} cell(s) could not be measured; the page says why.", markup=False)
    console.print(f"Report: {page}", markup=False, soft_wrap=True)
