"""The decisions that a run can support: for each task and framework, its variants with energy and score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from bench.schema import Better, Verdict
from bench.statistics import judge_differences
from reports.audit.asked import Unit
from reports.audit.carbon import Estimate, estimated
from reports.audit.readings import TASKS, TRAINING, WORKLOADS, Reading
from reports.directions import better
from reports.energy.pairs import HEADLINE
from reports.estimates import is_score
from reports.failures import summary
from reports.frame import Results

_DIVISORS: Mapping[Unit, str] = {"inference": "items", "token": "tokens", "training": ""}
A_UNIT: Mapping[Unit, str] = {
    "inference": "one inference (one example classified or answered)",
    "token": "one position taken in by an inference, padding included",
    "training": "one whole training, at the learning rate chosen, to the score stated",
}
EACH: Mapping[Unit, str] = {"inference": "an inference", "token": "a token", "training": "a training"}
MANY: Mapping[Unit, str] = {"inference": "a million inferences", "token": "a million tokens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How well an implementation learnt the task: the mean over test examples, a value a seed. `solved` is
    how many test examples were right, averaged over seeds; None where the score counts none."""

    metric: str
    unit: str
    better: Better
    by_seed: Mapping[int, float]
    solved: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Variants of one framework on one task; `serving` and `training` hold readings by implementation, and
    `missing` says of what has none why."""

    environment_id: str
    framework: str
    task: str
    serving: Mapping[str, Reading] = field(default_factory=dict)
    training: Mapping[str, Reading] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    alpha: float = 0.01
    score_alpha: float = 0.05
    score_margin: float | None = None
    missing: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All implementations with any energy, the reference first."""
        found = {**self.serving, **self.training}
        return tuple(sorted(found, key=lambda name: found[name].role != "reference"))

    @property
    def reference(self) -> str:
        """The reference's name; empty where the run has none."""
        found = {**self.serving, **self.training}
        return next((name for name, reading in found.items() if reading.role == "reference"), "")

    @property
    def title(self) -> str:
        """As headings name it."""
        return f"{self.task} on {self.framework}"

    def of_unit(self, unit: Unit) -> Mapping[str, Reading]:
        """The readings that a functional unit is counted in."""
        return self.training if unit == "training" else self.serving

    def score(self, name: str) -> Estimate | None:
        """Mean score over seeds with its interval; None where it was not measured."""
        score = self.scores.get(name)
        return estimated(list(score.by_seed.values()), 1 - self.score_alpha) if score else None

    def against_reference(self, name: str) -> Verdict | None:
        """Whether it scores as the reference does, paired by seed; None where one has no score."""
        mine, other = self.scores.get(name), self.scores.get(self.reference)
        if mine is None or other is None or self.score_margin is None:
            return None
        seeds = sorted(set(mine.by_seed) & set(other.by_seed))
        return judge_differences(
            [mine.by_seed[seed] - other.by_seed[seed] for seed in seeds],
            level=1 - self.score_alpha,
            margin=self.score_margin,
            better=mine.better,
        )


def divisor(reading: Reading, unit: Unit) -> int:
    """How many functional units a call holds; 0 where the row does not say."""
    name = _DIVISORS[unit]
    return int(getattr(reading, name)) if name else 1


def per_unit(reading: Reading, unit: Unit) -> list[tuple[float, float | None]]:
    """Joules (before PUE) and seconds of one functional unit, a pair a sample."""
    count = divisor(reading, unit)
    if not count:
        raise ValueError(f"{reading.subject} does not say how many {_DIVISORS[unit]} a call holds")
    return [(s.joules / count, None if s.seconds is None else s.seconds / count) for s in reading.samples]


def cases(results: Results, found: Sequence[Reading]) -> tuple[Case, ...]:
    """A case for each environment, framework and task that energy was metered on."""
    places = dict.fromkeys((r.environment_id, r.framework, task_of(r)) for r in found if r.suite == TASKS)
    return tuple(_case(results, place, found) for place in places)


def task_of(reading: Reading) -> str:
    """The task's name; the subject is ``task/phase``."""
    return str(reading.details.get("task") or reading.subject.rpartition("/")[0])


def _case(results: Results, place: tuple[str, str, str], found: Sequence[Reading]) -> Case:
    environment, framework, task = place
    mine = [r for r in found if r.suite == TASKS and (r.environment_id, r.framework, task_of(r)) == place]
    rows = results.select("accuracy")
    rows = rows[(rows["subject"] == task) & (rows["environment_id"] == environment)]
    metric = _metric(rows, results.score_margins)
    return Case(
        environment_id=environment,
        framework=framework,
        task=task,
        serving={r.implementation: r for r in mine if r.phase != TRAINING},
        training={r.implementation: r for r in mine if r.phase == TRAINING},
        scores=dict(_scores(rows, metric)),
        alpha=results.alpha,
        score_alpha=results.score_alpha,
        score_margin=results.score_margins.get(metric),
        missing=tuple(_missing(results, place)),
    )


def _missing(results: Results, place: tuple[str, str, str]) -> Iterator[str]:
    """A sentence for each piece of work without gross joules."""
    rows = results.select(TASKS, HEADLINE)
    rows = rows[(rows["status"] != "ok") & (rows["environment_id"] == place[0])]
    columns = (rows[name] for name in ("implementation", "framework", "subject", "status", "reason"))
    for name, framework, subject, status, reason in zip(*columns, strict=True):
        if framework == place[1] and subject.rpartition("/")[0] == place[2]:
            yield f"{name} has no figure on {subject}, {status.replace('_', ' ')}: {summary(reason)}"


def _metric(rows: Any, margins: Mapping[str, float]) -> str:
    """The score that is judged on the task, or the first one there is."""
    known = [metric for metric in dict.fromkeys(rows["metric"]) if is_score(metric)]
    return next((metric for metric in known if metric in margins), known[0] if known else "")


def _scores(rows: Any, metric: str) -> Iterator[tuple[str, Score]]:
    fine = rows[(rows["status"] == "ok") & (rows["metric"] == metric)]
    fine = fine[fine["role"].isin(["reference", "candidate"])]
    for name, group in fine.groupby("implementation", sort=False):
        by_seed = {
            int(seed): fmean(values) for seed, values in zip(group["seed"], group["values"], strict=True)
        }
        unit = str(group["unit"].iloc[0])
        solved = fmean(map(sum, group["values"])) if metric == "accuracy" else None
        way = better("accuracy", metric)
        yield name, Score(metric=metric, unit=unit, better=way, by_seed=by_seed, solved=solved)


def over_lengths(found: Sequence[Reading]) -> dict[tuple[str, str, str], dict[str, dict[int, Reading]]]:
    """Readings on made-up work: by environment, series and framework, then implementation, then length."""
    curves: dict[tuple[str, str, str], dict[str, dict[int, Reading]]] = {}
    for reading in found:
        if reading.suite == WORKLOADS and reading.length:
            place = (reading.environment_id, reading.series, reading.framework)
            curves.setdefault(place, {}).setdefault(reading.implementation, {})[reading.length] = reading
    return curves
