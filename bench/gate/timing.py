"""Times of both sides: launches until every cell has its word, and fresh ones for what seems to have changed.

The effect of a launch is the median over its blocks of log(candidate / baseline) of an arm, both sides'
values of a block taken one right after the other. **It is not divided by the reference's own ratio**,
which stands beside it as a control. Division would take out what moves both arms of a process alike and
put the reference's own scatter on top; and it would hide every change that the reference shares: a slower
projection in the common layer, a slower framework. What moves a process hardly moves its arms alike: where
the allocator's luck made written-out softmax scatter by 4% to 8% from launch to launch, `sliding_window` in
the same launches scattered by 0.5% to 0.8% undivided and by 3.8% to 7.9% divided.

The control is used as a gauge instead: where the reference's code is the same on both sides, its ratio is
known to be 1, and a launch design that sees it moved by more than the margin is not believed: the cells of
that work become undecided.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from bench.candidates import REFERENCE
from bench.gate.cells import CONFIRMING_ALPHA, Cell, Sample, settled
from bench.gate.conductor import Conduct, Launched
from bench.gate.kept import Kept, KeptLaunch
from bench.gate.pairing import TIMED, ArmPair, JobPair, launched, narrowed
from bench.gate.sides import SIDES, SideName
from bench.launch import Outcome
from bench.schema import Arm, Job, Measurement
from bench.statistics import judge, paired_log_ratio

METRIC, UNIT = "seconds", "s"
MOST_STARTS = 2
# Of timed calls, for each arm and side of a launch: starting the two workers takes longer than this.
SECONDS = {"smoke": 0.2, "quick": 0.6, "full": 1.2}
Tell = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Timed:
    """A cell of time with what it was measured from."""

    pair: ArmPair
    sample: Sample
    launches: dict[int, KeptLaunch] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str]:
        return self.pair.step, self.pair.implementation


class Times:
    """All cells of time of a gate."""

    def __init__(
        self,
        work: Iterable[JobPair],
        *,
        conduct: Conduct,
        kept: Kept,
        planned: int,
        seconds: float,
        seed: int,
        margin: float,
        again: bool,
        tell: Tell,
    ) -> None:
        self._seconds = seconds
        self._conduct = conduct
        self._kept = kept
        self._planned = planned
        self._seed = seed
        self._tell = tell
        self._jobs = [job for job in work if job.suite == TIMED]
        self.cells: list[Timed] = []
        self.unchanged: list[Cell] = []
        self._unchanged_reference: set[tuple[str, str]] = set()
        # Works whose reference took its worker down: measured on without a control.
        self._uncontrolled: set[tuple[str, str]] = set()
        for job in self._jobs:
            for pair in job.pairs:
                if _variant(pair) == REFERENCE and not pair.changed:
                    self._unchanged_reference.add((pair.framework, pair.step))
                if pair.changed or again:
                    self.cells.append(self._timed(pair, margin))
                else:
                    self.unchanged.append(replace(_blank(pair, margin), word="same", unchanged=True))

    def _timed(self, pair: ArmPair, margin: float) -> Timed:
        timed = Timed(pair=pair, sample=Sample(cell=_blank(pair, margin), planned=self._planned))
        for one in self._kept.launches(self._key(pair)).values():
            self._take(timed, one)
        return timed

    def _key(self, pair: ArmPair) -> str:
        """What the pair's launches are kept under: how many were planned says which of them are fresh."""
        return f"{pair.key}-{self._planned}"

    def screen(self) -> None:
        """Launch until every cell is settled."""
        self._until_settled(self.cells, range(self._planned), fresh=False)

    def confirm(self, cells: Sequence[Cell]) -> None:
        """Fresh launches of these cells, all of them."""
        wanted = {cell.place for cell in cells}
        chosen = [timed for timed in self.cells if timed.sample.cell.place in wanted]
        self._until_settled(chosen, range(self._planned, 2 * self._planned), fresh=True)

    def _until_settled(self, cells: Sequence[Timed], launches: range, *, fresh: bool) -> None:
        for launch in launches:
            for job in self._jobs:
                self._launch(job, cells, launch, fresh=fresh)

    def _launch(self, job: JobPair, cells: Sequence[Timed], launch: int, *, fresh: bool) -> None:
        """One launch of what is not settled yet; a worker that is gone costs the arm it was at, and the rest
        is launched again without it."""
        starts = 0
        while todo := [
            timed
            for timed in cells
            if timed.pair in job.pairs
            and launch not in timed.launches
            and not settled(timed.sample, fresh=fresh)
        ]:
            title = "confirming" if fresh else "launch"
            self._tell(f"{job.jobs['candidate'].id}: {title} {launch + 1}, {len(todo)} cells")
            jobs = self._placed(job, todo, launch)
            found = self._conduct(jobs)
            self._record(jobs, todo, launch, found)
            if found.cut is None:
                self._without_answer(todo, launch, found)
                return
            starts += found.outcomes[found.cut].step < 0
            self._blame(jobs[found.cut], todo, found.cut, found.outcomes[found.cut], starts)

    def _placed(self, job: JobPair, todo: Sequence[Timed], launch: int) -> Mapping[SideName, Job]:
        arms: dict[str, set[str]] = {}
        for timed in todo:
            reference = f"{REFERENCE}@{timed.pair.framework}"
            beside = set() if (timed.pair.framework, timed.pair.step) in self._uncontrolled else {reference}
            arms.setdefault(timed.pair.step, beside).add(timed.pair.implementation)
        jobs = {side: launched(narrowed(job.jobs[side], arms), launch, self._seed) for side in SIDES}
        return {side: self._long_enough(job) for side, job in jobs.items()}

    def _long_enough(self, job: Job) -> Job:
        return replace(job, steps=tuple(replace(step, seconds=self._seconds) for step in job.steps))

    def _record(
        self, jobs: Mapping[SideName, Job], todo: Sequence[Timed], launch: int, found: Launched
    ) -> None:
        for timed in todo:
            rows = _rows_of(found, timed.pair.step, timed.pair.implementation)
            if len(rows) < len(SIDES):
                continue
            failed = [(side, row) for side, row in rows.items() if row.status != "ok"]
            if failed:
                side, row = failed[0]
                timed.sample.unsupported = all(row.status == "unsupported" for row in rows.values())
                timed.sample.failure = f"{side}: {_first_line(row.reason)}"
                continue
            control = _rows_of(found, timed.pair.step, f"{REFERENCE}@{timed.pair.framework}")
            fine = {side: row for side, row in control.items() if row.status == "ok"}
            self._take(timed, KeptLaunch(launch=launch, rows=rows, control=fine if len(fine) == 2 else {}))
            self._kept.keep_launches(self._key(timed.pair), timed.launches)

    def _take(self, timed: Timed, one: KeptLaunch) -> None:
        """Count a launch, measured now or kept from an earlier gate with as many launches."""
        sample, rows = timed.sample, one.rows
        effect = _effect(rows)
        if effect is None:
            return
        timed.launches[one.launch] = one
        effects = sample.effects if one.launch < self._planned else sample.fresh
        effects[one.launch] = effect
        sample.before[one.launch] = median(rows["baseline"].values)
        sample.after[one.launch] = median(rows["candidate"].values)
        control = _effect(one.control) if _variant(timed.pair) != REFERENCE else None
        if control is not None:
            sample.control[one.launch] = control

    def _without_answer(self, todo: Sequence[Timed], launch: int, found: Launched) -> None:
        """Both workers came to their end, so what gave no rows never will."""
        for timed in todo:
            if launch in timed.launches or timed.sample.failure:
                continue
            rows = _rows_of(found, timed.pair.step, timed.pair.implementation)
            failed = next(((side, row.reason) for side, row in rows.items() if row.status != "ok"), None)
            silent = next((side for side in SIDES if side not in rows), "candidate")
            side, reason = failed or (silent, "gave no times")
            timed.sample.failure = f"{side}: {_first_line(reason)}"

    def _blame(self, job: Job, todo: Sequence[Timed], side: SideName, outcome: Outcome, starts: int) -> None:
        """Lay a lost worker at the door of the arm or step that it was at."""
        reason = f"{side}: {outcome.sentence}"
        if outcome.step < 0:
            reason, steps = f"{reason}\n{outcome.tail}".strip(), {step.key for step in job.steps}
            if starts < MOST_STARTS:
                return
            arm: Arm | None = None
        else:
            step = job.steps[outcome.step]
            steps = {step.key}
            arm = step.arms[outcome.arm] if outcome.arm >= 0 else None
        if arm is not None and arm.implementation == f"{REFERENCE}@{job.framework}":
            self._uncontrolled |= {(job.framework, step) for step in steps}
        for timed in todo:
            if timed.pair.step in steps and (arm is None or timed.pair.implementation == arm.implementation):
                timed.sample.failure = reason

    def moved(self) -> dict[tuple[str, str], float]:
        """Works whose control moved though its code is the same: by (framework, step) the ratio seen."""
        found: dict[tuple[str, str], float] = {}
        for (framework, step), group in itertools.groupby(
            sorted(self.cells, key=lambda t: (t.pair.framework, t.pair.step)),
            key=lambda t: (t.pair.framework, t.pair.step),
        ):
            if (framework, step) not in self._unchanged_reference:
                continue
            control: dict[int, float] = {}
            for timed in group:
                control |= timed.sample.control
            if len(control) < 2:
                continue
            margin = self.cells[0].sample.cell.margin
            seen = judge(list(control.values()), level=1 - CONFIRMING_ALPHA, margin=margin)
            if (
                seen.word in ("worse", "better")
                and seen.ratio
                and abs(math.log(seen.ratio)) > math.log1p(margin)
            ):
                found[framework, step] = seen.ratio
        return found


