"""What runs on a node: tells what the node is, takes files, carries out a job. Bytes in, bytes out; no Ray.

The engine's own process is not the one that measures: `bench.launch` starts a fresh worker below it, as on
one's own machine, with the same limits and the same way of waiting.
"""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from bench import wire
from bench.environment import capture
from bench.executors import carried
from bench.launch import Launcher, Outcome
from bench.schema import Environment, Job
from bench.worker import Answer

MACHINE = "ATTNBENCH_MACHINE"
# What whoever carries jobs sets for its own workers, or a node's shell for something else, and what would
# change figures: threads, their places, the allocator. `bench.launch` sets what a job needs of it.
FOREIGN = (
    "RAY_",
    "OMP_",
    "KMP_",
    "GOMP_",
    "MKL_",
    "OPENBLAS_",
    "BLIS_",
    "NUMEXPR_",
    "VECLIB_",
    "TF_NUM_",
    "MALLOC_",
    "LD_PRELOAD",
)
# The same on every node: as they are where the run was started.
SETTLED = ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "TOKENIZERS_PARALLELISM")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a node is: `machine` is the same for two nodes on one machine."""

    environment: Environment
    machine: str


def settings() -> dict[str, str]:
    """The variables of this process that every node's workers get."""
    return {name: os.environ[name] for name in SETTLED if name in os.environ}


def inherited(own: Mapping[str, str], settled: Mapping[str, str]) -> dict[str, str]:
    """What a worker on a node inherits: the node's variables without what is foreign, and the run's own."""
    kept = {name: text for name, text in own.items() if not name.startswith((*FOREIGN, *SETTLED))}
    return {**kept, **settled}


def look(threads: int, settled: Mapping[str, str]) -> bytes:
    """What this node is, as JSON."""
    backend = settled.get("KERAS_BACKEND", "tensorflow")
    environment = capture(threads=threads, backend=backend)
    return wire.encode(Found(environment=environment, machine=_machine()))


def answers() -> bool:
    """That this node can start a process."""
    return True


def take(token: str, message: bytes) -> None:
    """Put a file into the run's folder on this node."""
    _, name, content = carried.opened(message)
    carried.write(_folder(token), name, content)


def tidy(token: str) -> None:
    """Remove the run's folder on this node."""
    shutil.rmtree(_folder(token), ignore_errors=True)


def carry_out(line: bytes, token: str, settled: Mapping[str, str]) -> Iterator[bytes]:
    """Do the job; files that it wrote and its answers as they come, last how its worker ended.

    A step's files go before its answer: what is said to be trained is there.
    """
    _undo_niceness()
    folder = _folder(token)
    job = replace(wire.decode(line, Job), folder=str(folder))
    known: carried.Seen = carried.seen(folder)
    events: queue.SimpleQueue[Answer | Outcome | BaseException] = queue.SimpleQueue()
    launcher = Launcher(inherited=inherited(os.environ, settled))
    threading.Thread(target=_launch, args=(launcher, job, events), daemon=True).start()
    while True:
        event = events.get()
        if isinstance(event, BaseException):
            raise event
        now = carried.seen(folder)
        changed, known = carried.newer(now, known), now
        for name, content in carried.read(folder, changed):
            yield carried.frame(carried.FILE, content, name)
        if isinstance(event, Outcome):
            yield carried.frame(carried.OUTCOME, wire.encode(event))
            return
        yield carried.frame(carried.ANSWER, wire.encode(event))


def _launch(
    launcher: Launcher, job: Job, events: queue.SimpleQueue[Answer | Outcome | BaseException]
) -> None:
    try:
        events.put(launcher.run(job, events.put))
    except BaseException as error:  # noqa: BLE001  told in the thread that waits
        events.put(error)


def _folder(token: str) -> Path:
    path = Path(tempfile.gettempdir(), f"attnbench-{token}")
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _machine() -> str:
    """Two containers on one machine share a kernel that was booted once; `MACHINE` says otherwise."""
    with suppress(OSError):
        return os.environ.get(MACHINE) or Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _undo_niceness() -> None:
    """Ray's workers give way to everything (niceness 15); a measurement has the priority that the node was
    started with. Without the right to take it back it stays: nothing else of the cluster runs beside it."""
    with suppress(OSError, psutil.Error):
        parent = psutil.Process().parent()
        if parent is not None:
            os.setpriority(os.PRIO_PROCESS, 0, parent.nice())
