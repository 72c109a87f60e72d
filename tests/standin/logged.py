"""A suite that writes down where and when it worked, and with which environment; for clusters of nodes.

The log's path is in the job's environment. A step's subject says how long an arm takes, in its last part:
``work/0.5``; ``together/4`` is one that goes on until so many of its name work at once. With a task,
weights are left in the run's folder, and those that were found there are told.
"""

import fcntl
import json
import os
import time
from pathlib import Path

from bench.executors.on_node import FOREIGN, MACHINE
from bench.measuring import Bench
from bench.schema import Arm, Measurement, Step

TOGETHER = "together"
PATIENCE = 60.0


def measure(step: Step, bench: Bench) -> list[Measurement]:
    name, _, number = step.subject.rpartition("/")
    _log(bench, step, "begun", time.time())
    if name == TOGETHER:
        _meet(step, int(number))
    else:
        time.sleep(float(number))
    _log(bench, step, "ended", time.time())
    return [_row(step, arm, bench) for arm in step.arms]


def _meet(step: Step, number: int) -> None:
    """Wait for the others; raises TimeoutError where they do not come while this one is at work."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with open(os.environ["STANDIN_LOG"]) as log:
            fcntl.flock(log, fcntl.LOCK_SH)
            told = [json.loads(line) for line in log]
        if len({line["job"] for line in told if line["step"] == step.key}) >= number:
            return
        time.sleep(0.05)
    raise TimeoutError(f"fewer than {number} were at work within {PATIENCE} s")


def _row(step: Step, arm: Arm, bench: Bench) -> Measurement:
    found = ""
    if step.task is not None:
        folder = Path(bench.job.folder, step.task.name)
        folder.mkdir(parents=True, exist_ok=True)
        found = ";".join(sorted(f"{path.name}={path.read_text()}" for path in folder.iterdir()))
        (folder / f"{bench.job.launch}-{arm.implementation}.json").write_text(f"trained {bench.job.launch}")
    return bench.measurement(
        step, arm, metric="seconds", unit="s", values=[1.0], tool="stand-in", details={"found": found}
    )


def _log(bench: Bench, step: Step, what: str, when: float) -> None:
    line = {
        "job": bench.job.id,
        "step": step.key,
        "exclusive": bench.job.exclusive,
        "machine": os.environ.get(MACHINE),
        "what": what,
        "when": when,
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "foreign": {name: text for name, text in os.environ.items() if name.startswith(FOREIGN)},
    }
    with open(os.environ["STANDIN_LOG"], "a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.write(json.dumps(line) + "\n")
