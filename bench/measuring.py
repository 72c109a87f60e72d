"""What a suite is handed inside a worker: the loaded arms, and rows that know where they belong."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from bench.interleave import TooSlowError
from bench.limits import limit_reached
from bench.loading import LoadError, load
from bench.schema import Arm, Job, Measurement, Method, Status, Step, Task

Result = TypeVar("Result")

OUT_OF_MEMORY_SIGNS = (
    "can't allocate memory",
    "out of memory",
    "bad_alloc",
    "resource_exhausted",
    "oom when",
)


class Finding(Exception):  # noqa: N818  it is a result, not an error in the code that raises it
    """Something that a suite found out, in words that need neither a type nor a line of code beside them."""


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe(step: Step) -> dict[str, str]:
    """What a step's rows carry about its work, as text."""
    if step.workload is None:
        return _describe_task(step.task) if step.task else {}
    workload = step.workload
    fields = (
        "architecture",
        "phase",
        "batch",
        "query_length",
        "key_length",
        "width",
        "heads",
        "dtype",
        "causal",
    )
    told = {name: str(getattr(workload, name)) for name in fields}
    tokens = workload.batch * (workload.query_length - int(workload.settings.get("prompt", 0)))
    return {**told, "tokens": str(tokens), "items": str(workload.batch)}


def _describe_task(task: Task) -> dict[str, str]:
    told = {"task": task.name}
    return told | {"settings": task.changed} if task.changed else told


def row(
    job: Job,
    step: Step,
    arm: Arm,
    *,
    metric: str,
    unit: str,
    tool: str,
    values: Sequence[float] = (),
    method: Method = "measured",
    status: Status = "ok",
    reason: str = "",
    warmups: int = 0,
    details: dict[str, str] | None = None,
) -> Measurement:
    """A measurement of `arm` in `step` of `job`."""
    return Measurement(
        run=job.run,
        suite=job.suite,
        metric=metric,
        unit=unit,
        implementation=arm.implementation,
        subject=step.subject,
        seed=step.seed,
        launch=job.launch,
        method=method,
        tool=tool,
        environment_id=job.environment_id,
        started_at=now(),
        status=status,
        reason=reason,
        role=arm.role,
        warmups=warmups,
        values=tuple(values),
        details={**describe(step), **(details or {})},
    )


def failure(
    job: Job, step: Step, arm: Arm, reason: str, *, cause: str = "error", status: Status = "failed"
) -> Measurement:
    """The row of an arm that could not be measured; `cause` is error, memory, time, crash or load."""
    details = {"cause": cause, **({"bars": "yes"} if job.bars else {})}
    return row(
        job,
        step,
        arm,
        metric=job.metric,
        unit=job.unit,
        tool="attnbench",
        status=status,
        reason=reason,
        details=details,
    )


def explain(error: BaseException) -> tuple[str, str, Status]:
    """Reason, cause and status of what a target's code raised."""
    text = f"{type(error).__name__}: {error}".strip().removesuffix(":")
    if isinstance(error, LoadError):
        return str(error), "load", "failed"
    if isinstance(error, Finding):
        return str(error), "finding", "failed"
    if isinstance(error, TooSlowError):
        return str(error), "time", "failed"
    if isinstance(error, NotImplementedError):
        return str(error) or "the implementation says NotImplementedError", "error", "unsupported"
    if isinstance(error, MemoryError) or any(sign in text.lower() for sign in OUT_OF_MEMORY_SIGNS):
        return f"out of memory: {text}", "memory", "failed"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (line {frames[-1].lineno} of {frames[-1].filename.rsplit('/', 1)[-1]})" if frames else ""
    return text[:2000] + where, "error", "failed"


def arm_key(arm: Arm) -> str:
    """An arm's name within its step: the reference and its control copy differ in role only."""
    return f"{arm.implementation} {arm.role}"


class Bench:
    """The worker's side of a job: what `suites` measure with."""

    def __init__(self, job: Job, tell: Callable[[int, int], None], alive: Callable[[], None]) -> None:
        self.job = job
        self._tell = tell
        self.alive = alive
        self._step = 0
        self._arm: Arm | None = None
        self._failed: list[Measurement] = []

    def start(self, index: int) -> None:
        """Step number `index` begins."""
        self._step = index
        self._tell(index, -1)

    def working_on(self, step: Step, arm: Arm | None) -> None:
        """From here on a crash of the process is laid at this arm's door; None: at nobody's."""
        self._arm = arm
        self._tell(self._step, -1 if arm is None else step.arms.index(arm))

    def turns(self, step: Step) -> Callable[[str], None]:
        """`working_on` for a timing loop, told an arm by its `arm_key`; under a microsecond a turn."""
        numbered = {arm_key(arm): (number, arm) for number, arm in enumerate(step.arms)}

        def turn(key: str) -> None:
            number, self._arm = numbered[key]
            self._tell(self._step, number)

        return turn

    @functools.cached_property
    def framework(self) -> Any:
        """The suites' part for the job's framework, opened once; None for jobs without one."""
        if not self.job.opener:
            return None
        open_framework: Any = load(self.job.opener)
        return open_framework(self.job.framework, device=self.job.device, threads=self.job.threads)

    def attention(self, arm: Arm) -> Any:
        """The class or kernel that `arm` names."""
        return load(arm.target)

    def architecture(self, step: Step) -> Any:
        """The callable that builds the step's model."""
        return load(step.architecture)

    def measurement(self, step: Step, arm: Arm, **fields: Any) -> Measurement:
        """A row of this job, see `row`."""
        return row(self.job, step, arm, **fields)

    def beyond(self, step: Step, arm: Arm) -> Measurement | None:
        """The row of an arm that ended by memory or time on shorter work in this process; None otherwise."""
        for failed in self._failed:
            if failed.implementation == arm.implementation and (limit := limit_reached(failed, step)):
                return failure(self.job, step, arm, limit, cause="beyond")
        return None

    def attempt(
        self, step: Step, arm: Arm, call: Callable[[], Result]
    ) -> tuple[Result | None, Measurement | None]:
        """The call's result, or the row that says why there is none: of `arm`, or of the arm that
        `turns` named last.

        Its time limit begins here. A target's code may raise anything; here, and only here, that
        becomes a row.
        """
        self.working_on(step, arm)
        self.alive()
        try:
            return call(), None
        except Exception as error:  # noqa: BLE001  see above
            traceback.print_exc()
            reason, cause, status = explain(error)
            failed = failure(self.job, step, self._arm or arm, reason, cause=cause, status=status)
            self._failed.append(failed)
            return None, failed
        finally:
            self.working_on(step, None)
