"""How far this run can be trusted, by its own A/A pair, its overhead, its warm-ups and its launches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean, median
from typing import Any

from bench.statistics import false_alarms, interval, p_value, smallest_detectable_change
from reports import formatting
from reports.comparisons import control_effects
from reports.content import Block, Cell, Group, Items, Paragraph, Section, Table, columns
from reports.evidence import Evidence


def render(evidence: Evidence) -> Section:
    """What the checks saw, then the A/A pairs one by one."""
    results = evidence.results
    controls = control_effects(results)
    data = _data(evidence, list(controls.values()))
    blocks: list[Block] = []
    if results.incomplete:
        blocks.append(
            Paragraph(text="The run has not ended: figures will be added and may move.", warning=True)
        )
    blocks.append(Items(items=tuple(_lines(evidence, data))))
    if controls:
        rows = tuple(_pair(key, effects, results.alpha) for key, effects in controls.items())
        caption = (
            "The reference against a second copy of itself, timed exactly like a candidate. "
            f"The true ratio is 1; at an error rate of {results.alpha:g} about that share differ by chance."
        )
        heads = columns("framework", "work", "ratio #", "launches #", "p #", "finding")
        blocks.append(Group(title="A/A pairs", blocks=(Table(caption=caption, columns=heads, rows=rows),)))
    return Section(name="checks", title="How far to trust this run", blocks=tuple(blocks), data=data)


def _data(evidence: Evidence, controls: list[tuple[float, ...]]) -> dict[str, Any]:
    results = evidence.results
    alarms, cells = false_alarms(controls, results.alpha)
    launches = max((len(effects) for effects in controls), default=0)
    timed = results.select("throughput", "seconds")
    fine = timed[timed["status"] == "ok"]
    overhead = results.select("throughput", "harness_overhead")
    overheads = [value for values in overhead["values"] for value in values]
    return {
        "alpha": results.alpha,
        "margin": results.margin,
        "score_margins": results.score_margins,
        "control_cells": cells,
        "false_alarms": alarms,
        "smallest_detectable_change": smallest_detectable_change(controls, launches, results.alpha)
        if cells
        else None,
        "launches": launches,
        "launches_planned": sum(int(manifest["launches_planned"]) for manifest in results.manifests),
        "harness_overhead_median": median(overheads) if overheads else None,
        "harness_overhead_largest": max(overheads) if overheads else None,
        "warmups_median": float(median(fine["warmups"])) if len(fine) else None,
        "warmups_largest": int(max(fine["warmups"])) if len(fine) else None,
        "provisional_cells": sum(comparison.provisional for comparison in evidence.comparisons),
        "cells": len(evidence.comparisons),
        "set_aside": results.set_aside,
        "incomplete": results.incomplete,
        "mixed_environments": results.mixed,
    }


def _lines(evidence: Evidence, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "A/A false alarms", _alarms(data)
    smallest = data["smallest_detectable_change"]
    yield (
        "Smallest change this run finds",
        f"{smallest:.2%} of a time, with 95% power at {formatting.plural(data['launches'], 'launch')}"
        if smallest is not None
        else "unknown: it takes an A/A pair of at least two launches",
    )
    overhead = data["harness_overhead_median"]
    yield (
        "Harness overhead",
        f"{overhead:.2%} of the measured time in the median, {data['harness_overhead_largest']:.2%} at most"
        if overhead is not None
        else "not measured",
    )
    warmups = data["warmups_median"]
    yield (
        "Warm-up calls",
        f"{warmups:g} in the median, {data['warmups_largest']} at most"
        if warmups is not None
        else "none recorded",
    )
    yield "Launches", f"{data['launches']} of {data['launches_planned']} planned, at the work measured most"
    yield "Provisional", f"{data['provisional_cells']} of {formatting.plural(data['cells'], 'verdict')}"
    yield "Torn lines set aside", str(data["set_aside"])


def _alarms(data: dict[str, Any]) -> str:
    if not data["control_cells"]:
        return "not measured: it takes an A/A pair of at least two launches"
    return (
        f"{data['false_alarms']} of {data['control_cells']} comparisons of the reference with itself differ "
        f"at an error rate of {data['alpha']:g}"
    )


def _pair(key: tuple[str, str, str], effects: tuple[float, ...], alpha: float) -> tuple[Cell, ...]:
    _, framework, subject = key
    estimate = math.exp(fmean(effects))
    if len(effects) < 2:
        shown, p, finding = (
            Cell(text=f"{estimate:.4f}×", notes=("no interval",)),
            "none",
            Cell(word="undecided"),
        )
    else:
        _, low, high = (math.exp(value) for value in interval(effects, 1 - alpha))
        probability = p_value(effects)
        shown, p = Cell(text=f"{estimate:.4f}×", notes=(f"({low:.4f} to {high:.4f})",)), f"{probability:.3f}"
        finding = Cell(word="false alarm" if probability < alpha else "no alarm")
    return (
        Cell(text=framework),
        Cell(text=subject),
        shown,
        Cell(text=str(len(effects))),
        Cell(text=p),
        finding,
    )
