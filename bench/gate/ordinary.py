"""What needs no turns: memory, certificates and trainings, measured by ordinary jobs, one run a side.

Each side is a run folder like any other, so that a gate's raw values can be reported and read as always.
What is kept under its content key is taken from there; trainings and what stands on their weights are
taken or measured as a whole, because the weights themselves are not kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.executors.local import Local
from bench.gate.kept import Kept, passing
from bench.gate.keys import digest
from bench.gate.pairing import TIMED, ArmPair, JobPair, launched, narrowed
from bench.gate.sides import SIDES, Side, SideName
from bench.progress import Silent
from bench.run import Runner
from bench.schema import Job, Measurement, Plan, Profile, Suite
from bench.store import WEIGHTS, Store

# Peaks of fresh processes scatter by about 1%: with three of them, confirmed at 1%, 5% more would be missed.
FEWEST_REPEATS = 6
# Seeds of a score that differs. Three leave a t interval two degrees of freedom: half of all answers lost was
# not enough for a word among the other cells. Where every example scores as before, the profile's do.
FEWEST_SEEDS = 6
Place = tuple[str, str, int]
"""A pair's suite and step with its implementation, joined, and the number of a launch."""
Rows = dict[SideName, dict[tuple[str, int], tuple[Measurement, ...]]]
"""By side, then by pair (see `name_of`) and launch."""


def name_of(pair: ArmPair) -> str:
    """A pair's name within a gate."""
    return f"{pair.suite}/{pair.step}/{pair.implementation}"


def launches_of(suite: Suite, profile: Profile) -> int:
    """How many launches, repeats or seeds a suite is measured in where it takes all of them."""
    if suite.admits:
        return 1
    if suite.trained_by or suite.tasks:
        return max(FEWEST_SEEDS, first_seeds(suite, profile))
    return profile.launches if suite.interleaved else max(FEWEST_REPEATS, profile.repeats)


def first_seeds(suite: Suite, profile: Profile) -> int:
    """How many seeds of a suite of scores are looked at before it takes the rest."""
    return profile.attacked_seeds if suite.trained_by else profile.seeds


