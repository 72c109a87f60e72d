"""Rows of made-up meters, for `make_run`: a counter, sampled power, a constant a thread, and what went wrong.

NOT results: every number here is invented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from made_up_trainings import Fields, chance

WINDOWS = 5
IDLE_WATTS = 6.0
# Watts while a call runs, and how many times softmax's time at 1,024 tokens a call takes.
LOADS = {"softmax": (41.0, 1.0), "sdpa": (46.0, 0.4), "linear": (38.0, 0.7), "performer": (44.0, 0.9)}
COUNTED = {
    "method": "measured",
    "tool": "RAPL (powercap)",
    "details": {
        "components": "processor: measured, RAPL (powercap); accelerator: none",
        "method_low": "0.95",
        "method_high": "1.05",
        "method_basis": "made up: a counter held against a wall meter",
        "fewest_ticks": "5021",
    },
}
MODELLED = {
    "method": "modelled",
    "tool": "codecarbon (constant)",
    "details": {
        "components": "processor: modelled, codecarbon; accelerator: none",
        "method_low": "unknown",
        "method_high": "unknown",
        "method_basis": "made up: nobody held the constant against a meter",
        "model": "4 W a thread, constant",
        "fewest_ticks": "0",
    },
}


def energy_rows(run: Any) -> Iterator[Fields]:
    """Forward passes at the ends on torch with a counter and on keras without; a task's own energy."""
    for length in (min(run.lengths), max(run.lengths)):
        subject = f"layer/forward/{length}"
        work = _work(length)
        yield from _idle("energy", subject, work)
        for variant in LOADS:
            common = _common("energy", subject, f"{variant}@torch", work, COUNTED)
            if variant == "linear" and length == min(run.lengths):
                yield common | _without("below_resolution", "11 steps of the counter in a window, 20 needed")
            elif variant == "performer" and length == max(run.lengths):
                yield common | _without("failed", "the counter package-0 went back")
            else:
                yield from _metered(common, variant, length / 1024)
        for variant in ("softmax", "linear"):
            common = _common("energy", subject, f"{variant}@keras", work, MODELLED)
            yield from _metered(common, variant, length / 1024, watts=8.0)
    for call, items in (("training_run", 2560), ("forward", 32)):
        subject = f"sentiment/{call}"
        work = {"task": "sentiment", "phase": call, "items": str(items), "tokens": str(64 * items)}
        work |= {"steps": "80", "same_weights": "yes"} if call == "training_run" else {}
        yield from _idle("task_energy", subject, work)
        for variant in LOADS:
            common = _common("task_energy", subject, f"{variant}@torch", work, COUNTED)
            yield from _metered(common, variant, 60.0 if call == "training_run" else 0.5)


def _work(length: int) -> dict[str, str]:
    counts = {"batch": 1, "query_length": length, "key_length": length, "width": 512, "heads": 8}
    work = {"architecture": "layer", "phase": "forward", "dtype": "float32", "causal": "False"}
    return work | {name: str(count) for name, count in counts.items()} | {"tokens": str(length), "items": "1"}


def _common(suite: str, subject: str, name: str, work: Fields, tier: Mapping[str, Any]) -> Fields:
    flagged = "1 of 5" if name == "sdpa@torch" else "0 of 5"
    windows = {"windows": str(WINDOWS), "window_seconds": "5.02", "flagged": flagged}
    return {
        "suite": suite,
        "metric": "joules",
        "unit": "J",
        "subject": subject,
        "implementation": name,
        "role": "reference" if name.startswith("softmax@") else "candidate",
        **tier,
        "details": {**work, **tier["details"], **windows},
    }


def _without(status: str, reason: str) -> Fields:
    return {"status": status, "reason": reason, "values": ()}


def _metered(common: Fields, variant: str, size: float, watts: float = 0.0) -> Iterator[Fields]:
    """Gross, net, processor, memory, time and load of the same windows."""
    load, slowness = LOADS[variant]
    scatter = chance("energy", common["suite"], common["subject"], common["implementation"])
    seconds = [0.1 * size * slowness * (1 + scatter.gauss(0, 0.003)) for _ in range(WINDOWS)]
    joules = [(watts or load) * time * (1 + scatter.gauss(0, 0.003)) for time in seconds]
    net = [energy - IDLE_WATTS * time for energy, time in zip(joules, seconds, strict=True)]
    guessed = {"method": "modelled", "tool": "codecarbon (DIMMs)"}
    busy = [0.01 + scatter.uniform(0, 0.02) for _ in seconds]
    if common["details"]["flagged"].startswith("1"):
        busy[2] = 0.17
    yield common | {"values": tuple(joules)}
    yield common | {"metric": "net_joules", "values": tuple(net)}
    yield common | {"metric": "processor_joules", "values": tuple(joules)}
    yield common | guessed | {"metric": "memory_joules", "values": tuple(20.0 * time for time in seconds)}
    timed = {"method": "measured", "tool": "perf_counter"}
    yield common | timed | {"metric": "window_seconds", "unit": "s", "values": tuple(seconds)}
    yield common | timed | {"metric": "outside_load", "unit": "fraction", "values": tuple(busy)}


def _idle(suite: str, subject: str, work: Fields) -> Iterator[Fields]:
    scatter = chance("idle", suite, subject)
    yield {
        "suite": suite,
        "metric": "idle_watts",
        "unit": "W",
        "subject": subject,
        "implementation": "idle@torch",
        "role": "yardstick",
        "method": "measured",
        "tool": "RAPL (powercap)",
        "values": (IDLE_WATTS + scatter.gauss(0, 0.1), IDLE_WATTS + scatter.gauss(0, 0.1)),
        "details": dict(work),
    }
