"""One cell of a report: a candidate against its reference, on one axis and one piece of work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from bench.schema import Method, Verdict

SETTLED_LAUNCHES = 8
SETTLED_SEEDS = 3
SETTLED_REPEATS = 3

Axis: TypeAlias = Literal["time", "memory", "energy", "score", "framework"]
Effects: TypeAlias = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One cell: `effects` are log ratios by launch, or differences of mean scores by seed.

    `axis` says what is compared and `phase` which call; `planned` is how many launches were to be made.
    `unit_of_evidence` is what one effect stands for: energies of a single launch have one a window. `method`
    is the weaker of both sides', and `remarks` are what a reader must know beside the figure.
    """

    axis: Axis
    phase: str
    suite: str
    metric: str
    unit: str
    subject: str
    series: str
    architecture: str
    length: int
    implementation: str
    reference: str
    framework: str
    environment_id: str
    effects: Effects
    planned: int
    verdict: Verdict
    adjusted_p: float | None = None
    unit_of_evidence: Literal["launch", "seed", "window"] = "launch"
    method: Method = "measured"
    remarks: tuple[str, ...] = ()

    @property
    def provisional(self) -> bool:
        """Whether fewer launches (or seeds) stand behind it than a settled figure needs."""
        if self.axis == "score":
            return len(self.effects) < SETTLED_SEEDS
        if self.axis == "memory":
            return len(self.effects) < SETTLED_REPEATS
        if self.axis == "energy":
            # What was refused would not be settled by any number of launches.
            return self.launches == 1
        # A comparison that stopped early did so at a scheduled look, at the level that look allows.
        cut_short = len(self.effects) < self.planned and self.verdict.word == "undecided"
        return self.planned < SETTLED_LAUNCHES or cut_short

    @property
    def launches(self) -> int:
        """How many launches (or seeds) its effects come from; 0 where it rests on none."""
        return min(1, len(self.effects)) if self.unit_of_evidence == "window" else len(self.effects)

    @property
    def decided_difference(self) -> bool:
        """Whether it was found to be better or worse."""
        return self.verdict.word in ("better", "worse")


def compared(first: Any, names: tuple[str, str, str, str], **judged: Any) -> Comparison:
    """A comparison of the candidate whose `first` row this is, with the names of the reference, the
    candidate, the environment and the work."""
    reference, implementation, environment, subject = names
    return Comparison(
        suite=first["suite"],
        metric=first["metric"],
        subject=subject,
        architecture=first["architecture"],
        length=int(first["length"]),
        implementation=implementation,
        reference=reference,
        framework=first["framework"],
        environment_id=environment,
        **judged,
    )


def with_estimate(verdict: Verdict, estimate: float, unit: str) -> Verdict:
    """One launch gives an estimate but no interval, and therefore no decision."""
    if verdict.ratio is not None:
        return verdict
    return replace(verdict, ratio=estimate, reason=f"one {unit} has no scatter, so there is no interval")
