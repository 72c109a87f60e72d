"""How it is measured and told: metrics, the suites that measure them, the views that show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.schema.words import Better
from bench.schema.work import Task, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`ranks` is False for what must not rank variants, such as a modelled constant."""

    name: str
    title: str
    unit: str
    better: Better
    ranks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One axis. `workloads` and `tasks` are keyed by profile; `extra` is the pip extra it needs.

    `target` is ``"module:measure"``: ``measure(step, bench_of_the_worker) -> list[Measurement]``.
    `opener` is ``"module:open"``, what the worker opens a framework with. An `exclusive` suite needs
    the machine to itself; an `interleaved` one holds all arms of a framework in one process. A suite
    that `admits` runs before all others, and an implementation that it bars is measured by no other.
    One with `trained_by` works on the weights that the suite of that name has trained, on the tasks of
    `modalities`. `unnamed` are the profiles in which it runs without being named; it runs
    whenever the suite that it `accompanies` does.

    One that meters takes `windows` windows of at least `window_seconds` each of every arm, in one launch,
    with no arm twice, and without variants that are there only to show what a task asks for.
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    target: str
    workloads: Mapping[str, tuple[Workload, ...]] = field(default_factory=dict)
    tasks: Mapping[str, tuple[Task, ...]] = field(default_factory=dict)
    extra: str = ""
    modules: tuple[str, ...] = ()
    exclusive: bool = True
    interleaved: bool = False
    windows: int = 0
    window_seconds: float = 0.0
    admits: bool = False
    opener: str = ""
    trained_by: str = ""
    modalities: tuple[str, ...] = ()
    accompanies: str = ""
    unnamed: tuple[str, ...] = ("smoke", "quick", "full")
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One table or figure of a report; `target` is ``"module:render"``."""

    name: str
    title: str
    target: str
