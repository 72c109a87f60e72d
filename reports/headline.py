"""Which comparisons stand in the verdict table: its columns, and the one cell for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.comparison import Comparison

PHASES = {
    "forward": "Forward",
    "train_step": "Training step",
    "prefill": "Prefill",
    "decode": "Decode",
    "training_run": "Training run",
}
_CALLS = {"training_run": "to train", "forward": "to answer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A column of the verdict table: an axis, and on it a phase, a task's metric or a metered part of it."""

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
        if self.axis == "energy":
            return self.subject == (comparison.subject if comparison.suite == "task_energy" else "")
        return self.axis == "memory" or comparison.phase == self.phase


def headings(comparisons: Sequence[Comparison]) -> tuple[Heading, ...]:
    """Phases in the order of a model's life, then memory, energy, and the tasks as they were measured."""
    phases = {comparison.phase for comparison in comparisons if comparison.axis == "time"}
    found = [
        Heading(axis="time", phase=phase, title=title) for phase, title in PHASES.items() if phase in phases
    ]
    if any(comparison.axis == "memory" for comparison in comparisons):
        found.append(Heading(axis="memory", phase="", title="Memory"))
    found += _energies([comparison for comparison in comparisons if comparison.axis == "energy"])
    tasks = {(c.subject, c.metric): None for c in comparisons if c.axis == "score"}
    for subject, metric in tasks:
        found.append(
            Heading(axis="score", phase="", title=f"{subject}, {metric}", subject=subject, metric=metric)
        )
    return tuple(found)


def _energies(comparisons: Sequence[Comparison]) -> list[Heading]:
    """One for made-up work, as for memory, and one for whatever of a task was metered."""
    found = []
    if any(comparison.suite != "task_energy" for comparison in comparisons):
        found.append(Heading(axis="energy", phase="", title="Energy"))
    for comparison in comparisons:
        if comparison.suite == "task_energy":
            task, _, call = comparison.subject.partition("/")
            title = f"{task}, energy {_CALLS.get(call, call)}"
            found.append(Heading(axis="energy", phase="", title=title, subject=comparison.subject))
    return list(dict.fromkeys(found))


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