def _variant(pair: ArmPair) -> str:
    return pair.implementation.rpartition("@")[0]


def _blank(pair: ArmPair, margin: float) -> Cell:
    return Cell(
        kind="time",
        suite=pair.suite,
        metric=METRIC,
        unit=UNIT,
        implementation=pair.implementation,
        subject=pair.subject,
        margin=margin,
    )


def _rows_of(found: Launched, step: str, implementation: str) -> dict[SideName, Measurement]:
    """The arm's row on each side that gave one."""
    rows: dict[SideName, Measurement] = {}
    for side in SIDES:
        for row in found.answers[side].get(step, ()):
            if row.implementation == implementation:
                rows[side] = row
    return rows


def _effect(rows: Mapping[SideName, Measurement]) -> float | None:
    """The launch's median log ratio; None without both sides."""
    if len(rows) < len(SIDES):
        return None
    return paired_log_ratio(rows["baseline"].values, rows["candidate"].values)


def _first_line(reason: str) -> str:
    return reason.splitlines()[0] if reason else "no reason given"


def launches_of(cells: Iterable[Timed]) -> Iterator[tuple[ArmPair, KeptLaunch]]:
    """Every launch behind the cells, for a record of raw values."""
    for timed in cells:
        for one in timed.launches.values():
            yield timed.pair, one
