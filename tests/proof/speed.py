"""What the catalogue promises of speed, measured on this machine: ``python tests/proof/speed.py [PROOF…]``.

    shares     the fused kernel and the sliding window against a matrix product of the same run
    chunked    softmax in blocks against softmax written out
    causal     causal linear and Performer attention against their own forms without causality
    exponents  how time grows from 2,048 to 16,384 tokens where it should grow linearly
    decode     time and state of a token after 1,024 and after 16,384 tokens, where there is a state
    generator  the document's image generator: torch with `sdpa` against Keras's own layers on TensorFlow

All that is compared takes turns in one process. Run it on a quiet machine; it takes about 15 minutes.
Exponents are judged in a process whose allocator keeps what was freed: glibc gives blocks from 32 MiB on
back to the kernel, and 16,384 tokens then pay for fresh pages what 2,048 do not. Those without are printed
first. Promises are printed beside what was seen; exit code 1 where one is broken.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import torch

from bench.interleave import interleave, warm_up
from bench.loading import load
from bench.registry import registry
from bench.schema import Arm, Phase, Step, Workload
from bench.statistics import fit_exponent
from implementations.on_torch import sdpa, sliding_window
from suites.catalog import MEMORY_BATCH, generator, layers
from suites.framework import Framework, open_framework
from suites.workloads import Work, prepare

THREADS, SECONDS, TURNS = 2, 1.5, 7
HEADS, HEAD_WIDTH = 8, 64
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}
Call = Callable[[], object]


def work_of(name: str, workload: Workload, framework: Framework) -> Work:
    """The variant's work, made and called once."""
    row, rows = registry().variants[name], registry().architectures[workload.architecture]
    on = framework.name
    arm = Arm(implementation=f"{name}@{on}", role="candidate", target=row.targets[on], options=row.options)
    step = Step(
        key="proof",
        arms=(arm,),
        workload=workload,
        architecture=rows.targets[on],
        package=rows.packages[on],
    )
    bench: Any = SimpleNamespace(
        framework=framework,
        attention=lambda arm: load(arm.target),
        architecture=lambda step: load(step.architecture),
    )
    return prepare(step, arm, bench)


def layer_call(name: str, phase: Phase, length: int, *, causal: bool) -> Call:
    (workload,) = layers((length,), causal=causal, phases=(phase,))
    return work_of(name, workload, TORCH).call


def times(calls: Mapping[str, Call], seconds: float = SECONDS) -> dict[str, float]:
    """The median time of each, taken in turns."""
    warm = {name: warm_up(call, call_limit=600, patience=seconds / 2) for name, call in calls.items()}
    taken = interleave(calls, warm, seconds=seconds * len(calls), generator=random.Random(0))
    return {name: median(values) for name, values in taken.seconds.items()}


def told(what: str, seen: float, promise: str, kept: bool) -> bool:
    print(f"  {what}: {seen:.2f}, promised {promise}{'' if kept else '  <- broken'}", flush=True)
    return kept


