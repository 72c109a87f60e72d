"""A gate from its request to its result: sides built, work paired, measured, screened, confirmed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.environment import differences
from bench.gate.cells import Cell
from bench.gate.conductor import Conduct, Conductor
from bench.gate.judging import Judging
from bench.gate.kept import Kept
from bench.gate.keys import TURNS
from bench.gate.ordinary import Ordinary
from bench.gate.pairing import pair
from bench.gate.result import GateResult
from bench.gate.samples import kind_of
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
