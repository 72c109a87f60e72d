"""A gate from its request to its result: sides built, work paired, measured, screened, confirmed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.environment import differences
from bench.gate.cells import Cell, Sample, confirm, flagged, screen
from bench.gate.conductor import Conduct, Conductor
from bench.gate.kept import Kept
from bench.gate.keys import TURNS
from bench.gate.ordinary import Ordinary, name_of
from bench.gate.pairing import TIMED, ArmPair, pair
from bench.gate.result import GateResult
from bench.gate.samples import certificates, kind_of, samples
from bench.gate.sides import SIDES, Side, SideName, Source, build, copy_engine
from bench.gate.timing import SECONDS, Times
from bench.measuring import now
from bench.profiles import PROFILES
from bench.registry import Registry
from bench.schema import Request, Suite
from bench.statistics import launch_scatter

# Enough that a t interval over launches decides 2% at the scatter that pinned pairs show.
LAUNCHES = {"smoke": 3, "quick": 6, "full": 8}
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """What was asked for: two sources, and the work as for any run. `again` measures what did not change too,
    so that the gate is held against a true null; `fresh` reads nothing that was kept. `launches` is 0 for the
    profile's own number; `turns` is what a worker of a pair runs."""

    request: Request
    sources: Mapping[SideName, Source]
    margin: float
    command: str
    launches: int = 0
    again: bool = False
    fresh: bool = False
    turns: str = TURNS


def gate(asked: GateRequest, registry: Registry, scratch: Path, kept: Path, tell: Tell) -> GateResult:
    """Measure and judge; `scratch` is an empty folder for the sides and runs, `kept` holds kept results.

    Raises SideError for a side that this engine cannot measure, UnknownCommitError and UnknownNameError for
    what nobody has.
    """
    started = now()
    sides = _built(asked, scratch)
    for name in SIDES:
        tell(f"{name}: {sides[name].title}")
    return measured(asked, registry, sides, scratch, kept, tell, started=started)


def measured(
    asked: GateRequest,
    registry: Registry,
    sides: Mapping[SideName, Side],
    scratch: Path,
    kept: Path,
    tell: Tell,
    *,
    started: str,
) -> GateResult:
    """The gate over sides that are built."""
    profile = PROFILES[asked.request.profile]
    planned = asked.launches or LAUNCHES[profile.name]
    pairing = pair(asked.request, registry, sides)
    ordinary = Ordinary(
        pairing.work,
        registry.suites,
        sides,
        # A true null needs two measurements, not one that is read twice.
        kept=Kept(kept, fresh=asked.fresh or asked.again),
        folder=scratch / "runs",
        profile=profile,
        seed=asked.request.seed,
        jobs=asked.request.jobs,
        again=asked.again,
        tell=tell,
    )
    times = Times(
        pairing.work,
        conduct=_conduct(sides, asked),
        kept=Kept(kept, fresh=asked.fresh),
        planned=planned,
        seconds=SECONDS[profile.name],
        seed=asked.request.seed,
        margin=asked.margin,
        again=asked.again,
        tell=tell,
    )
    told = Judging(ordinary, times, registry.suites, asked.margin, tell)
    cells = (*told.cells(), *(_absent(*place, suites=registry.suites) for place in pairing.missing))
    notes = (*pairing.notes, *_plugins(sides), *told.notes)
    return _result(asked, sides, times, told.moved, cells, notes, started=started, planned=planned)


def _result(
    asked: GateRequest,
    sides: Mapping[SideName, Side],
    times: Times,
    moved: Mapping[tuple[str, str], float],
    cells: tuple[Cell, ...],
    notes: Iterable[str],
    *,
    started: str,
    planned: int,
) -> GateResult:
    control = [list(timed.sample.control.values()) for timed in times.cells]
    return GateResult(
        titles={name: side.title for name, side in sides.items()},
        command=asked.command,
        started_at=started,
        finished_at=now(),
        margin=asked.margin,
        launches=planned,
        threads=asked.request.threads,
        cells=cells,
        scatter=launch_scatter(control),
        scatter_launches=sum(map(len, control)),
        environment=sides["candidate"].told.environment.id,
        environments=tuple(_differences(sides)),
        moved=tuple(f"{step} on {framework}: {ratio:.3f}" for (framework, step), ratio in moved.items()),
        notes=tuple(dict.fromkeys(notes)),
    )


def _built(asked: GateRequest, scratch: Path) -> dict[SideName, Side]:
    engine = copy_engine(scratch / "engine")
    build_one = partial(build, engine=engine, threads=asked.request.threads)
    # Folder names of one length, see `bench.gate.sides`.
    return {
        name: build_one(name, asked.sources[name], scratch / f"side{number}")
        for number, name in enumerate(SIDES)
    }


def _conduct(sides: Mapping[SideName, Side], asked: GateRequest) -> Conduct:
    generator = random.Random(asked.request.seed)
    return lambda jobs: Conductor(sides, generator, turns=asked.turns).launch(jobs)


def _differences(sides: Mapping[SideName, Side]) -> list[str]:
    one, other = (sides[name].told.environment for name in SIDES)
    return differences(one, other)


def _plugins(sides: Mapping[SideName, Side]) -> list[str]:
    """Plug-ins that cannot be read."""
    return [f"{name}: {reason}" for name in SIDES for reason in sides[name].told.refused.values()]


def _absent(
    suite: str, implementation: str, subject: str, reason: str, *, suites: Mapping[str, Suite]
) -> Cell:
    """The cell of what could not even be begun."""
    row = suites.get(suite)
    return Cell(
        kind=kind_of(row) if row else "time",
        suite=suite or "gate",
        metric=row.metrics[0].name if row else "any",
        unit=row.metrics[0].unit if row else "1",
        implementation=implementation,
        subject=subject or "everything",
        word="not_measured",
        reason=reason,
    )


