"""What the command line prints: lists, the verdict table of a finished report, or one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import wire
from bench.registry import Registry
from bench.schema import Variant
from bench.tiers import READ

NAME_WIDTH, CELL_WIDTH = 24, 17
ROOM_FOR_COSTS = 120
COLOURS = {"better": "green", "worse": "red", "same": "blue", "undecided": "yellow"}


def print_json(document: object) -> None:
    """One JSON document and nothing else."""
    typer.echo(wire.pretty(document).decode(), nl=False)


def print_list(kind: str, registry: Registry) -> None:
    """The rows of one kind, as wide as the screen allows."""
    console = Console(highlight=False)
    console.print(list_table(kind, registry, console.width))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def list_table(kind: str, registry: Registry, width: int) -> Table:
    """The rows of one kind, in `width` characters."""
    if kind == "variants":
        return _variants_table(registry, width)
    if kind == "peers":
        table = _table("peer", "what it is", "held against", "on", "package")
        for variant in _peers(registry):
            row = (
                variant.name,
                variant.title,
                variant.peer_of,
                ", ".join(variant.targets),
                variant.package[0],
            )
            table.add_row(*map(Text, row))
    elif kind == "suites":
        table = _table("suite", "measures", "needs")
        for suite in registry.suites.values():
            measures = (
                ", ".join(metric.title for metric in suite.metrics if metric.ranks) or "whether claims hold"
            )
            # As text: a name in brackets would be taken for markup, and be gone.
            needs = Text(f"attnbench[{suite.extra}]" if suite.extra else "")
            table.add_row(suite.name, measures, needs)
    elif kind == "tasks":
        return _tasks_table(registry, width)
    else:
        table = _table("view", "shows")
        for view in registry.views.values():
            table.add_row(view.name, view.title)
    return table


def _tasks_table(registry: Registry, width: int) -> Table:
    """A line a task, with the profiles that measure it unasked; models only where there is room for them."""
    wide = width >= ROOM_FOR_COSTS
    table = _table("task", "what is learnt", "score", *(("model",) if wide else ()), "unasked in")
    for task in registry.tasks.values():
        profiles = ", ".join(registry.profiles_of(task.name)) or "none: name it"
        model = (task.architecture,) if wide else ()
        table.add_row(*map(Text, (task.name, task.title, task.metric, *model, profiles)))
    return table


def _variants_table(registry: Registry, width: int) -> Table:
    """A line a variant, each family named above its first; costs only where there is room for them."""
    wide = width >= ROOM_FOR_COSTS
    table = _table("variant", "what it is", *(("time",) if wide else ()), "on", "paper")
    for column in table.columns:
        column.no_wrap = column.header not in ("what it is", "time")
    family = ""
    for variant in _ours(registry):
        if variant.family != family:
            family = variant.family
            table.add_row("", Text(family, "italic dim"))
        frameworks = ", ".join(variant.targets)
        cost = (variant.time,) if wide else ()
        table.add_row(*map(Text, (variant.name, variant.title, *cost, frameworks, variant.paper)))
    for name, reason in registry.refused.items():
        table.add_row(Text(name), Text(f"refused: {reason}"))
    return table


def list_rows(kind: str, registry: Registry) -> Sequence[Any]:
    """The same as plain data."""
    if kind in ("variants", "peers"):
        return _ours(registry) if kind == "variants" else _peers(registry)
    tables = {"suites": registry.suites, "views": registry.views, "tasks": registry.tasks}
    return list(tables[kind].values())


def _ours(registry: Registry) -> list[Variant]:
    """What is compared: all variants but the public packages' own."""
    return [variant for variant in registry.variants.values() if not variant.peer_of]


def _peers(registry: Registry) -> list[Variant]:
    return [variant for variant in registry.variants.values() if variant.peer_of]


def verdict_table(report: Mapping[str, Any], width: int) -> Table:
    """Every verdict of the page's first table: a column an axis where `width` characters hold that,
    otherwise a line a verdict."""
    verdicts = [verdict for verdict in report["verdicts"] if verdict["headline"]]
    axes = list(dict.fromkeys(map(_axis, verdicts)))
    if width < NAME_WIDTH + CELL_WIDTH * len(axes):
        return _long_table(verdicts)
    table = _table("against softmax", *axes)
    for name in dict.fromkeys(verdict["implementation"] for verdict in verdicts):
        cells = {_axis(v): v for v in verdicts if v["implementation"] == name}
        table.add_row(Text(name), *(_verdict(cells.get(axis)) for axis in axes))
    return table


