"""Which comparisons stand in the verdict table: its columns, and the one cell for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.comparisons import Comparison

PHASES = {
    "forward": "Forward",
    "train_step": "Training step",
    "prefill": "Prefill",
    "decode": "Decode",
    "training_run": "Training run",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A column of the verdict table: an axis, and on it a phase or a task's metric."""

    axis: str
    phase: str
    title: str
    subject: str = ""
    metric: str = ""

    def holds(self, comparison: Comparison) -> bool:
        """Whether a comparison belongs into this column."""
        if comparison.axis != self.axis:
            return False
        if self.axis == "score":
            return (comparison.subject, comparison.metric) == (self.subject, self.metric)
        return self.axis == "memory" or comparison.phase == self.phase


def headings(comparisons: Sequence[Comparison]) -> tuple[Heading, ...]:
    """Phases in the order of a model's life, then memory, then the tasks as they were measured."""
    phases = {comparison.phase for comparison in comparisons if comparison.axis == "time"}
    found = [
        Heading(axis="time", phase=phase, title=title) for phase, title in PHASES.items() if phase in phases
    ]
    if any(comparison.axis == "memory" for comparison in comparisons):
        found.append(Heading(axis="memory", phase="", title="Memory"))
    tasks = {(c.subject, c.metric): None for c in comparisons if c.axis == "score"}
    for subject, metric in tasks:
        found.append(
            Heading(axis="score", phase="", title=f"{subject}, {metric}", subject=subject, metric=metric)
        )
    return tuple(found)


def headline(comparisons: Sequence[Comparison]) -> dict[tuple[str, str, Heading], Comparison]:
    """For each environment, implementation and column: the comparison at the longest length, a bare
    layer's before a model's, a forward pass's before a training step's."""
    chosen: dict[tuple[str, str, Heading], Comparison] = {}
    for heading in headings(comparisons):
        for comparison in filter(heading.holds, comparisons):
            key = (comparison.environment_id, comparison.implementation, heading)
            if key not in chosen or _rank(comparison) > _rank(chosen[key]):
                chosen[key] = comparison
    return chosen


def _rank(comparison: Comparison) -> tuple[int, bool, bool]:
    return comparison.length, comparison.architecture == "layer", comparison.phase == "forward"