class Ordinary:
    """The ordinary jobs of a gate on both sides, and the rows they gave."""

    def __init__(
        self,
        work: Iterable[JobPair],
        suites: Mapping[str, Suite],
        sides: Mapping[SideName, Side],
        *,
        kept: Kept,
        folder: Path,
        profile: Profile,
        seed: int,
        jobs: int,
        again: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._suites = suites
        self._sides = sides
        self._kept = kept
        self._folder = folder
        self._profile = profile
        self._seed = seed
        self._width = jobs
        self._confirmations = 0
        self._tell = tell
        self._work = [job for job in work if job.suite != TIMED]
        every = [pair for job in self._work for pair in job.pairs]
        self.pairs = [pair for pair in every if pair.changed or again]
        self.unchanged = [pair for pair in every if not (pair.changed or again)]
        self.rows: Rows = {side: {} for side in SIDES}

    def planned(self, suite: str) -> int:
        """Launches of a suite, see `launches_of`."""
        return launches_of(self._suites[suite], self._profile)

    def screen(self) -> None:
        """Measure every pair that may have changed, on both sides; of scores only the first seeds."""
        self._measure(self.pairs, "", lambda suite: range(self._first(suite)))

    def more_seeds(self, pairs: Sequence[ArmPair]) -> None:
        """The rest of the seeds of these pairs' scores."""
        chosen = self._with_trainings(pairs)
        first = min((self._first(pair.suite) for pair in chosen), default=0)
        # Attacks begin at a seed whose weights the first look may have taken from what was kept.
        self._measure(chosen, "-seeds", lambda suite: range(first, self.planned(suite)))

    def confirm(self, pairs: Sequence[ArmPair], again: int = 1) -> None:
        """Fresh repeats and seeds of these pairs, as many again for the time `again`; a certificate is proven
        once more."""

        def fresh(suite: str) -> range:
            return range(again * self.planned(suite), (again + 1) * self.planned(suite))

        self._confirmations += 1
        self._measure(self._with_trainings(pairs), f"-confirmed-{self._confirmations}", fresh)

    def _first(self, suite: str) -> int:
        """Launches of a suite at the first look."""
        row = self._suites[suite]
        scored = row.trained_by or row.tasks
        return first_seeds(row, self._profile) if scored else self.planned(suite)

    def fell_over(self, pair: ArmPair, launch: int) -> bool:
        """Whether a side's worker met a fault in that launch which need not come again."""
        rows = (row for side in SIDES for row in self.rows[side].get((name_of(pair), launch), ()))
        return any(map(passing, rows))

    def _with_trainings(self, pairs: Sequence[ArmPair]) -> list[ArmPair]:
        """The pairs and the trainings that those on trained weights stand on."""
        trained = {p.implementation for p in pairs if self._suites[p.suite].trained_by}
        sources = {self._suites[p.suite].trained_by for p in pairs}
        more = [
            p for p in self.pairs if p.suite in sources and p.implementation in trained and p not in pairs
        ]
        return [*more, *pairs]

    def _measure(self, pairs: Sequence[ArmPair], mark: str, launches: Callable[[str], range]) -> None:
        for side in SIDES:
            todo = self._not_kept(side, pairs, launches)
            if not todo:
                continue
            path = self._folder / f"{side}{mark}"
            jobs = list(self._jobs(side, todo, launches))
            if mark:
                jobs = self._on_earlier_weights(side, path, todo, jobs)
            self._tell(f"{side}{mark}: {len(jobs)} processes")
            self._run(side, path, jobs)
            self._collect(side, path, todo)

    def _not_kept(
        self, side: SideName, pairs: Sequence[ArmPair], launches: Callable[[str], range]
    ) -> list[ArmPair]:
        """Takes what is kept, and answers the pairs of which something is not."""
        missing: dict[str, list[ArmPair]] = defaultdict(list)
        found: dict[str, dict[tuple[str, int], tuple[Measurement, ...]]] = defaultdict(dict)
        for pair in pairs:
            for launch in launches(pair.suite):
                rows = self._kept.rows(_key(pair, side, launch))
                if rows is None:
                    missing[self._chain(pair)].append(pair)
                    break
                found[self._chain(pair)][name_of(pair), launch] = rows
        for chain, rows_of in found.items():
            if chain not in missing:
                self.rows[side].update(rows_of)
        return [pair for pair in pairs if self._chain(pair) in missing]

    def _chain(self, pair: ArmPair) -> str:
        """What is taken from the kept results together or not at all."""
        suite = self._suites[pair.suite]
        return f"trained {pair.implementation}" if suite.tasks or suite.trained_by else name_of(pair)

    def _jobs(
        self, side: SideName, pairs: Sequence[ArmPair], launches: Callable[[str], range]
    ) -> Iterable[Job]:
        """Jobs of the first launch of everything, then of the second, …, so that weights are there."""
        names = {name_of(pair) for pair in pairs}
        last = max((launches(pair.suite).stop for pair in pairs), default=0)
        for launch in range(last):
            for work in self._work:
                if launch not in launches(work.suite):
                    continue
                arms: dict[str, set[str]] = {}
                for pair in work.pairs:
                    if name_of(pair) in names:
                        beside = self._reference(pair) if self._suites[pair.suite].interleaved else set()
                        arms.setdefault(pair.step, beside).add(pair.implementation)
                job = launched(narrowed(work.jobs[side], arms), launch, self._seed)
                if job.steps:
                    more = self._sides[side].environment
                    yield replace(job, environment={**job.environment, **more})

    def _reference(self, pair: ArmPair) -> set[str]:
        job = next(work for work in self._work if pair in work.pairs).jobs["candidate"]
        step = next(step for step in job.steps if step.key == pair.step)
        return {arm.implementation for arm in step.arms if arm.role == "reference"}

    def _on_earlier_weights(
        self, side: SideName, path: Path, pairs: Sequence[ArmPair], jobs: list[Job]
    ) -> list[Job]:
        """Later seeds train at the rate that the first one chose: its weights are found again, or made."""
        if not any(self._suites[pair.suite].tasks for pair in pairs):
            return jobs
        earlier = self._folder / side / WEIGHTS
        if earlier.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            (path / WEIGHTS).symlink_to(earlier.resolve(), target_is_directory=True)
            return jobs
        first = [pair for pair in pairs if self._suites[pair.suite].tasks]
        return [*self._jobs(side, first, lambda suite: range(1)), *jobs]

    def _run(self, side: SideName, path: Path, jobs: Sequence[Job]) -> None:
        of = self._sides[side]
        manifest = {"run": side, "profile": self._profile.name, "title": of.title}
        Store.create(path, manifest, Plan(jobs=tuple(jobs)))
        launcher = Local(python=of.python, folder=of.folders[0])
        with Store(path) as store:
            try:
                Runner(store, launcher, Silent(), lambda: None, self._width).run()
            finally:
                launcher.stop()

    def _collect(self, side: SideName, path: Path, pairs: Sequence[ArmPair]) -> None:
        with Store(path) as store:
            records = list(store.records)
        given: dict[tuple[str, int], list[Measurement]] = defaultdict(list)
        for record in records:
            for m in record.measurements:
                given[f"{m.suite}/{record.step}/{m.implementation}", m.launch].append(m)
        for pair in pairs:
            for (name, launch), rows in given.items():
                if name == name_of(pair):
                    self.rows[side][name, launch] = tuple(rows)
                    self._kept.keep_rows(_key(pair, side, launch), rows)


def _key(pair: ArmPair, side: SideName, launch: int) -> str:
    return digest(pair.keys[side].encode(), str(launch).encode())
