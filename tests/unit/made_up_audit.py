"""Runs for the tests of the audit. NOT results: every number here is made up.

One is metered (counters of a processor and an accelerator), one is modelled (a machine without counters:
time multiplied by a constant). ``python tests/unit/made_up_audit.py FOLDER`` writes both.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import wire
from bench.schema import Measurement
from bench.store import Record

LENGTHS = (128, 256, 512, 1024, 2048)
ITEMS, TOKENS, EXAMPLES = 32, 64, 400
# Watts under load; seconds of a training, of a forward batch; score; made-up layer: n and n² seconds.
VARIANTS: dict[str, tuple[float, float, float, float, float, float]] = {
    "softmax": (150.0, 40.0, 0.050, 0.76, 2.0e-6, 8.0e-9),
    "linear": (140.0, 55.0, 0.040, 0.755, 6.0e-6, 0.0),
    "performer": (100.0, 48.0, 0.062, 0.758, 9.0e-6, 0.0),
}
ENVIRONMENT: dict[str, Any] = {
    "id": "made-up-meters",
    "os": "Made-up Linux 1.0",
    "cpu": "Made-up processor",
    "cores": 16,
    "threads": 16,
    "memory_bytes": 64_000_000_000,
    "accelerator": "Made-up accelerator",
    "governor": "performance",
    "container_cpu_limit": None,
    "container_memory_bytes": None,
    "versions": {"python": "3.11.0", "torch": "2.13.0"},
    "commit": "0123456789abcdef",
    "dirty": False,
    "power_source": None,
    "country": None,
    "load_before": 0.1,
    "load_after": 1.2,
}


@dataclass
class MadeUpAudit:
    """What to make up. `scatter` is the relative scatter of a window."""

    metered: bool = True
    name: str = "made-up-metered"
    variants: Mapping[str, tuple[float, float, float, float, float, float]] = field(
        default_factory=lambda: dict(VARIANTS)
    )
    windows: int = 6
    seeds: int = 3
    scatter: float = 0.002
    lengths: tuple[int, ...] = LENGTHS
    failing: str = "sdpa@torch"
    finished: bool = True


def modelled(**fields: Any) -> MadeUpAudit:
    """A virtual machine without counters: 4 W a thread whatever runs."""
    variants = {name: (64.0, *rest) for name, (_, *rest) in VARIANTS.items()}
    return MadeUpAudit(metered=False, name="made-up-modelled", variants=variants, **fields)


def write(folder: Path, run: MadeUpAudit) -> Path:
    """The run as a run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {
        "run": run.name,
        "command": "attnbench run softmax linear performer --suite task_energy --suite energy",
        "profile": "quick",
        "seed": 0,
        "started_at": "2026-01-02T03:04:05+00:00",
        "finished_at": "2026-01-02T05:24:05+00:00" if run.finished else None,
        "environment": ENVIRONMENT
        if run.metered
        else ENVIRONMENT | {"id": "made-up-vm", "accelerator": None},
        "request": {},
        "launches_planned": 1,
        "alpha": 0.01,
        "margin": 0.02,
        "score_alpha": 0.05,
        "score_margins": {"accuracy": 0.01},
    }
    (folder / "run.json").write_bytes(wire.pretty(manifest))
    groups = {"accuracy": _accuracy, "task_energy": _tasks, "energy": _work}
    records = [
        Record(job=name, step=name, measurements=tuple(_row(run, **fields) for fields in make(run)))
        for name, make in groups.items()
    ]
    lines = b"".join(wire.encode(record) + b"\n" for record in records)
    (folder / "measurements.jsonl").write_bytes(lines)
    return folder


def _row(run: MadeUpAudit, **fields: Any) -> Measurement:
    known: dict[str, Any] = {
        "run": run.name,
        "seed": 0,
        "launch": 0,
        "unit": "J",
        "method": "measured",
        "tool": "made up",
        "environment_id": "made-up-meters" if run.metered else "made-up-vm",
        "started_at": "2026-01-02T03:04:05+00:00",
    }
    return Measurement(**(known | fields))


def _chance(*names: object) -> random.Random:
    return random.Random(hashlib.sha256(repr(names).encode()).hexdigest())


def _role(variant: str) -> str:
    return "reference" if variant == "softmax" else "candidate"


def _accuracy(run: MadeUpAudit) -> Iterator[dict[str, Any]]:
    told = {"task": "sentiment", "source": "made-up-data", "grid": "0.001 0.003 0.01"}
    for variant, (_, seconds, _, score, *_) in run.variants.items():
        common = {
            "suite": "accuracy",
            "subject": "sentiment",
            "implementation": f"{variant}@torch",
            "role": _role(variant),
            "details": told,
        }
        for seed in range(run.seeds):
            right = round(EXAMPLES * score) + seed - 1
            values = tuple(float(place < right) for place in range(EXAMPLES))
            yield common | {"metric": "accuracy", "unit": "fraction", "seed": seed, "values": values}
            yield common | {
                "metric": "training_seconds",
                "unit": "s",
                "seed": seed,
                "values": (seconds + seed,),
            }
            yield common | {"metric": "parameters", "unit": "count", "seed": seed, "values": (131_000.0,)}
        yield common | {"metric": "validation", "unit": "score", "values": (0.70, 0.72)}
        yield common | {"metric": "diverged", "unit": "fraction", "values": (1 / 3,)}


