"""How large the plants are: what a round of extra work costs here, and afterwards each plant's true size.

Both are measured as the gate measures time, two versions in turns in the same launches, but with a fixed
number of launches and nothing stopped early, so that no estimate is large because it was believed early.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.gate.conductor import Conductor
from bench.gate.kept import Kept
from bench.gate.pairing import pair
from bench.gate.sides import SIDES, SideName, Source, build, copy_engine
from bench.gate.timing import Times
from bench.registry import registry
from bench.schema import Request
from bench.statistics import judge

LENGTH = 1024
CELL = f"layer/forward/{LENGTH}"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A commit's effect on the time of a cell: a ratio with its interval at 95%."""

    subject: str
    ratio: float
    low: float
    high: float
    launches: int


def sizes_between(
    repository: Path,
    commits: Sequence[str],
    implementation: str,
    *,
    launches: int,
    seconds: float,
    kept: Path,
    tell: Tell,
) -> list[Size]:
    """The second commit's time over the first one's, of every cell of the implementation."""
    variant, _, framework = implementation.rpartition("@")
    request = Request(
        variants=(variant,),
        frameworks=(framework,),
        suites=("throughput",),
        phases=("forward",),
        models=("layer",),
        lengths=(LENGTH,),
        profile="quick",
        threads=1,
    )
    with contextlib.chdir(repository), tempfile.TemporaryDirectory(prefix="planted-") as scratch:
        engine = copy_engine(Path(scratch) / "engine")
        made = partial(build, engine=engine, threads=1)
        asked: dict[SideName, str] = dict(zip(SIDES, commits, strict=True))
        sides = {
            name: made(name, Source(commit=asked[name]), Path(scratch) / f"side{number}")
            for number, name in enumerate(SIDES)
        }
        chance = random.Random(7)
        times = Times(
            pair(request, registry(), sides).work,
            conduct=lambda jobs: Conductor(sides, chance).launch(jobs),
            kept=Kept(kept),
            planned=launches,
            seconds=seconds,
            seed=0,
            margin=0.02,
            again=False,
            tell=tell,
        )
        # Fresh launches are all made, whatever they show.
        times.confirm([timed.sample.cell for timed in times.cells])
    return [
        _size(timed.sample.cell.subject, list(timed.sample.fresh.values()))
        for timed in times.cells
        if timed.sample.cell.implementation == implementation
    ]


def _size(subject: str, effects: Sequence[float]) -> Size:
    seen = judge(effects, level=0.95, margin=0.001)
    if seen.ratio is None or seen.low is None or seen.high is None:
        raise RuntimeError(f"{subject}: {len(effects)} launches are no measurement of a size")
    return Size(subject=subject, ratio=seen.ratio, low=seen.low, high=seen.high, launches=len(effects))
