"""Allocation patterns whose true peak is known, for the memory suite's method."""

from collections.abc import Callable

import numpy as np

from bench.measuring import Bench
from bench.schema import Measurement, Step
from suites.memory import peak_over_baseline

MIB = 1 << 20


def _block(size: int) -> np.ndarray:
    return np.ones(size, np.uint8)


def one_block() -> object:
    return _block(64 * MIB)


def two_that_overlap() -> object:
    first = _block(40 * MIB)
    second = _block(24 * MIB)
    del first
    return second


def two_in_turn() -> object:
    first = _block(48 * MIB)
    del first
    return _block(32 * MIB)


def many_small() -> object:
    return [_block(128 * 1024) for _ in range(256)]


def a_spike_before_the_answer() -> object:
    pieces = [_block(8 * MIB) for _ in range(12)]
    return sum(int(piece[0]) for piece in pieces)


CALLS: dict[str, tuple[Callable[[], object], int]] = {
    "one block": (one_block, 64 * MIB),
    "two that overlap": (two_that_overlap, 64 * MIB),
    "two in turn": (two_in_turn, 48 * MIB),
    "many small": (many_small, 32 * MIB),
    "a spike before the answer": (a_spike_before_the_answer, 96 * MIB),
}
PATTERNS = {name: truth for name, (_, truth) in CALLS.items()}
KERNELS = ("softmax", "sdpa")


def kernel(name: str) -> Callable[[], object]:
    """One forward call of a kernel at length 1,024 with 8 heads of 64, its inputs made beforehand."""
    import importlib

    import torch

    attend = importlib.import_module(f"implementations.on_torch.{name}").attend
    query, key, value = (torch.randn(1, 8, 1024, 64) for _ in range(3))

    def call() -> object:
        with torch.inference_mode():
            return attend(query, key, value)

    return call


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """The pattern's peak, after a throw-away call, as the memory suite takes it."""
    (arm,) = step.arms
    call = kernel(step.subject) if step.subject in KERNELS else CALLS[step.subject][0]
    call()
    peak = peak_over_baseline(call)
    return [bench.measurement(step, arm, metric="peak_bytes", unit="B", values=[peak], tool="VmHWM - VmRSS")]