def _tasks(run: MadeUpAudit) -> Iterator[dict[str, Any]]:
    for phase, place, items in (("training_run", 1, 2560), ("forward", 2, ITEMS)):
        subject = f"sentiment/{phase}"
        details = {"task": "sentiment", "phase": phase, "items": str(items), "tokens": str(items * TOKENS)}
        if phase == "training_run":
            details |= {"steps": "80", "same_weights": "yes"}
        yield from _idle(run, "task_energy", subject)
        for variant, parts in run.variants.items():
            yield from _metered(run, "task_energy", subject, variant, details, parts[0], parts[place])
    yield {
        "suite": "task_energy",
        "metric": "joules",
        "subject": "sentiment/forward",
        "implementation": run.failing,
        "status": "failed",
        "reason": "the counter package-0 went back while a window ran",
        "details": {"task": "sentiment", "phase": "forward"},
    }


def _work(run: MadeUpAudit) -> Iterator[dict[str, Any]]:
    for length in run.lengths:
        counts = {"batch": 1, "query_length": length, "key_length": length, "width": 512, "heads": 8}
        details = {"architecture": "layer", "phase": "forward", "dtype": "float32", "causal": "False"}
        details |= {name: str(count) for name, count in counts.items()}
        details |= {"tokens": str(length), "items": "1"}
        for variant, parts in run.variants.items():
            seconds = 1e-4 + parts[4] * length + parts[5] * length * length
            yield from _metered(run, "energy", f"layer/forward/{length}", variant, details, parts[0], seconds)


def _idle(run: MadeUpAudit, suite: str, subject: str) -> Iterator[dict[str, Any]]:
    yield {
        "suite": suite,
        "metric": "idle_watts",
        "unit": "W",
        "subject": subject,
        "implementation": "idle@torch",
        "role": "yardstick",
        "values": (38.0, 40.0) if run.metered else (64.0, 64.0),
        **_tier(run),
    }


def _tier(run: MadeUpAudit) -> dict[str, Any]:
    if run.metered:
        return {"method": "measured", "tool": "RAPL (powercap), NVML total energy"}
    return {"method": "modelled", "tool": "codecarbon (constant)"}


def _told(run: MadeUpAudit) -> dict[str, str]:
    common = {"windows": str(run.windows), "window_seconds": "5.03", "flagged": f"1 of {run.windows}"}
    if run.metered:
        return common | {
            "components": "processor: measured, RAPL (powercap); accelerator: measured, NVML total energy",
            "fewest_ticks": "53",
            "calls_per_window": "101",
            "method_low": "0.95",
            "method_high": "1.05",
            "method_basis": "made up: counters held against a wall meter",
        }
    return common | {
        "components": "processor: modelled, codecarbon; accelerator: none",
        "model": "4 W a thread, constant",
        "method_low": "unknown",
        "method_high": "unknown",
        "method_basis": "made up: nobody held the constant against a meter",
    }


def _metered(
    run: MadeUpAudit,
    suite: str,
    subject: str,
    variant: str,
    work: Mapping[str, str],
    watts: float,
    length: float,
) -> Iterator[dict[str, Any]]:
    scatter = _chance(suite, subject, variant)
    seconds = [length * (1 + scatter.gauss(0, run.scatter)) for _ in range(run.windows)]
    joules = [watts * time for time in seconds]
    idle_watts = 39.0 if run.metered else 64.0
    common = {
        "suite": suite,
        "subject": subject,
        "implementation": f"{variant}@torch",
        "role": _role(variant),
        "details": {**work, **_told(run)},
        **_tier(run),
    }
    yield common | {"metric": "joules", "values": tuple(joules)}
    if run.metered:
        net = [energy - idle_watts * time for energy, time in zip(joules, seconds, strict=True)]
        yield common | {"metric": "net_joules", "values": tuple(net)}
        for name, share, tool in (
            ("processor", 0.3, "RAPL (powercap)"),
            ("accelerator", 0.7, "NVML total energy"),
        ):
            values = tuple(share * energy for energy in joules)
            yield common | {"metric": f"{name}_joules", "values": values, "tool": tool}
    else:
        yield common | {"metric": "processor_joules", "values": tuple(joules)}
    yield common | {
        "metric": "memory_joules",
        "values": tuple(20.0 * time for time in seconds),
        "method": "modelled",
        "tool": "codecarbon (DIMMs)",
    }
    timed = common | {"method": "measured", "tool": "perf_counter"}
    yield timed | {"metric": "window_seconds", "unit": "s", "values": tuple(seconds)}
    loads = (0.14, *(0.02 for _ in seconds[1:]))
    yield timed | {"metric": "outside_load", "unit": "fraction", "values": loads}


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) / "metered", MadeUpAudit()))
    print(write(Path(sys.argv[1]) / "modelled", modelled()))
