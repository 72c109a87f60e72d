"""Cases of fake counters whose true joules are known, measured through `bench.counters`, and their table."""

import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from counters import Clock, Gpu, Nvml, Power, Recording, Register, Tree, as_nobody, steady

from bench.counters import CounterError, Found, Reader, open_counters

RECORDED = Path(__file__).parent / "recorded"
COMPONENTS = ("processor", "memory", "accelerator")
WORK = Power(pieces=((0.7, 142.0), (0.4, 38.0)))
MEMORY = steady(7.5)
PACKAGE = Register(power=WORK, start=0.31)
DRAM = Register(power=MEMORY, start=0.6, units_a_joule=1 << 16)
SMALL = Register(power=steady(400.0), start=0.5, units_a_joule=1 << 16)
"""65,536 J: full every 164 s at 400 W."""


@dataclass
class Machine:
    """What a case builds on; `true` holds the powers of each component, everything counted once."""

    clock: Clock
    tree: Tree
    nvml: Nvml
    true: dict[str, list[Power]]

    def package(self, zone: str, name: str, register: Register | Recording, *, true: bool = True) -> None:
        self.tree.zone(zone, name, register)
        if true:
            self.true["processor"].append(register.power)

    def dram(self, zone: str, register: Register | Recording, **how: bool) -> None:
        self.tree.zone(zone, "dram", register, **how)
        self.true["memory"].append(register.power)

    def gpus(self, *gpus: Gpu) -> None:
        self.nvml = Nvml(self.clock, *gpus)
        self.true["accelerator"] = [gpu.power for gpu in gpus]

    def joules(self, begin: float, end: float) -> dict[str, float]:
        """True joules of each component between two moments of the clock."""
        return {
            component: sum(power.joules(end - 1000.0) - power.joules(begin - 1000.0) for power in powers)
            for component, powers in self.true.items()
            if powers
        }


@dataclass(frozen=True)
class Case:
    """`refusal` is a part of what is said where no figure may be; `subject` of whom."""

    name: str
    build: Callable[[Machine], None]
    seconds: float = 60.03
    refusal: str = ""
    subject: str = ""
    attended: bool = True
    nobody: bool = False


@dataclass(frozen=True)
class Outcome:
    """Joules by component, true and reported; where a component is refused, the reason instead."""

    case: Case
    true: dict[str, float]
    reported: dict[str, float]
    refusals: dict[str, str]
    found: Found


