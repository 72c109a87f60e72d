"""Runs of the stand-in suite, made by hand: ``python engine.py RUN`` carries one on, as `resume` does."""

import sys
from pathlib import Path

from bench.executors.local import Local
from bench.executors.protocol import Executor
from bench.progress import Silent
from bench.run import Runner
from bench.schema import Arm, Job, Plan, Step, Task
from bench.store import Store

SUITE = Path(__file__).with_name("suite.py")
TASK = Task(
    name="digits",
    title="Digits",
    architecture="none",
    target="none:load",
    metric="accuracy",
    width=8,
    heads=1,
    max_length=8,
    batch=1,
    steps=1,
    learning_rates=(0.1,),
)


def make_job(
    name: str,
    steps: dict[str, list[str]],
    *,
    measure: str = "measure",
    time_limit: float = 60,
    launch: int = 0,
) -> Job:
    """A job whose steps map a subject to the behaviours of its arms."""
    return Job(
        id=name,
        run="run",
        suite="standin",
        target=f"{SUITE}:{measure}",
        framework="",
        launch=launch,
        steps=tuple(
            Step(
                key=subject,
                subject=subject,
                arms=tuple(
                    Arm(implementation=f"{kind}{number}@none", role="candidate", target=f"none:{kind}")
                    for number, kind in enumerate(kinds)
                ),
            )
            for subject, kinds in steps.items()
        ),
        environment_id="here",
        device="cpu",
        threads=1,
        time_limit=time_limit,
        memory_limit=2 << 30,
        exclusive=True,
        metric="seconds",
        unit="s",
        stage="stage",
    )


def make_run(path: Path, *jobs: Job) -> Path:
    Store.create(path, {"run": path.name, "profile": "smoke"}, Plan(jobs=jobs)).path.exists()
    return path


def carry_on(path: Path, *, jobs: int = 1, executor: Executor | None = None) -> None:
    with Store(path) as store:
        Runner(store, executor or Local(), Silent(), lambda: None, jobs).run()


if __name__ == "__main__":
    carry_on(Path(sys.argv[1]))
