"""A suite that writes down where and when it worked, and with which environment; for clusters of nodes.

The log's path is in the job's environment. A step's subject says how long an arm takes, in its last part:
``work/0.5``. With a task, weights are left in the run's folder, and those that were found there are told.
"""

import fcntl
import json
import os
import time
from pathlib import Path

from bench.executors.on_node import FOREIGN, MACHINE
from bench.measuring import Bench
from bench.schema import Arm, Measurement, Step


def measure(step: Step, bench: Bench) -> list[Measurement]:
    seconds = float(step.subject.rpartition("/")[2])
    begun = time.time()
    _log(bench, step, "begun", begun)
    time.sleep(seconds)
    _log(bench, step, "ended", time.time())
    return [_row(step, arm, bench) for arm in step.arms]


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
