"""Worker processes: started fresh, waited for without polling, stopped when they overstay.

The parent sleeps in `poll` until an answer, the end of the worker or the time limit wakes it: a
parent that looks again and again takes a core from the measurement. What the worker prints is
drained by a thread that sleeps the same way and keeps the end only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import IO, Literal

from bench import wire
from bench.schema import Job, Step
from bench.worker import AT_WORK, STARTING, Answer

TAIL_BYTES = 4096
Ending = Literal["done", "exited", "killed", "timed_out", "stopped", "lost", "moved", "no_room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a worker ended. `step` and `arm` index the job's step and its arm that was at work, -1 for
    none; `tail` is the end of what the worker printed.

    Where jobs are carried to other machines: `lost` is a worker whose machine is gone, and says nothing of
    the job; `moved` is a job that was not started because its place is gone, `no_room` one that no machine
    is large enough for. `tail` then says which machine.
    """

    ending: Ending
    code: int
    step: int
    arm: int
    tail: str

    @property
    def reason(self) -> str:
        """One sentence for a person, and the end of what the worker printed."""
        return f"{self.sentence}\n{self.tail}".strip()

    @property
    def sentence(self) -> str:
        if self.ending in ("lost", "moved"):
            return "the machine that worked on it was lost, and another one after it"
        if self.ending == "no_room":
            return "no machine of the cluster can hold it"
        if self.ending == "timed_out":
            return "no answer within the time limit; the worker was stopped"
        if self.ending == "killed":
            name = signal.Signals(-self.code).name
            hint = " (most often: the machine ran out of memory)" if name == "SIGKILL" else ""
            return f"the worker process was ended by {name}{hint}"
        return f"the worker process exited with code {self.code} before it answered"


class _Tail(threading.Thread):
    """Drains a pipe to its end and keeps the last few kilobytes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._kept = b""
        self.start()

    def run(self) -> None:
        while chunk := os.read(self._pipe.fileno(), 1 << 16):
            self._kept = (self._kept + chunk)[-TAIL_BYTES:]

    def text(self) -> str:
        # A grandchild of the worker's own session may hold the pipe open after the worker is gone.
        self.join(timeout=2)
        if not self.is_alive():
            self._pipe.close()
        return self._kept.decode("utf-8", "replace").strip()


class Launcher:
    """Starts workers and can stop all of them at once, from any thread.

    They are processes of the interpreter `python`, this one's where nothing is said, started in `folder`, and
    inherit the environment variables `inherited`, by default this process's.
    """

    def __init__(
        self, *, python: str = "", folder: str | None = None, inherited: Mapping[str, str] | None = None
    ) -> None:
        self._python = python or sys.executable
        self._folder = folder
        self._inherited = inherited
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._guard = threading.Lock()
        self.stopped = False

    def stop(self) -> None:
        """Kill every worker; their `run` calls answer `stopped`."""
        with self._guard:
            self.stopped = True
            running = list(self._running.values())
        for process in running:
            _kill(process)

    def run(self, job: Job, on_answer: Callable[[Answer], None]) -> Outcome:
        """Carry out `job` in a fresh process and hand over each step's answer as it comes.

        Returns when the worker is gone, whatever made it go. What `on_answer` raises passes through
        after the worker has been stopped.
        """
        with tempfile.TemporaryFile() as at_work:
            at_work.write(AT_WORK.pack(*STARTING))
            at_work.flush()
            process, answers = self._start(job, at_work.fileno())
            try:
                assert process.stdout is not None
                tail = _Tail(process.stdout)
                ending: Ending = _receive(process, answers, job, on_answer)
            finally:
                _kill(process)
                code = process.wait()
                os.close(answers)
                with self._guard:
                    self._running.pop(process.pid, None)
            step, arm = AT_WORK.unpack(os.pread(at_work.fileno(), AT_WORK.size, 0))
            if self.stopped:
                ending = "stopped"
            elif ending == "exited" and code == 0:
                ending = "done"
            elif ending == "exited" and code < 0:
                ending = "killed"
            return Outcome(ending=ending, code=code, step=step, arm=arm, tail=tail.text())

    def _start(self, job: Job, at_work: int) -> tuple[subprocess.Popen[bytes], int]:
        reading, writing = os.pipe()
        try:
            with self._guard:
                if self.stopped:
                    raise KeyboardInterrupt
                process = subprocess.Popen(
                    [self._python, "-P", "-m", "bench.worker"],
                    cwd=self._folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=_environment(self._inherited, job, writing, at_work),
                    pass_fds=(writing, at_work),
                    start_new_session=True,
                )
                self._running[process.pid] = process
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(wire.encode(job))
        return process, reading


def _environment(
    inherited: Mapping[str, str] | None, job: Job, answers: int, at_work: int
) -> Mapping[str, str]:
    """The worker's environment: threads and allocator are settled before any library loads."""
    threads = {
        name: str(job.threads)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    }
    inherited = os.environ if inherited is None else inherited
    ours = {
        "ATTNBENCH_ANSWERS": str(answers),
        "ATTNBENCH_AT_WORK": str(at_work),
        "ATTNBENCH_PARENT": str(os.getpid()),
        "KERAS_BACKEND": inherited.get("KERAS_BACKEND", "tensorflow"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONFAULTHANDLER": "1",
    }
    return {**inherited, **threads, **ours, **job.environment}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the worker and all it started: it leads a process group of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _receive(
    process: subprocess.Popen[bytes], answers: int, job: Job, on_answer: Callable[[Answer], None]
) -> Literal["exited", "timed_out"]:
    """Wait for answers until the worker closes its end (`exited`) or is silent for too long."""
    poller = select.poll()
    poller.register(answers, select.POLLIN | select.POLLHUP)
    deadline = time.monotonic() + job.time_limit
    received = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            return "timed_out"
        chunk = os.read(answers, 1 << 20)
        if not chunk:
            return _reap(process, deadline)
        received += chunk
        *lines, received = received.split(b"\n")
        for line in lines:
            if line:
                on_answer(wire.decode(line, Answer))
            deadline = time.monotonic() + job.time_limit


def _reap(process: subprocess.Popen[bytes], deadline: float) -> Literal["exited", "timed_out"]:
    try:
        process.wait(max(deadline - time.monotonic(), 1.0))
    except subprocess.TimeoutExpired:
        return "timed_out"
    return "exited"


def without(job: Job, done: set[tuple[str, str, str]]) -> Job:
    """The job less the arms that are already measured, named as (step key, implementation, role)."""
    steps: list[Step] = []
    for step in job.steps:
        arms = tuple(arm for arm in step.arms if (step.key, arm.implementation, arm.role) not in done)
        if arms:
            steps.append(replace(step, arms=arms))
    return replace(job, steps=tuple(steps))
