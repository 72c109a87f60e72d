"""A made-up world to meter in: a clock that work moves, power that is known, load that is set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from bench.counters import Component
from bench.measuring import Bench
from bench.schema import Arm, Job, Step, Workload
from suites.metering.load import Busy
from suites.metering.meter import Certainty, MeterError, Part, Reading
from suites.metering.windows import Surroundings

CORES = 4
KNOWN = Certainty(low=0.9, high=1.2, basis="made up")


def counted(component: Component = "processor", **changes: object) -> Part:
    """A component that is counted in steps of a millijoule, a thousand times a second."""
    fields: dict[str, object] = {
        "component": component,
        "method": "measured",
        "tool": "made up",
        "certainty": KNOWN,
        "update_seconds": 0.001,
        "quantum_joules": 0.001,
    }
    return Part(**{**fields, **changes})  # type: ignore[arg-type]


@dataclass
class World:
    """Time passes where somebody works or waits, and energy with it: `idle_watts` of each component always,
    and what the work says beside. `others` is how many cores others keep busy."""

    idle_watts: dict[Component, float] = field(default_factory=lambda: {"processor": 10.0})
    others: float = 0.0
    now: float = 0.0
    machine: float = 0.0
    own: float = 0.0
    joules: dict[Component, float] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    def _pass(self, seconds: float, watts: float, cores: float) -> None:
        self.now += seconds
        self.own += cores * seconds
        self.machine += (cores + self.others) * seconds
        for component, idle in self.idle_watts.items():
            more = watts if component == "processor" else 0.0
            self.joules[component] = self.joules.get(component, 0.0) + (idle + more) * seconds

    def work(self, name: str, seconds: float, watts: float) -> Callable[[], None]:
        """A call on one core that takes so long, and so much more power than idling."""

        def call() -> None:
            self.history.append(name)
            self._pass(seconds, watts, 1.0)

        return call

    def surroundings(self) -> Surroundings:
        """Its clock and load."""
        return Surroundings(
            seconds=lambda: self.now,
            wait=lambda seconds: self._pass(seconds, 0.0, 0.0),
            busy=lambda: Busy(machine=self.machine, own=self.own),
            cores=CORES,
        )


class WorldMeter:
    """Meters a world without error; breaks at window number `breaks_at` (idle ones count)."""

    def __init__(self, world: World, parts: tuple[Part, ...] = (), *, breaks_at: int = -1) -> None:
        self.world = world
        self.parts = parts or tuple(map(counted, world.idle_watts))
        self.breaks_at = breaks_at
        self.ended = 0
        self._before: dict[Component, float] = {}

    def begin(self) -> None:
        self._before = dict(self.world.joules)

    def end(self) -> Reading:
        self.ended += 1
        if self.ended == self.breaks_at:
            raise MeterError("the counter has gone back")
        spent = {
            part.component: self.world.joules.get(part.component, 0.0) - self._before.get(part.component, 0.0)
            for part in self.parts
        }
        steps = {p.component: p.quantum_joules for p in self.parts if p.quantum_joules}
        return Reading(joules=spent, ticks={name: spent[name] / step for name, step in steps.items()})

    def __enter__(self) -> WorldMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class NoFramework:
    """For steps whose units are made up too."""

    def synchronise(self) -> None:
        return None


def bench_of(
    step: Step, *, opener: str = "metered:open_none", folder: str = "", framework: str = "torch"
) -> Bench:
    """A worker's side of a job of one step."""
    job = Job(
        id="energy",
        run="run",
        suite="energy",
        target="",
        framework=framework,
        launch=0,
        steps=(step,),
        environment_id="here",
        device="cpu",
        threads=1,
        time_limit=60,
        memory_limit=8 << 30,
        exclusive=True,
        metric="joules",
        unit="J",
        opener=opener,
        folder=folder,
    )
    return Bench(job, lambda _step, _arm: None, lambda: None)


def open_none(framework: str, *, device: str, threads: int) -> NoFramework:
    """A job's opener."""
    return NoFramework()


def step_of(*names: str, windows: int = 5, seconds: float = 5.0) -> Step:
    """A metered step whose arms are so named."""
    return Step(
        key="layer/forward/8",
        subject="layer/forward/8",
        arms=tuple(Arm(implementation=f"{name}@torch", role="candidate", target="") for name in names),
        workload=Workload(
            name="layer/forward/8",
            architecture="layer",
            phase="forward",
            batch=2,
            query_length=8,
            key_length=8,
            width=8,
            heads=2,
        ),
        windows=windows,
        seconds=seconds,
    )
