"""What the suite `robustness` found, read from its rows and ready to be compared example by example.

The values of a row are 1 where a test example was right before the attack and after it: examples that were
wrong already count as wrong, so that all implementations are scored on all examples, in the same order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.directions import is_control
from reports.examples import Examples, Training, examples, mean
from reports.frame import Results

SUITE = "robustness"
SEARCHING = ("black_box", "white_box")
"""The kinds of what looks for a change that does harm; the others change at random or as a camera would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """One attack at one budget on one implementation. `right` holds 1 or 0 a test example, by training; it is
    empty where nothing could be concluded, for the `reason` that is given."""

    implementation: str
    attack: str
    kind: str
    family: str
    budget: float
    unit: str
    subject: str
    right: Examples
    status: str = "ok"
    reason: str = ""

    @property
    def accuracy(self) -> float:
        """Accuracy under the attack, over all examples; raises ValueError where nothing was concluded."""
        found = mean(self.right)
        if found is None:
            raise ValueError(f"{self.subject} on {self.implementation} has no accuracy: {self.reason}")
        return found

    @property
    def size(self) -> str:
        """The budget as a reader wants it: "200 queries", "linf 0.1"."""
        return f"{self.budget:g} {self.unit}" if self.unit == "queries" else f"{self.unit} {self.budget:g}"

    @property
    def told(self) -> str:
        """The attack with its budget."""
        return f"{self.attack.replace('_', ' ')}, {self.size}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackedTask:
    """One task in one environment. `roles` are in the order of the tables; `clean` holds 1 or 0 a test
    example before any attack, of the implementations that could be attacked."""

    environment: str
    task: str
    roles: Mapping[str, str]
    clean: Mapping[str, Examples]
    attacked: tuple[Attacked, ...]

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the attacks that search, in the order in which they were made."""
        return tuple(dict.fromkeys(one.family for one in self.attacked if one.kind in SEARCHING))

    def of(
        self, implementation: str, family: str, kinds: Collection[str] = SEARCHING
    ) -> tuple[Attacked, ...]:
        """All that was tried of a family on an implementation, concluded or not."""
        return tuple(
            one
            for one in self.attacked
            if one.implementation == implementation and one.family == family and one.kind in kinds
        )

    def headline(self, family: str) -> float:
        """The budget that a family's headline and verdicts stand at: the largest number of queries, or the
        second of the sizes tried. At the largest nothing of a small model stands, whatever its attention."""
        tried = [one for one in self.attacked if one.family == family and one.kind in SEARCHING]
        budgets = sorted({one.budget for one in tried})
        return budgets[-1] if tried[0].unit == "queries" else budgets[:2][-1]

    def at_headline(self, implementation: str, family: str) -> tuple[Attacked, ...]:
        """The family's attacks on an implementation at that budget."""
        budget = self.headline(family)
        return tuple(one for one in self.of(implementation, family) if one.budget == budget)

    def reference(self, implementation: str) -> str | None:
        """The reference on the same framework; None where it was not attacked."""
        framework = implementation.rpartition("@")[2]
        return next(
            (
                name
                for name, role in self.roles.items()
                if role == "reference" and name.rpartition("@")[2] == framework
            ),
            None,
        )

    def right_for_all(self) -> dict[Training, np.ndarray]:
        """Whether every implementation had a test example right before any attack, bool ``[examples]``, by
        training. Trainings at which test sets differ in size are left out."""
        found: dict[Training, np.ndarray] = {}
        for training in sorted({key for mine in self.clean.values() for key in mine}):
            rows = [mine[training] for mine in self.clean.values() if training in mine]
            if len({len(row) for row in rows}) == 1:
                found[training] = np.all(np.array(rows) == 1, axis=0)
        return found


def conclusive(tried: Collection[Attacked]) -> list[Attacked]:
    """Those that say something."""
    return [one for one in tried if one.right]


def strongest(tried: Collection[Attacked]) -> Attacked | None:
    """The conclusive attack under which accuracy is lowest, of equals the one with the smallest budget."""
    return min(conclusive(tried), key=lambda one: (one.accuracy, one.budget), default=None)


def attacked_tasks(results: Results) -> tuple[AttackedTask, ...]:
    """Everything that was attacked, by environment and task."""
    rows = results.select(SUITE)
    tasks = [
        details.get("task") or subject.partition("/")[0]
        for details, subject in zip(rows["details"], rows["subject"], strict=True)
    ]
    rows = rows.assign(task=tasks)
    return tuple(
        _task(str(environment), str(task), group)
        for (environment, task), group in rows.groupby(["environment_id", "task"], sort=False)
    )


def _task(environment: str, task: str, rows: Any) -> AttackedTask:
    roles = dict(zip(rows["implementation"], rows["role"], strict=True))
    before = rows[rows["metric"] == "clean_accuracy"].groupby("implementation", sort=False)
    clean = {str(name): examples(mine) for name, mine in before}
    order = sorted(
        roles,
        key=lambda name: (
            roles[name] != "reference",
            not clean.get(name),
            is_control(name.rpartition("@")[0]),
        ),
    )
    return AttackedTask(
        environment=environment,
        task=task,
        roles={name: roles[name] for name in order},
        clean={name: clean[name] for name in order if clean.get(name)},
        attacked=tuple(_attacked(rows[rows["metric"].isin(["robust_accuracy", "corrupted_accuracy"])])),
    )


def _attacked(rows: Any) -> Iterator[Attacked]:
    for (implementation, subject), mine in rows.groupby(["implementation", "subject"], sort=False):
        details = mine["details"].iloc[0]
        if "family" not in details or "budget" not in details:
            continue
        right = examples(mine)
        refused = mine[mine["status"] != "ok"]
        yield Attacked(
            implementation=str(implementation),
            subject=str(subject),
            attack=details["attack"],
            kind=details["kind"],
            family=details["family"],
            budget=float(details["budget"]),
            unit=details["unit"],
            right=right,
            status="ok" if right else refused["status"].iloc[0],
            reason="" if right else refused["reason"].iloc[0],
        )