class Judging:
    """Screens all cells together, has the flagged ones measured again, and gives the last words."""

    def __init__(
        self,
        ordinary: Ordinary,
        times: Times,
        suites: Mapping[str, Suite],
        margin: float,
        tell: Tell,
    ) -> None:
        self._ordinary = ordinary
        self._times = times
        self._suites = suites
        self._margin = margin
        self._tell = tell
        self.notes: list[str] = []
        self.moved: dict[tuple[str, str], float] = {}

    def cells(self) -> list[Cell]:
        """Measure, and answer every cell with its last word."""
        self._ordinary.screen()
        certified = self._certified()
        self._bar(certified)
        self._times.screen()
        screened = screen([sample for _, sample in self._samples()])
        suspects = flagged(screened)
        words = {cell.place: cell for cell in screened}
        if suspects:
            self._tell(f"{len(suspects)} of {len(screened)} cells seem changed: measured again")
            words |= {cell.place: cell for cell in self._confirmed(suspects)}
        self.moved = self._times.moved()
        words |= {cell.place: cell for cell in self._disbelieved(words)}
        return [*certified, *words.values(), *self._times.unchanged, *self._unchanged()]

    def _samples(self) -> list[tuple[ArmPair, Sample]]:
        found, notes = samples(self._ordinary, self._suites, self._margin)
        self.notes = list(dict.fromkeys((*self.notes, *notes)))
        timed = [(t.pair, t.sample) for t in self._times.cells if not t.sample.unsupported]
        return [*timed, *((sampled.pair, sampled.sample) for sampled in found)]

    def _confirmed(self, suspects: list[Cell]) -> list[Cell]:
        places = {cell.place for cell in suspects}
        again = {name_of(pair): pair for pair, sample in self._samples() if sample.cell.place in places}
        self._ordinary.confirm([pair for pair in again.values() if pair.suite != TIMED])
        self._times.confirm(suspects)
        fresh = {sample.cell.place: sample for _, sample in self._samples()}
        return confirm([(fresh[cell.place], cell) for cell in suspects])

    def _certified(self) -> list[Cell]:
        """Certificates' cells; what seems to have changed must show it again in a fresh process. A proof in
        which a worker fell over says nothing beside one that came to its end."""
        first = list(certificates(self._ordinary))
        doubtful = [pair for pair, cells in first if any(map(_changed, cells))]
        again = self._proven_again(doubtful, 1)
        fallen = [pair for pair in doubtful if self._only_first_fell_over(pair)]
        told = {name_of(pair): cells for pair, cells in first} | {
            name_of(pair): again[name_of(pair)] for pair in fallen
        }
        again |= self._proven_again([pair for pair in fallen if any(map(_changed, told[name_of(pair)]))], 2)
        return [_once_more(cell, again.get(name, ())) for name, cells in told.items() for cell in cells]

    def _proven_again(self, pairs: list[ArmPair], launch: int) -> dict[str, list[Cell]]:
        """The cells of these pairs from a fresh proof, by the pair's name."""
        if pairs:
            self._ordinary.confirm(pairs, again=launch)
        names = {name_of(pair) for pair in pairs}
        fresh = certificates(self._ordinary, launch=launch) if pairs else ()
        return {name_of(pair): cells for pair, cells in fresh if name_of(pair) in names}

    def _only_first_fell_over(self, pair: ArmPair) -> bool:
        return self._ordinary.fell_over(pair, 0) and not self._ordinary.fell_over(pair, 1)

    def _bar(self, certified: list[Cell]) -> None:
        """What no longer loads, or answers nonsense, is not timed: its figure would mean nothing."""
        barring = ("loads", "dtype", "shape", "finite")
        broken = {c.implementation: c for c in certified if c.word == "worse" and c.metric in barring}
        for timed in self._times.cells:
            cell = broken.get(timed.pair.implementation)
            if cell is not None:
                timed.sample.failure = f"candidate: the certificate failed: {cell.metric}: {cell.reason}"

    def _disbelieved(self, words: Mapping[tuple[str, str, str, str], Cell]) -> list[Cell]:
        """Changes seen in launches that also saw unchanged code change."""
        found: list[Cell] = []
        for timed in self._times.cells:
            cell = words.get(timed.sample.cell.place)
            ratio = self.moved.get((timed.pair.framework, timed.pair.step))
            if ratio is not None and cell is not None and cell.word in ("worse", "better"):
                reason = (
                    f"seemed {cell.shown}, but the reference's unchanged code measured {ratio:.3f} of itself"
                )
                found.append(replace(cell, word="undecided", reason=reason))
        return found

    def _unchanged(self) -> list[Cell]:
        return [
            Cell(
                kind=kind_of(self._suites[pair.suite]),
                suite=pair.suite,
                metric=self._suites[pair.suite].metrics[0].name,
                unit=self._suites[pair.suite].metrics[0].unit,
                implementation=pair.implementation,
                subject=pair.subject,
                word="same",
                margin=self._margin,
                unchanged=True,
            )
            for pair in self._ordinary.unchanged
        ]


def _changed(cell: Cell) -> bool:
    return cell.word in ("worse", "better")


def _once_more(cell: Cell, again: Iterable[Cell]) -> Cell:
    if not _changed(cell):
        return cell
    second = next((other for other in again if other.place == cell.place), None)
    if second is not None and second.word == cell.word:
        return replace(cell, confirmed=True, evidence=2)
    reason = f"seemed {cell.shown} ({cell.reason}), which a fresh process did not show again"
    return replace(cell, word="undecided", reason=reason)
