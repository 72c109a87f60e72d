"""How long the command takes before it does anything, as a multiple of starting Python itself.

Seconds of a process's start move with the machine by more than any import added in a night: each round starts
a bare interpreter and both commands one after the other, in random order, and ratios are of one round.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from statistics import median

from .engine import ATTNBENCH

ROUNDS = 9
BARE = ("-P", "-c", "pass")
COMMANDS = {"import": ("-P", "-c", "import bench.cli"), "list": (*ATTNBENCH, "list")}


def _seconds(arguments: tuple[str, ...]) -> float:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{arguments[-1]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return seconds


class Start:
    """Median over rounds of seconds over a bare interpreter's."""

    unit = "bare starts"
    timeout = 300.0
    version = "1"

    def setup_cache(self) -> dict[str, float]:
        """All rounds, after one that is not counted: it compiles modules and fills the disk's cache."""
        arms = {"bare": BARE, **COMMANDS}
        for arguments in arms.values():
            _seconds(arguments)
        order = random.Random(0)
        taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for _ in range(ROUNDS):
            seconds = {name: _seconds(arms[name]) for name in order.sample(list(arms), len(arms))}
            for name in COMMANDS:
                taken[name].append(seconds[name] / seconds["bare"])
        return {name: median(ratios) for name, ratios in taken.items()}

    def track_import(self, taken: dict[str, float]) -> float:
        """`import bench.cli`."""
        return taken["import"]

    def track_list(self, taken: dict[str, float]) -> float:
        """`attnbench list`."""
        return taken["list"]
