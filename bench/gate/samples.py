"""Samples for cells from the rows of ordinary jobs: memory, energy, scores; and what certificates say.

Values are paired by launch (repeat, seed) and, for scores, by test example. Energy is gated where it was
measured on both sides, as the ratio to the reference of the same launch; a modelled figure says nothing
that time does not say, so time stands for it and the gate's notes say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from bench.gate.cells import Cell, Kind, Sample, certified
from bench.gate.ordinary import Ordinary, name_of
from bench.gate.pairing import ArmPair
from bench.gate.sides import SIDES, SideName
from bench.schema import Measurement, Metric, Suite
from bench.session import SCORE_MARGINS

# A peak below a page cannot be told from none: it counts as one page, so that a ratio is a lower bound.
PAGE_BYTES = 4096
KINDS: Mapping[str, Kind] = {
    "certificate": "certificate",
    "throughput": "time",
    "memory": "memory",
    "energy": "energy",
}
MEASURED = "measured"
Both = Mapping[SideName, Measurement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A sample and the pair it belongs to."""

    pair: ArmPair
    sample: Sample


def kind_of(suite: Suite) -> Kind:
    """How a suite's figures are compared."""
    return KINDS.get(suite.name, "score")


def certificates(ordinary: Ordinary, launch: int = 0) -> Iterator[tuple[ArmPair, list[Cell]]]:
    """The cells of every certificate that was proven on both sides in this launch."""
    for pair in ordinary.pairs:
        if pair.suite != "certificate":
            continue
        told = {side: _properties(ordinary.rows[side].get((name_of(pair), launch), ())) for side in SIDES}
        if not all(told.values()):
            missing = next(side for side in SIDES if not told[side])
            cell = _blank_certificate(
                pair, word="not_measured", reason=f"{missing}: the certificate gave no answer"
            )
            yield pair, [cell]
            continue
        yield pair, certified(told["baseline"], told["candidate"], _blank_certificate(pair))


def _blank_certificate(pair: ArmPair, **fields: object) -> Cell:
    return Cell(
        kind="certificate",
        suite=pair.suite,
        metric="loads",
        unit="holds",
        implementation=pair.implementation,
        subject=pair.subject,
        better="higher",
        **fields,  # type: ignore[arg-type]
    )


def _properties(rows: Sequence[Measurement]) -> dict[str, tuple[str, str]]:
    return {m.metric: (m.status, m.reason) for m in rows}


def samples(
    ordinary: Ordinary, suites: Mapping[str, Suite], margin: float
) -> tuple[list[Sampled], list[str]]:
    """The samples of all ranking metrics but certificates', and notes on what is not gated."""
    found: list[Sampled] = []
    notes: dict[str, None] = {}
    for pair in ordinary.pairs:
        suite = suites[pair.suite]
        if suite.admits:
            continue
        for metric in suite.metrics:
            if not _gated(suite, metric):
                continue
            for subject in _subjects(ordinary, pair, metric):
                sampled = _sample(ordinary, suite, pair, metric, subject, margin)
                if isinstance(sampled, str):
                    notes[sampled] = None
                elif sampled is not None:
                    found.append(Sampled(pair=pair, sample=sampled))
    return found, list(notes)


def _gated(suite: Suite, metric: Metric) -> bool:
    """A score without a margin says in other units what one with a margin says."""
    return metric.ranks and (kind_of(suite) != "score" or metric.name in SCORE_MARGINS)


def _subjects(ordinary: Ordinary, pair: ArmPair, metric: Metric) -> list[str]:
    """Subjects that the metric has a row for, on either side."""
    return list(
        dict.fromkeys(
            m.subject
            for side in SIDES
            for (name, _), rows in ordinary.rows[side].items()
            if name == name_of(pair)
            for m in rows
            if m.metric == metric.name
        )
    )


def _sample(
    ordinary: Ordinary, suite: Suite, pair: ArmPair, metric: Metric, subject: str, margin: float
) -> Sample | str | None:
    """The sample; a note where the metric is not gated; None where neither side can do this work."""
    kind, planned = kind_of(suite), ordinary.planned(suite.name)
    cell = Cell(
        kind=kind,
        suite=suite.name,
        metric=metric.name,
        unit=metric.unit,
        implementation=pair.implementation,
        subject=subject,
        better=metric.better,
        margin=SCORE_MARGINS[metric.name] if kind == "score" else margin,
    )
    sample = Sample(cell=cell, planned=planned)
    for launch in sorted(
        {launch for side in SIDES for name, launch in ordinary.rows[side] if name == name_of(pair)}
    ):
        rows = {
            side: row
            for side in SIDES
            if (row := _row(ordinary.rows[side].get((name_of(pair), launch), ()), metric, subject))
            is not None
        }
        if all(row.status == "unsupported" for row in rows.values()):
            return None
        if kind == "energy" and any(row.method != MEASURED for row in rows.values()):
            return (
                f"energy on this machine is {rows[next(iter(rows))].method}, not measured: time stands for it"
            )
        failure = _failure(rows)
        if failure:
            sample.failure = sample.failure or failure
            continue
        _add(
            sample,
            launch,
            rows,
            _references(ordinary, pair, launch, metric, subject) if kind == "energy" else {},
        )
    return sample


def _row(rows: Sequence[Measurement], metric: Metric, subject: str) -> Measurement | None:
    return next((m for m in rows if m.metric == metric.name and m.subject == subject), None)


def _failure(rows: Both) -> str:
    """Why there is no effect; empty where there is one."""
    for side in SIDES:
        if side not in rows:
            return f"{side}: not measured"
        if rows[side].status not in ("ok", "below_resolution"):
            return f"{side}: {rows[side].status}: {rows[side].reason.splitlines()[0]}"
    return ""


def _references(
    ordinary: Ordinary, pair: ArmPair, launch: int, metric: Metric, subject: str
) -> dict[SideName, Measurement]:
    """The reference's rows of the same launch, by side; none for the reference itself."""
    if pair.arms["candidate"].role == "reference":
        return {}
    start = name_of(pair)[: -len(pair.implementation)]
    return {
        side: m
        for side in SIDES
        for (name, number), rows in ordinary.rows[side].items()
        if name.startswith(start) and number == launch
        for m in rows
        if m.role == "reference" and m.metric == metric.name and m.subject == subject and m.status == "ok"
    }


def _add(sample: Sample, launch: int, rows: Both, references: Both) -> None:
    before, after = (_typical(rows[side]) for side in SIDES)
    if sample.difference:
        effect = _paired(rows["baseline"].values, rows["candidate"].values)
        before, after = fmean(rows["baseline"].values), fmean(rows["candidate"].values)
    else:
        effect = math.log(after / before)
        if len(references) == len(SIDES):
            effect -= math.log(_typical(references["candidate"]) / _typical(references["baseline"]))
    effects = sample.effects if launch < sample.planned else sample.fresh
    effects[launch] = effect
    sample.before[launch] = before
    sample.after[launch] = after


def _typical(row: Measurement) -> float:
    return median(row.values) if row.status == "ok" else PAGE_BYTES


def _paired(before: Sequence[float], after: Sequence[float]) -> float:
    """Mean difference, example by example where both sides scored the same ones."""
    if len(before) == len(after):
        return fmean(b - a for a, b in zip(before, after, strict=True))
    return fmean(after) - fmean(before)
