"""One fresh process that carries out one job: ``python -P -m bench.worker``, started by `bench.launch`.

The job comes as JSON on standard input; answers go, a line a step, to the descriptor in
`ATTNBENCH_ANSWERS`. Which arm is at work stands in a small shared file, so that the parent knows
whose fault it was when this process is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import wire
from bench.loading import load
from bench.measuring import Bench
from bench.schema import Job, Measurement

AT_WORK = struct.Struct("ii")
STARTING = (-1, -1)
PARENT_DEATH_SIGNAL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All measurements of one step."""

    step: str
    measurements: tuple[Measurement, ...]


def _die_with_parent(parent: int) -> None:
    """A parent killed outright cannot stop its workers; on Linux the kernel does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _limit_memory(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where the whole machine runs out all the same, the kernel takes the worker, not the parent.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def _teller(descriptor: int) -> Callable[[int, int], None]:
    shared = mmap.mmap(descriptor, AT_WORK.size)

    def tell(step: int, arm: int) -> None:
        AT_WORK.pack_into(shared, 0, step, arm)

    return tell


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


def _carry_out(job: Job, tell: Callable[[int, int], None], answers: int) -> None:
    measure: Any = load(job.target)
    # An empty line is a sign of life: another piece of work begins, and with it its time limit.
    bench = Bench(job, tell, lambda: _write(answers, b"\n"))
    for index, step in enumerate(job.steps):
        bench.start(index)
        answer = Answer(step=step.key, measurements=tuple(measure(step, bench)))
        _write(answers, wire.encode(answer) + b"\n")


def main() -> None:
    """Read the job, obey its limits, answer step by step."""
    _die_with_parent(int(os.environ["ATTNBENCH_PARENT"]))
    job = wire.decode(sys.stdin.buffer.read(), Job)
    _limit_memory(job.memory_limit)
    # -P keeps the current folder from shadowing what is installed; a user's module may still live there.
    sys.path.append(str(Path.cwd()))
    tell = _teller(int(os.environ["ATTNBENCH_AT_WORK"]))
    answers = int(os.environ["ATTNBENCH_ANSWERS"])
    _carry_out(job, tell, answers)
    sys.stdout.flush()
    sys.stderr.flush()
    # Frameworks take seconds, and now and then a crash, to tear down; all answers are out.
    os._exit(0)


if __name__ == "__main__":
    main()
