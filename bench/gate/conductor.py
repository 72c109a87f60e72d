"""One launch of the gate: two fresh workers alive at once, one a side, which are given turns.

In every block each arm has a turn on either side, one right after the other, arms in an order drawn anew
and the sides' order balanced: each goes first in one of every two blocks. So drift of the machine
meets both alike, and what the first of two turns leaves behind favours neither. The conductor sleeps in
`poll` while a worker works, and the other worker sleeps in its read.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import select
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.gate.keys import TURNS
from bench.gate.line import Line, LineCutError, variables
from bench.gate.sides import SIDES, Side, SideName
from bench.interleave import LONG_BLOCK_SECONDS, SHORTEST_SAMPLE_SECONDS, count_blocks
from bench.launch import Launcher, Outcome
from bench.schema import Job, Measurement, Step
from bench.worker import Answer

# A median over fewer is at the mercy of one neighbour; calls of seconds cannot have as many.
FEWEST_BLOCKS, FEWEST_LONG_BLOCKS = 12, 4
# Whether glibc hands a freed block back to the kernel, and pays for its pages anew at the next call, hangs on
# what a process happened to allocate before: written-out softmax at 1,024 tokens, whose scores are 32 MiB,
# took 77 to 113 ms in processes of the same code, and launches scattered by 16%. Without blocks of their own
# (mmap), which go back each time, and with the heap never trimmed below 4 GiB, it took 49 ms on both sides
# and launches scattered by 0.5%. Keras's threads have heaps of their own, which this does not reach: its
# forward passes scatter by 4%.
KEEPING_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}
Answers = dict[SideName, dict[str, tuple[Measurement, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """What a launch gave: by side and step key the rows of every arm, and how each worker ended. `cut` is the
    side whose worker was gone first, with the step it was at; None where both came to their end."""

    answers: Answers
    outcomes: Mapping[SideName, Outcome]
    cut: SideName | None = None


@dataclass(slots=True)
class _Worker:
    """A worker and the thread that waits for it; `gone` becomes readable when the process has ended."""

    side: SideName
    launcher: Launcher
    job: Job
    answers: dict[str, tuple[Measurement, ...]] = field(default_factory=dict)
    outcome: Outcome | None = None
    error: BaseException | None = None
    pipe: tuple[int, int] = field(default_factory=os.pipe)
    thread: threading.Thread | None = None

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.launcher.run(self.job, self._answered)
        except BaseException as error:  # noqa: BLE001  raised again in the conductor's thread
            self.error = error
        finally:
            os.write(self.pipe[1], b".")

    def _answered(self, answer: Answer) -> None:
        self.answers[answer.step] = answer.measurements

    def end(self) -> Outcome:
        """Wait for the process and answer how it ended."""
        assert self.thread is not None
        self.thread.join()
        for descriptor in self.pipe:
            os.close(descriptor)
        if isinstance(self.error, KeyboardInterrupt) and self.launcher.stopped:
            # Stopped before its process was there.
            return Outcome(ending="stopped", code=0, step=-1, arm=-1, tail="")
        if self.error is not None:
            raise self.error
        assert self.outcome is not None
        return self.outcome


def cores_of(launch: int, threads: int, available: Iterable[int] | None = None) -> frozenset[int]:
    """The cores of a launch: as many as threads, others in the next launch, so that no core's own habits
    become evidence. None are named where all are needed, or the system cannot pin."""
    if available is None:
        if not hasattr(os, "sched_getaffinity"):
            return frozenset()
        available = os.sched_getaffinity(0)
    cores = sorted(available)
    if threads >= len(cores):
        return frozenset()
    return frozenset(cores[(launch + place) % len(cores)] for place in range(threads))


def schedule(
    arms: Sequence[str], blocks: int, generator: random.Random
) -> Iterator[tuple[str, tuple[SideName, SideName]]]:
    """Every turn's arm and the order of the sides in it: in each block every arm once, in each two blocks
    either side first once. Raises ValueError for an odd number of blocks."""
    if blocks % 2:
        raise ValueError(f"an odd number of blocks ({blocks}) cannot be balanced")
    first, second = SIDES
    orders = {
        arm: [
            order
            for _ in range(blocks // 2)
            for order in generator.sample([(first, second), (second, first)], 2)
        ]
        for arm in arms
    }
    for block in range(blocks):
        for arm in generator.sample(list(arms), len(arms)):
            yield arm, orders[arm][block]


def sizes(warm: Mapping[str, float], seconds: float) -> tuple[int, int]:
    """Timed calls a turn and an even number of blocks, for about `seconds` of timed calls an arm and side.

    `warm` is how long a call of each arm takes, in seconds.
    """
    calls = max(1, math.ceil(SHORTEST_SAMPLE_SECONDS / max(min(warm.values()), 1e-9)))
    block_seconds = calls * sum(warm.values())
    blocks = count_blocks(block_seconds, seconds * len(warm))
    fewest = FEWEST_BLOCKS if block_seconds < LONG_BLOCK_SECONDS else FEWEST_LONG_BLOCKS
    return calls, max(fewest, blocks + blocks % 2)


class Conductor:
    """Gives one launch's two workers their turns."""

    def __init__(
        self, sides: Mapping[SideName, Side], generator: random.Random, *, turns: str = TURNS
    ) -> None:
        self._sides = sides
        self._turns = turns
        self._generator = generator
        self._lines: dict[SideName, Line] = {}

    def launch(self, jobs: Mapping[SideName, Job]) -> Launched:
        """Carry out the same steps on both sides, turn by turn; ends when both workers have ended.

        Both jobs hold the same steps in the same order. A worker that is gone before its end ends the other.
        """
        with tempfile.TemporaryDirectory(prefix="gate-") as folder:
            place = str(Path(folder) / "turns")
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(place)
            listener.listen(len(SIDES))
            workers = {side: self._worker(side, jobs[side], place) for side in SIDES}
            stopped: Iterable[SideName] = SIDES
            try:
                for side in self._drawn():
                    workers[side].start()
                cut = self._conduct(listener, workers, jobs["candidate"].steps)
                stopped = () if cut is None else [side for side in SIDES if side != cut]
            finally:
                listener.close()
                for side in stopped:
                    workers[side].launcher.stop()
                for line in self._lines.values():
                    line.close()
                self._lines.clear()
                outcomes = {side: worker.end() for side, worker in workers.items() if worker.thread}
        answers: Answers = {side: worker.answers for side, worker in workers.items()}
        return Launched(answers=answers, outcomes=outcomes, cut=cut)

    def _drawn(self) -> list[SideName]:
        return self._generator.sample(SIDES, len(SIDES))

    def _worker(self, name: SideName, job: Job, place: str) -> _Worker:
        side = self._sides[name]
        # The sides' names are not equally long, their numbers are: see `bench.gate.sides`.
        told = variables(place, str(SIDES.index(name)), cores_of(job.launch, job.threads))
        placed = replace(
            job,
            target=self._turns,
            environment={**job.environment, **KEEPING_MEMORY, **side.environment, **told},
        )
        return _Worker(side=name, launcher=Launcher(python=side.python, folder=side.folders[0]), job=placed)

    def _conduct(
        self, listener: socket.socket, workers: Mapping[SideName, _Worker], steps: Sequence[Step]
    ) -> SideName | None:
        """The side that was gone first, None where both worked to the end."""
        side = self._connect(listener, workers)
        if side is not None:
            return side
        for step in steps:
            try:
                self._step(step)
            except _Gone as gone:
                return gone.side
        return None

    def _connect(self, listener: socket.socket, workers: Mapping[SideName, _Worker]) -> SideName | None:
        """Wait until both workers have called; the side whose worker ended before, if one did."""
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        ends = {worker.pipe[0]: side for side, worker in workers.items()}
        for descriptor in ends:
            poller.register(descriptor, select.POLLIN)
        while len(self._lines) < len(SIDES):
            ready = [descriptor for descriptor, _ in poller.poll()]
            if listener.fileno() not in ready:
                return ends[ready[0]]
            line = Line(listener.accept()[0])
            self._lines[SIDES[int(line.answer()["side"])]] = line
        return None

    def _step(self, step: Step) -> None:
        warm = self._prepare()
        arms = sorted(set.intersection(*(set(told) for told in warm.values())))
        if arms:
            slowest = {arm: max(told[arm] for told in warm.values()) for arm in arms}
            calls, blocks = sizes(slowest, step.seconds)
            dropped: set[str] = set()
            for arm, order in schedule(arms, blocks, self._generator):
                if arm not in dropped and not self._both(arm, order, calls):
                    dropped.add(arm)
        for side in SIDES:
            self._tell(side, do="end")

    def _prepare(self) -> dict[SideName, dict[str, float]]:
        """Seconds a call of every arm that each side has ready; one side prepares after the other."""
        warm: dict[SideName, dict[str, float]] = {}
        for side in self._drawn():
            self._tell(side, do="prepare")
            warm[side] = self._answer(side)["ready"]
        return warm

    def _both(self, arm: str, order: Iterable[SideName], calls: int) -> bool:
        """A turn on either side; False, and no more turns of this arm, where one fails."""
        for side in order:
            self._tell(side, do="turn", arm=arm, calls=calls)
            if "failed" in self._answer(side):
                for other in SIDES:
                    self._tell(other, do="drop", arm=arm)
                return False
        return True

    def _tell(self, side: SideName, **order: object) -> None:
        with _watched(side):
            self._lines[side].tell(**order)

    def _answer(self, side: SideName) -> dict[str, Any]:
        with _watched(side):
            return self._lines[side].answer()


class _Gone(Exception):  # noqa: N818  it says which worker ended, and is no error of the conductor's
    def __init__(self, side: SideName) -> None:
        super().__init__(side)
        self.side: SideName = side


@contextlib.contextmanager
def _watched(side: SideName) -> Iterator[None]:
    """A cut line becomes the side that it led to."""
    try:
        yield
    except LineCutError as error:
        raise _Gone(side) from error


Conduct = Callable[[Mapping[SideName, Job]], Launched]
