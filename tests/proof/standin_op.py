"""The stand-in operation of the proofs: a fused attention call of about half a millisecond.

Arms are copies of it; an arm called ``slower`` burns the share of time that its option says on top.
"""

import random
import time
from collections.abc import Callable

import torch

from bench.interleave import interleave, warm_up
from bench.measuring import Bench, arm_key
from bench.schema import Arm, Measurement, Step

SHAPE = (1, 8, 256, 64)


def _operation(seed: int) -> Callable[[], object]:
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(SHAPE, generator=generator) for _ in range(3))

    def call() -> object:
        with torch.inference_mode():
            return torch.nn.functional.scaled_dot_product_attention(query, key, value)

    return call


def _slowed(call: Callable[[], object], seconds: float) -> Callable[[], object]:
    def slower() -> object:
        answer = call()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        return answer

    return slower


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """Time the step's arms against each other, as the throughput suite does."""
    torch.set_num_threads(bench.job.threads)
    calls = {arm_key(arm): _operation(step.seed) for arm in step.arms}
    warm = {name: warm_up(call, call_limit=10, patience=1) for name, call in calls.items()}
    typical = min(w.seconds for w in warm.values())
    for arm in step.arms:
        share = float(arm.options.get("slower", 0.0))
        if share:
            calls[arm_key(arm)] = _slowed(calls[arm_key(arm)], share * typical)
    timings = interleave(
        calls, warm, seconds=step.seconds, generator=random.Random(step.seed), on_turn=bench.turns(step)
    )
    rows = [_row(step, arm, bench, timings.seconds[arm_key(arm)]) for arm in step.arms]
    harness = Arm(implementation="harness", role="yardstick", target="")
    overhead = bench.measurement(
        step, harness, metric="harness_overhead", unit="fraction", values=[timings.overhead], tool="attnbench"
    )
    return [*rows, overhead]


def _row(step: Step, arm: Arm, bench: Bench, seconds: tuple[float, ...]) -> Measurement:
    return bench.measurement(step, arm, metric="seconds", unit="s", values=seconds, tool="stand-in")