def shares() -> bool:
    """Operations that the kernels need, a second, over those of a matrix product."""
    product, operations = TORCH.matrix_product(1024, "float32")
    kept = True
    for length in (1024, 2048, 4096):
        parts = [torch.randn(1, HEADS, length, HEAD_WIDTH) for _ in range(3)]
        taken = times({"product": product, "kernel": lambda parts=parts: sdpa.attend(*parts)})
        speed = 4 * HEADS * length**2 * HEAD_WIDTH / taken["kernel"]
        share = speed / (operations / taken["product"])
        kept &= told(f"sdpa at {length}, share of the matrix product", share, "0.75", share >= 0.75)
    length, window = 8192, 256
    parts = [torch.randn(1, HEADS, length, HEAD_WIDTH) for _ in range(3)]
    taken = times({"product": product, "kernel": lambda: sliding_window.attend(*parts, window=window)})
    seen = sum(min(length, i + window // 2 + 1) - max(0, i - window // 2) for i in range(length))
    share = 4 * HEADS * seen * HEAD_WIDTH / taken["kernel"] / (operations / taken["product"])
    return kept & told("sliding_window at 8192, share of the matrix product", share, "0.5", share >= 0.5)


def chunked() -> bool:
    kept = True
    for length in (4096, 8192):
        for causal in (False, True):
            for phase in ("forward", "train_step"):
                calls = {n: layer_call(n, phase, length, causal=causal) for n in ("softmax", "chunked")}
                taken = times(calls)
                ratio = taken["softmax"] / taken["chunked"]
                what = f"softmax over chunked, {phase} at {length}{', causal' if causal else ''}"
                kept &= told(what, ratio, "2", ratio >= 2)
    return kept


def causal() -> bool:
    kept = True
    for name in ("linear", "performer"):
        for phase in ("forward", "train_step"):
            for length in (1024, 4096, 16384):
                calls = {str(form): layer_call(name, phase, length, causal=form) for form in (False, True)}
                taken = times(calls)
                ratio = taken["True"] / taken["False"]
                what = f"{name} causal over not causal, {phase} at {length}"
                kept &= told(what, ratio, "at most 1.3", ratio <= 1.3)
    return kept


def exponents() -> bool:
    """Under this process's own allocator, and again in one that keeps its memory, which is what counts."""
    if KEEPING.items() <= os.environ.items():
        return _exponents()
    _exponents()
    print("exponents, with memory kept:", flush=True)
    again = [sys.executable, __file__, "exponents"]
    return subprocess.run(again, env={**os.environ, **KEEPING}, check=False).returncode == 0


def _exponents() -> bool:
    lengths = (2048, 4096, 8192, 16384)
    linear = ("sliding_window", "linear", "performer", "cosformer", "linformer", "nystrom", "hashing")
    recurrent = ("retention", "gated_linear", "gated_delta")
    kept = True
    for name in (*linear, *recurrent):
        for form in (False, True):
            row = registry().variants[name]
            if (form and not row.causal) or (not form and row.causal_only):
                continue
            calls = {str(n): layer_call(name, "forward", n, causal=form) for n in lengths}
            slope, _, _ = fit_exponent(list(lengths), list(times(calls, 1.0).values()))
            kept &= told(
                f"{name}{', causal' if form else ''}: exponent of time", slope, "at most 1.1", slope <= 1.1
            )
    return kept


def decode() -> bool:
    kept = True
    for name in ("retention", "gated_linear", "gated_delta", "linear", "performer", "cosformer"):
        works = {}
        for length in (1024, 16384):
            (workload,) = layers((length,), causal=True, phases=("decode",))
            works[str(length)] = work_of(name, workload, TORCH)
        taken = times({length: work.call for length, work in works.items()})
        short, long = (works[length].state_bytes for length in ("1024", "16384"))
        ratio = taken["16384"] / taken["1024"]
        what = f"{name}: a token after 16384 over one after 1024 (state {short} and {long} bytes)"
        kept &= told(what, ratio, "1 +- 0.1, and one state", abs(ratio - 1) <= 0.1 and short == long)
    return kept


def of_generator() -> bool:
    """Each framework's calls make one untimed call first: the first after a switch is slower."""
    keras = open_framework("keras", device="cpu", threads=THREADS)
    workload = replace(generator(MEMORY_BATCH), batch=MEMORY_BATCH)
    chosen = {
        "document": work_of("keras-multi-head-attention", workload, keras),
        "keras twin": work_of("softmax", workload, keras),
        "sdpa": work_of("sdpa", workload, TORCH),
    }

    def settled(work: Work, framework: Framework) -> Call:
        return lambda: framework.number(work.call())

    calls = {name: settled(work, TORCH if name == "sdpa" else keras) for name, work in chosen.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    for _ in range(TURNS):
        for name in order.sample(list(calls), len(calls)):
            calls[name]()
            begin = time.perf_counter()
            calls[name]()
            taken[name].append(time.perf_counter() - begin)
    medians = {name: median(values) for name, values in taken.items()}
    product = {}
    for framework in (TORCH, keras):
        call, operations = framework.matrix_product(1024, "float32")
        product[framework.name] = operations / times({"": call})[""] / 1e9
    print(f"  matrix product: torch {product['torch']:.0f} GFLOP/s, keras {product['keras']:.0f} GFLOP/s")
    twin = medians["document"] / medians["keras twin"]
    kept = told("document's model over our Keras twin", twin, "above 1", twin > 1)
    ratio = medians["document"] / medians["sdpa"]
    return kept & told("document's model over torch with sdpa, training step", ratio, "2", ratio >= 2)


PROOFS: dict[str, Callable[[], bool]] = {
    "shares": shares,
    "chunked": chunked,
    "causal": causal,
    "exponents": exponents,
    "decode": decode,
    "generator": of_generator,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", default=list(PROOFS))
    asked = parser.parse_args()
    if unknown := sorted(set(asked.what) - set(PROOFS)):
        parser.error(f"unknown proof {unknown[0]!r}; known: {', '.join(PROOFS)}")
    TORCH: Framework = open_framework("torch", device="cpu", threads=THREADS)
    kept = True
    for what in asked.what:
        print(f"{what}:", flush=True)
        kept &= PROOFS[what]()
    sys.exit(0 if kept else 1)