@contextmanager
def machine() -> Iterator[Machine]:
    """An empty machine in a folder that everyone may enter."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        clock = Clock()
        tree = Tree(folder=root / "powercap", clock=clock)
        tree.folder.mkdir()
        clock.follow(tree.refresh)
        true: dict[str, list[Power]] = {component: [] for component in COMPONENTS}
        yield Machine(clock=clock, tree=tree, nvml=Nvml(clock), true=true)


@functools.cache
def run(case: Case) -> Outcome:
    """Open what the case has built, and measure one window of it."""
    with machine() as built:
        case.build(built)
        clock = built.clock
        if case.nobody:
            built.tree.lock()
            with as_nobody():
                found = _open(built)
        else:
            found = _open(built)
        reader = Reader(found.counters)
        # Opening ends as a register moves: a window begins at any time.
        clock.pause(0.0637)
        begin = clock.now
        before = {counter.domain.name: counter.joules() for counter in found.counters}
        while (left := begin + case.seconds - clock.now) > 1e-9:
            clock.pause(min(left, reader.interval_seconds) if case.attended else left)
            if case.attended:
                reader.read()
        reported, refusals = _spent(found, before)
        return Outcome(
            case=case,
            true=built.joules(begin, clock.now),
            reported=reported,
            refusals={**{one.subject: one.reason for one in found.refusals}, **refusals},
            found=found,
        )


def _open(built: Machine) -> Found:
    return open_counters(
        built.tree.folder,
        built.nvml,
        clock=built.clock,
        pause=built.clock.pause,
        hwmon=built.tree.folder / "none",
    )


def _spent(found: Found, before: dict[str, float]) -> tuple[dict[str, float], dict[str, str]]:
    reported: dict[str, float] = {}
    refusals: dict[str, str] = {}
    for counter in found.counters:
        domain = counter.domain
        try:
            joules = counter.joules() - before[domain.name]
        except CounterError as error:
            refusals[domain.name] = str(error)
        else:
            reported[domain.component] = reported.get(domain.component, 0.0) + joules
    return reported, refusals


def _server(built: Machine) -> None:
    """Two packages with memory, and every way to count one of them twice."""
    for number in (0, 1):
        register = replace(PACKAGE, start=0.2 + number / 2)
        built.package(f"intel-rapl:{number}", f"package-{number}", register)
        built.tree.zone(f"intel-rapl:{number}:0", "core", Register(power=steady(30.0)))
        built.tree.zone(f"intel-rapl:{number}:1", "uncore", Register(power=steady(9.0)))
        built.package(f"intel-rapl-mmio:{number}", f"package-{number}", register, true=False)
    built.tree.zone("intel-rapl:2", "psys", Register(power=steady(390.0)))


def _memory_twice(built: Machine) -> None:
    built.package("intel-rapl:0", "package-0", PACKAGE)
    built.dram("intel-rapl:0:0", DRAM)
    built.tree.zone("intel-rapl:0:0", "dram", DRAM, nested=True)
    built.tree.zone("intel-rapl-mmio:0", "package-0", PACKAGE)
    built.tree.zone("intel-rapl-mmio:0:0", "dram", DRAM)


def _dies(built: Machine) -> None:
    for number in (0, 1):
        power = steady(60.0 + 25 * number)
        built.package(f"intel-rapl:{number}", f"package-0-die-{number}", Register(power=power, start=0.4))


def _recorded(built: Machine) -> None:
    built.package("intel-rapl:0", "package-0", Recording.load(RECORDED / "package.json"))
    built.dram("intel-rapl:0:0", Recording.load(RECORDED / "dram.json"))


def _package(**changes: object) -> Callable[[Machine], None]:
    def build(built: Machine) -> None:
        built.package("intel-rapl:0", "package-0", replace(PACKAGE, **changes))

    return build


def _small(**changes: object) -> Callable[[Machine], None]:
    def build(built: Machine) -> None:
        built.package("intel-rapl:0", "package-0", replace(SMALL, **changes))

    return build


def _without_range(built: Machine) -> None:
    built.tree.zone("intel-rapl:0", "package-0", PACKAGE, span=0)


def _half(built: Machine) -> None:
    built.package("intel-rapl:0", "package-0", PACKAGE)
    built.package("intel-rapl:1", "package-1", replace(PACKAGE, still_from=0.0))


def _psys(built: Machine) -> None:
    built.tree.zone("intel-rapl:0", "psys", Register(power=steady(90.0)))


def _one_name(built: Machine) -> None:
    for number in (0, 1):
        built.tree.zone(f"intel-rapl:{number}", "package-0", replace(PACKAGE, start=0.1 + number / 3))


def _second_way(built: Machine) -> None:
    built.tree.zone("intel-rapl:0", "package-0", replace(PACKAGE, still_from=0.0))
    built.package("intel-rapl-mmio:0", "package-0", PACKAGE)


def _gpu(**changes: object) -> Callable[[Machine], None]:
    def build(built: Machine) -> None:
        built.gpus(replace(Gpu(power=Power(pieces=((2.137, 310.0), (0.911, 71.0)))), **changes))

    return build


def _two_gpus(built: Machine) -> None:
    built.gpus(Gpu(power=steady(250.0), uuid="GPU-a"), Gpu(power=steady(40.0), uuid="GPU-b"))


RAPL_CASES = (
    Case("one package, work in bursts", _package()),
    Case("wraps 6 times in the window", _small(), seconds=1000),
    Case("two packages, core, uncore, psys and the mmio duplicate", _server),
    Case("two dies", _dies),
    Case("DRAM flat, nested and through mmio", _memory_twice),
    Case("recorded stream (made up), wraps", _recorded, seconds=25),
    Case("file gone for 4 s, back in time", _package(gone=(20.0, 24.0))),
    Case("first zone stands still, mmio counts", _second_way),
    Case("file gone from the middle on", _package(gone=(30.0, 1e9)), refusal="cannot be read"),
    Case("read by root only", _package(), refusal="may not be read", nobody=True),
    Case("stands still from the beginning", _package(still_from=0.0), refusal="stood still"),
    Case("stands still from the middle on", _package(still_from=30.0), refusal="stood still"),
    Case("set to 0 in the lower half", _package(back_at=30.0), refusal="went back"),
    Case("set to 0 in the upper half", _package(start=0.8, back_at=30.0), refusal="went back"),
    Case("wraps, and nobody reads meanwhile", _small(), 1000, "wrap unseen", attended=False),
    Case("no range", _without_range, refusal="range of 0"),
    Case("two zones of one name", _one_name, refusal="have one name"),
    Case("one of two packages stands still", _half, refusal="only a part"),
    Case("psys only", _psys, refusal="no package"),
)
NVML_CASES = (
    Case("GPU with a counter", _gpu()),
    Case("two GPUs with counters", _two_gpus),
    Case("GPU with power only", _gpu(counts=False)),
    Case("driver reloaded in the window", _gpu(back_at=30.0), refusal="went back"),
    Case("GPU counter stands still", _gpu(still_from=30.0), refusal="stood still"),
    Case("GPU lost in the window", _gpu(fails_from=30.0), refusal="GPU is lost"),
    Case("power only, not sampled for 10 s", _gpu(counts=False), 10, "not sampled", attended=False),
    Case("GPU split into instances", _gpu(split=True), refusal="MIG"),
    Case("GPU may not be read", _gpu(fails_from=0.0, error=4), refusal="Insufficient Permissions"),
)
CASES = RAPL_CASES + NVML_CASES


def table() -> str:
    """All cases as a Markdown table: true and reported joules, or the refusal."""
    lines = [
        "| case | component | true joules | reported joules | off by |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for case in CASES:
        outcome = run(case)
        for component, true in (outcome.true or {"processor": float("nan")}).items():
            reported = outcome.reported.get(component)
            told = f"{reported:,.2f}" if reported is not None else f"refused: {_reason(outcome)}"
            off = f"{reported / true - 1:+.3%}" if reported is not None else ""
            known = f"{true:,.2f}" if true == true else "unknown"
            lines.append(f"| {case.name} | {component} | {known} | {told} | {off} |")
    return "\n".join(lines)


def _reason(outcome: Outcome) -> str:
    return next(reason for reason in outcome.refusals.values() if outcome.case.refusal in reason)
