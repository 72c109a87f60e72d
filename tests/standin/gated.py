"""Stand-ins for the gate: a repository of variants whose figures are written down, and suites that read it.

What a variant "takes" stands in its module, so that a change of the code is a change of the figure and
nothing is really timed. Noise is drawn from launch, side and arm.
"""

import os
import random
import subprocess
from pathlib import Path

from bench.gate.line import open_line
from bench.measuring import Bench, arm_key
from bench.registry import Registry
from bench.schema import Arm, Measurement, Metric, Step, Suite, Task, Workload

HERE = Path(__file__)
NOISE = 0.006

CATALOG = """
from bench.schema import Architecture, Variant


def row(name):
    return Variant(
        name=name, title=name, paper="", equation="", time="n", memory="n", time_exponent=1.0, exact=False,
        causal=True, cross_attention=True, trainable=True,
        targets={"torch": f"implementations.{name}:attend"},
    )


VARIANTS = tuple(map(row, NAMES))
ARCHITECTURES = (Architecture(name="layer", title="layer", targets={"torch": "implementations.layer:build"}),)
"""
MODULE = '''"""A variant that is written down."""

SECONDS, BYTES, CAUSAL, RIGHT = {seconds}, {peak}, {causal}, {right}


class attend:
    seconds, peak, causal, right = SECONDS, BYTES, CAUSAL, RIGHT
'''

WORK = tuple(
    Workload(
        name=f"layer/forward/{length}",
        architecture="layer",
        phase="forward",
        batch=1,
        query_length=length,
        key_length=length,
        width=8,
        heads=2,
    )
    for length in (17, 37)
)
TASK = Task(
    name="made_up",
    title="made up",
    architecture="layer",
    target="none:load",
    metric="accuracy",
    width=8,
    heads=2,
    max_length=7,
    batch=2,
    steps=1,
    learning_rates=(0.1,),
)
PROFILES = ("smoke", "quick", "full")


def _suite(name: str, metric: Metric, **fields: object) -> Suite:
    return Suite(name=name, title=name, metrics=(metric,), target=f"{HERE}:{name}", exclusive=False, **fields)


def registry() -> Registry:
    """The four suites of a gate, on stand-in work."""
    work = dict.fromkeys(PROFILES, WORK)
    suites = (
        _suite(
            "certificate",
            Metric(name="causality", title="causality", unit="holds", better="higher", ranks=False),
            workloads=dict.fromkeys(PROFILES, WORK[:1]),
            admits=True,
        ),
        _suite(
            "throughput",
            Metric(name="seconds", title="time", unit="s", better="lower"),
            workloads=work,
            interleaved=True,
        ),
        _suite("memory", Metric(name="peak_bytes", title="peak", unit="B", better="lower"), workloads=work),
        _suite(
            "accuracy",
            Metric(name="accuracy", title="accuracy", unit="fraction", better="higher"),
            tasks=dict.fromkeys(PROFILES, (TASK,)),
        ),
    )
    return Registry(suites={suite.name: suite for suite in suites})


class Repository:
    """A git repository in `folder` that holds the package `implementations` and nothing else."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("softmax", "sliding_window")) -> None:
        self.folder = folder
        self.package = folder / "implementations"
        self.package.mkdir(parents=True)
        (self.package / "__init__.py").write_text("")
        (self.package / "catalog.py").write_text(f"NAMES = {names!r}\n{CATALOG}")
        (self.package / "layer.py").write_text("def build(attention, **settings):\n    return attention\n")
        for name in names:
            self.write(name)
        self.git("init", "-q", "-b", "main")

    def write(
        self,
        name: str,
        *,
        seconds: float = 0.01,
        peak: int = 1 << 24,
        causal: bool = True,
        right: float = 0.8,
    ) -> None:
        """The variant's figures from now on."""
        text = MODULE.format(seconds=seconds, peak=peak, causal=causal, right=right)
        (self.package / f"{name}.py").write_text(text)

    def commit(self, title: str) -> str:
        """Commit everything; the commit's name."""
        self.git("add", "-A")
        self.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", title)
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout


def _noise(*seed: object) -> random.Random:
    return random.Random(repr(seed))


def turns(step: Step, bench: Bench) -> list[Measurement]:
    """A worker of a pair: answers turns with written-down seconds, and a launch's own noise on top."""
    line = open_line()
    line.await_order("prepare", bench.alive)
    found = {arm_key(arm): bench.attention(arm) for arm in step.arms}
    shift = {
        key: _noise(bench.job.launch, line.side, key, step.key).gauss(0, NOISE / 2**0.5) for key in found
    }
    turn_of = bench.turns(step)
    line.tell(ready={key: attend.seconds for key, attend in found.items()})
    taken: dict[str, list[float]] = {key: [] for key in found}
    dropped: set[str] = set()
    while (order := line.order(bench.alive))["do"] != "end":
        key = order["arm"]
        if order["do"] == "drop":
            dropped.add(key)
            continue
        turn_of(key)
        value = found[key].seconds
        if value < 0:
            os._exit(7)
        if value > 100:
            dropped.add(key)
            line.tell(failed="ValueError: as asked")
            continue
        value *= 1 + shift[key]
        taken[key].append(value)
        line.tell(seconds=value)
    arms = {arm_key(arm): arm for arm in step.arms}
    failed = [
        bench.measurement(
            step,
            arms[key],
            metric="seconds",
            unit="s",
            tool="x",
            status="failed",
            reason="ValueError: as asked",
        )
        for key in dropped
        if found[key].seconds > 100
    ]
    return failed + [
        bench.measurement(
            step, arms[key], metric="seconds", unit="s", tool="x", values=values, details={"side": line.side}
        )
        for key, values in taken.items()
        if key not in dropped
    ]


def _row(step: Step, arm: Arm, bench: Bench, metric: str, unit: str, **fields: object) -> Measurement:
    return bench.measurement(step, arm, metric=metric, unit=unit, tool="stand-in", **fields)


def certificate(step: Step, bench: Bench) -> list[Measurement]:
    (arm,) = step.arms
    rows = [_row(step, arm, bench, "loads", "holds", values=[1.0])]
    if bench.attention(arm).causal:
        return [*rows, _row(step, arm, bench, "causality", "holds", values=[1.0])]
    return [
        *rows,
        _row(step, arm, bench, "causality", "holds", status="failed", reason="token 3 saw token 5"),
    ]


def memory(step: Step, bench: Bench) -> list[Measurement]:
    (arm,) = step.arms
    drawn = _noise(bench.job.launch, os.environ["PYTHONPATH"][-20:], arm.implementation, step.key)
    value = bench.attention(arm).peak + drawn.randrange(0, 3) * 4096
    return [_row(step, arm, bench, "peak_bytes", "B", values=[value])]


def accuracy(step: Step, bench: Bench) -> list[Measurement]:
    """A hundred test examples, of which each variant has its share right, a few others at every seed."""
    (arm,) = step.arms
    right = bench.attention(arm).right
    drawn = _noise(step.seed)
    values = [float(drawn.random() < right) for _ in range(1000)]
    return [_row(step, arm, bench, "accuracy", "fraction", values=values)]
