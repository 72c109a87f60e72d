"""A suite without a framework, so that tests of the engine start workers in a blink.

What an arm does is its target's last part: ``steady`` answers, the others misbehave.
"""

import os
import signal
import sys
import time

from bench.measuring import Bench
from bench.schema import Arm, Measurement, Step


def _behave(kind: str) -> float:
    if kind == "raises":
        raise ValueError("as asked")
    if kind == "exits":
        os._exit(7)
    if kind == "hangs":
        time.sleep(600)
    if kind == "segfaults":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "talks":
        for _ in range(200):
            sys.stdout.write("x" * 50_000 + "\n")
            sys.stderr.write("y" * 50_000 + "\n")
    if kind == "allocates":
        held = []
        while True:
            held.append(bytearray(64 << 20))
    return 1.0


def measure(step: Step, bench: Bench) -> list[Measurement]:
    rows = []
    for arm in step.arms:
        value, failed = bench.attempt(step, arm, lambda arm=arm: _behave(arm.target.rpartition(":")[2]))
        rows.append(failed or _row(step, arm, bench, value))
    time.sleep(0.005)
    return rows


def _row(step: Step, arm: Arm, bench: Bench, value: float) -> Measurement:
    return bench.measurement(step, arm, metric="seconds", unit="s", values=[value], tool="stand-in")


def raises_itself(step: Step, bench: Bench) -> list[Measurement]:
    raise RuntimeError("the suite is broken")


def says_nothing(step: Step, bench: Bench) -> list[Measurement]:
    return []
