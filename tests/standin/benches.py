"""The worker's side of a job of one step, for tests that call a suite's `measure` in this process."""

from pathlib import Path

from bench.measuring import Bench
from bench.schema import Job, Step


def bench_of(
    suite: str, step: Step, *, launch: int = 0, folder: Path | None = None, metric: str = "accuracy"
) -> Bench:
    """A bench for `step` of `suite`, on the framework of its first arm; none where that is a baseline."""
    first = step.arms[0]
    framework = "" if first.role == "baseline" else first.implementation.rpartition("@")[2]
    job = Job(
        id=f"{suite}/made-up",
        run="run",
        suite=suite,
        target=f"suites.{suite}:measure",
        framework=framework,
        launch=launch,
        steps=(step,),
        environment_id="here",
        device="cpu",
        threads=1,
        time_limit=60.0,
        memory_limit=2**34,
        exclusive=False,
        metric=metric,
        unit="fraction",
        opener="suites.framework:open_framework" if framework else "",
        folder=str(folder or ""),
    )
    return Bench(job, lambda step, arm: None, lambda: None)
