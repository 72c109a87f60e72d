"""What the engine claims, measured on this machine: ``tox run -e proof [-- alarms|sensitivity|memory]``.

Each proof prints its figure beside the promise and ends with exit code 1 where the promise is broken.
Run it on a quiet machine; alarms take about 20 minutes, sensitivity about 25, memory one.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench.launch import Launcher
from bench.schema import Arm, Job, Measurement, Step, Verdict
from bench.statistics import decision_level, judge, look_schedule, p_value, paired_log_ratio
from bench.worker import Answer
from suites import catalog

OPERATION = Path(__file__).with_name("standin_op.py")
sys.path.append(str(Path(__file__).parent))
from known_allocations import KERNELS, PATTERNS  # noqa: E402  it lies beside this script

MEMORY = Path(__file__).with_name("known_allocations.py")
LAUNCHES, ALPHA, MARGIN = 8, 0.01, 0.01
ALARM_GROUP, SENSITIVITY_GROUP = 60, 20


def job(name: str, launch: int, steps: tuple[Step, ...], target: str) -> Job:
    return Job(
        id=name,
        run="proof",
        suite="proof",
        target=target,
        framework="",
        launch=launch,
        steps=steps,
        environment_id="",
        device="cpu",
        threads=2,
        time_limit=120,
        memory_limit=8 << 30,
        exclusive=True,
        metric="seconds",
        unit="s",
    )


def pair(number: int, launch: int, *, slower: float, seconds: float) -> Step:
    reference = Arm(implementation="operation", role="reference", target="")
    candidate = Arm(implementation="operation", role="candidate", target="", options={"slower": slower})
    name = f"pair {number}"
    return Step(
        key=name, subject=name, arms=(reference, candidate), seed=1000 * launch + number, seconds=seconds
    )


def measured(work: Job) -> list[Measurement]:
    rows: list[Measurement] = []

    def keep(answer: Answer) -> None:
        rows.extend(answer.measurements)

    outcome = Launcher().run(work, keep)
    if outcome.ending != "done":
        sys.exit(f"the worker failed: {outcome.reason}")
    return rows


def one_launch(numbers: list[int], launch: int, *, slower: float, seconds: float) -> dict[int, float]:
    """The log ratio of each pair in one fresh process."""
    steps = tuple(pair(number, launch, slower=slower, seconds=seconds) for number in numbers)
    rows = measured(job(f"launch {launch}", launch, steps, f"{OPERATION}:measure"))
    values = {(m.subject, m.role): m.values for m in rows if m.metric == "seconds"}
    OVERHEADS.extend(m.values[0] for m in rows if m.metric == "harness_overhead")
    return {
        n: paired_log_ratio(values[f"pair {n}", "reference"], values[f"pair {n}", "candidate"])
        for n in numbers
    }


OVERHEADS: list[float] = []


def settle(
    numbers: list[int], *, slower: float, seconds: float, early: bool
) -> dict[int, tuple[Verdict, list[float]]]:
    """Each pair's verdict after its launches; with `early`, at the first scheduled look that decides."""
    ratios: dict[int, list[float]] = {number: [] for number in numbers}
    settled: dict[int, tuple[Verdict, list[float]]] = {}
    for launch in range(1, LAUNCHES + 1):
        waiting = [number for number in numbers if number not in settled]
        for number, ratio in (
            one_launch(waiting, launch, slower=slower, seconds=seconds).items() if waiting else ()
        ):
            ratios[number].append(ratio)
        if launch not in look_schedule(LAUNCHES) or (not early and launch < LAUNCHES):
            continue
        for number in waiting:
            level = decision_level(launch, LAUNCHES, ALPHA)
            verdict = judge(ratios[number], level=level, margin=MARGIN)
            if verdict.word != "undecided" or launch == LAUNCHES:
                settled[number] = verdict, ratios[number]
    return settled


