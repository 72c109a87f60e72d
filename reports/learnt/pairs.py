"""Candidates beside the reference on the same test examples: the diagnostic column of the view `accuracy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports import formatting
from reports.content import Cell
from reports.evidence import Evidence
from reports.examples import Paired, examples, paired


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """Where two trained models differ: the mean difference of a score with its interval over examples."""

    pair: Paired
    unit: str
    difference: float
    low: float
    high: float

    def cell(self) -> Cell:
        """Examples that one alone has right, where a score is right or wrong; the difference."""
        text, interval = formatting.with_bounds(self.difference, self.low, self.high, self.unit, signed=True)
        if self.pair.p is None:
            return Cell(text=text, notes=(f"({interval})", "over examples"), number=self.difference)
        counts = f"{self.pair.only_it}, {self.pair.only_reference}"
        notes = (f"p {self.pair.p:.2g}", f"{text} over examples", f"({interval})")
        return Cell(text=counts, notes=notes, number=self.difference)

    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "only_it": self.pair.only_it,
            "only_reference": self.pair.only_reference,
            "mcnemar_p": self.pair.p,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "examples": len(self.pair.differences),
            "seeds": len(self.pair.trainings),
        }


Pairs = Mapping[tuple[str, str], Differing]
"""By environment and implementation."""


def pairs_on(evidence: Evidence, subject: str, metric: str | None) -> Pairs:
    """Each candidate beside the reference of its framework on the test examples of a task's score."""
    rows = evidence.results.select("accuracy", metric or "")
    rows = rows[(rows["subject"] == subject) & (rows["status"] == "ok")]
    level = 1 - evidence.results.score_alpha
    found = {}
    for (environment, _), group in rows.groupby(["environment_id", "framework"], sort=False):
        reference = examples(group[group["role"] == "reference"])
        candidates = group[group["role"] == "candidate"]
        for name, mine in candidates.groupby("implementation", sort=False):
            pair = paired(examples(mine), reference)
            if pair is not None:
                difference, low, high = pair.interval(level)
                found[str(environment), str(name)] = Differing(
                    pair=pair, unit=mine["unit"].iloc[0], difference=difference, low=low, high=high
                )
    return found
