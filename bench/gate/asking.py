"""What a side says of itself: ``python -P -m bench.gate.asking ANSWER``, started by `bench.gate.sides`.

Runs in the side's interpreter, with the side's code before all else on the path, and writes the side's
catalogue, environment and installed packages to the file ANSWER as JSON. No framework is imported.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from bench import wire
from bench.environment import capture
from bench.registry import collect
from bench.schema import Architecture, Environment, Variant

GROUP = "attnbench.variants"
OURS = "implementations.catalog"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A side's answer. `refused` are plug-ins that cannot be read, with the reason; `installed` maps every
    distribution to its version; `engine` and `ours` are the files that the names `bench` and
    `implementations` stand for there."""

    variants: tuple[Variant, ...]
    architectures: tuple[Architecture, ...]
    environment: Environment
    engine: str
    ours: str
    refused: Mapping[str, str] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)


def _entry_points() -> list[metadata.EntryPoint]:
    """Ours under its own name, whether or not attnbench is installed here, and everybody else's."""
    others = [
        point
        for point in metadata.entry_points(group=GROUP)
        if point.dist is None or point.dist.name != "attnbench"
    ]
    return [metadata.EntryPoint(name="catalog", value=OURS, group=GROUP), *others]


def told(threads: int) -> Told:
    """The answer of this very process; raises ImportError where our own catalogue cannot be read."""
    found = collect(_entry_points())
    if "catalog" in found.refused:
        raise ImportError(found.refused["catalog"])
    import bench

    ours = importlib.util.find_spec(OURS)
    assert ours is not None
    return Told(
        variants=tuple(found.variants.values()),
        architectures=tuple(found.architectures.values()),
        environment=capture(threads=threads, backend=os.environ.get("KERAS_BACKEND", "tensorflow")),
        engine=str(bench.__file__),
        ours=str(ours.origin),
        refused=found.refused,
        installed=_installed(),
    )


def _installed() -> dict[str, str]:
    """Versions of all that is installed, without the code under test, whose content counts instead."""
    under_test = [Path(folder).resolve() for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    found: dict[str, str] = {}
    for one in metadata.distributions():
        # A broken distribution may have no name.
        if one.name and Path(str(one.locate_file(""))).resolve() not in under_test:
            found.setdefault(one.name, one.version)
    return found


def main() -> None:
    """Answer into the file that the command line names; exit with a sentence where that cannot be."""
    answer, threads = sys.argv[1:]
    try:
        Path(answer).write_bytes(wire.encode(told(int(threads))))
    except ImportError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