def _long_table(verdicts: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("against softmax", "verdict", "estimate", "interval")
    for name in dict.fromkeys(verdict["implementation"] for verdict in verdicts):
        table.add_row(Text(name, "bold"))
        for verdict in (verdict for verdict in verdicts if verdict["implementation"] == name):
            table.add_row(Text(f"  {_axis(verdict)}"), _word(verdict), *map(Text, _numbers(verdict)))
    return table


def _axis(verdict: Mapping[str, Any]) -> str:
    """What a verdict is on: a phase, memory or energy with the length, or the task and what of it."""
    if verdict["axis"] == "score":
        return f"{verdict['subject']} {verdict['metric']}"
    axis = verdict["phase"] if verdict["axis"] == "time" else verdict["axis"]
    if not verdict["length"]:
        return f"{verdict['subject'].replace('/', ' ')} {axis}".replace("_", " ")
    return f"{axis} {verdict['length']:,}".replace("_", " ")


def _word(verdict: Mapping[str, Any]) -> Text:
    """The verdict, on energy with how the joules are known: "better, measured", "undecided: modelled"."""
    word = str(verdict["word"])
    shown = Text(word, COLOURS.get(word, ""))
    if verdict["axis"] == "energy":
        shown.append(f"{',' if verdict['method'] in READ else ':'} {verdict['method']}")
    return shown


def _verdict(verdict: Mapping[str, Any] | None) -> Text:
    if verdict is None:
        return Text("not measured", "dim")
    return Text.assemble(_word(verdict), *(f"\n{number}" for number in _numbers(verdict) if number))


def _numbers(verdict: Mapping[str, Any]) -> tuple[str, str]:
    """Estimate and interval as text; empty where there is none."""
    estimate, low, high, unit = (verdict.get(name) for name in ("estimate", "low", "high", "unit"))
    if estimate is None:
        return "", ""
    if unit == "ratio":
        return f"{estimate:.3g}×", "" if low is None or high is None else f"{low:.3g}–{high:.3g}×"
    scale, sign = (100, " points") if unit == "fraction" else (1, "" if unit == "index" else f" {unit}")
    shown = f"{scale * estimate:+.2f}{sign}"
    return shown, "" if low is None or high is None else f"{scale * low:+.2f} to {scale * high:+.2f}"


def print_summary(console: Console, report: Mapping[str, Any], page: str) -> None:
    """The verdict table, how settled it is, and where the page is."""
    console.print(verdict_table(report, console.width))
    if report.get("provisional"):
        note = "Provisional: a settled figure takes 8 planned launches and 3 seeds; see --profile full."
        console.print(note, markup=False)
    if any(v["axis"] == "energy" and v["method"] not in READ for v in report["verdicts"]):
        note = "Modelled energy adds nothing to latency: nothing is ranked on it."
        console.print(note, markup=False)
    failed = [row for row in report.get("failures") or [] if row.get("status") == "failed"]
    if failed:
        console.print(f"{len(failed)} failed; the page says which and why.", markup=False)
    console.print(f"Report: {page}", markup=False, soft_wrap=True)


SHOWN_CHANGES = 30


def changes_table(changes: Sequence[Mapping[str, Any]]) -> Table:
    """The latest steps of nightly series, two lines a step."""
    table = _table("step", "of", "night", "commits")
    for place in (0, 2, 3):
        table.columns[place].no_wrap = True
    for change in changes[:SHOWN_CHANGES]:
        kind = str(change["kind"])
        work = f"{change['implementation']}\n{change['metric']} of {change['subject']}".replace("_", " ")
        table.add_row(
            Text.assemble((kind, COLOURS.get(kind, "")), f"\n{change['amount']}"),
            Text(work),
            Text(f"{change['first_night'][:10]}\nfound {change['found_night'][5:10]}"),
            Text(change["commits"].replace("..", "..\n")),
        )
    if len(changes) > SHOWN_CHANGES:
        table.caption = f"and {len(changes) - SHOWN_CHANGES} more, on the page"
    return table