def alarms(count: int, seconds: float) -> bool:
    """A against A: how often a fixed test over 8 launches, and the engine's early stopping, cry wolf."""
    fixed = stopped = 0
    scatter: list[float] = []
    for start in range(0, count, ALARM_GROUP):
        numbers = list(range(start, min(start + ALARM_GROUP, count)))
        for _, ratios in settle(numbers, slower=0.0, seconds=seconds, early=False).values():
            fixed += p_value(ratios) < ALPHA
            stopped += any(
                p_value(ratios[:look]) < 1 - decision_level(look, LAUNCHES, ALPHA)
                for look in look_schedule(LAUNCHES)
            )
            scatter.extend(ratios)
        print(f"  {numbers[-1] + 1} of {count}: {fixed} fixed, {stopped} with looks", flush=True)
    print(f"false alarms, one test after {LAUNCHES} launches: {fixed} of {count}; promised 1%")
    print(f"false alarms, looks after {look_schedule(LAUNCHES)}: {stopped} of {count}; promised 1%")
    print(f"median scatter of a launch's log ratio: {median(map(abs, scatter)) / 0.6745:.3%}")
    return max(fixed, stopped) <= ALPHA * count


def sensitivity(count: int, seconds: float) -> bool:
    """A 2% slowdown within 10 s of measuring: how often it is called worse, and after how much time."""
    found, spent, started = 0, [], time.monotonic()
    for start in range(0, count, SENSITIVITY_GROUP):
        numbers = list(range(start, min(start + SENSITIVITY_GROUP, count)))
        for verdict, ratios in settle(numbers, slower=0.02, seconds=seconds, early=True).values():
            found += verdict.word == "worse"
            spent.append(len(ratios) * seconds)
        print(f"  {numbers[-1] + 1} of {count}: {found} found", flush=True)
    print(f"2% slowdown called worse: {found} of {count}; promised 95%")
    print(f"measuring time a try: median {median(spent):.1f} s, most {max(spent):.1f} s; promised 10 s")
    print(f"({time.monotonic() - started:.0f} s in all)")
    return found >= 0.95 * count and max(spent) <= 10


def harness() -> bool:
    """Time of the loop beyond the timed calls, over every step that the other proofs measured."""
    print(f"harness cost: median {median(OVERHEADS):.3%}, most {max(OVERHEADS):.3%}; promised 1%")
    return median(OVERHEADS) <= 0.01


def peak_of(name: str) -> float:
    """Bytes that the memory suite's method reports for a pattern or kernel, in a fresh process."""
    arm = Arm(implementation=name, role="candidate", target="")
    step = Step(key=name, subject=name, arms=(arm,))
    work = replace(job(name, 0, (step,), f"{MEMORY}:measure"), environment=dict(catalog.MEMORY.environment))
    (row,) = measured(work)
    return row.values[0]


def memory() -> bool:
    """Known allocation patterns, and the kernels of softmax and sdpa against each other."""
    good = True
    for name, truth in PATTERNS.items():
        error = peak_of(name) / truth - 1
        print(f"  {name}: {error:+.1%} of {truth / 2**20:.0f} MiB; promised within 5%")
        good &= abs(error) <= 0.05
    written_out, fused = (peak_of(name) for name in KERNELS)
    contrast = written_out / fused
    print(f"  softmax {written_out / 1e6:.1f} MB, sdpa {fused / 1e6:.1f} MB: {contrast:.1f}x; promised 25x")
    return good and contrast >= 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["memory", "alarms", "sensitivity"])
    parser.add_argument("--comparisons", type=int, default=300)
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--alarm-seconds", type=float, default=0.3, help="a pair and launch")
    parser.add_argument("--seconds", type=float, default=1.2, help="a pair and launch, in sensitivity")
    asked = parser.parse_args()
    kept = True
    for what in asked.what:
        print(f"{what}:", flush=True)
        if what == "memory":
            kept &= memory()
        elif what == "alarms":
            kept &= alarms(asked.comparisons, asked.alarm_seconds) & harness()
        elif what == "sensitivity":
            kept &= sensitivity(asked.tries, asked.seconds)
        else:
            parser.error(f"unknown proof {what!r}; known: memory, alarms, sensitivity")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
