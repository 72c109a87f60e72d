"""A made-up run, as input for the tests of the reports. NOT a result: every number here is invented.

Run it as ``python tests/golden/make_run.py FOLDER`` to look at a report without measuring anything.
The same arguments give the same files to the byte.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from made_up_attacks import attack_rows
from made_up_energy import energy_rows
from made_up_trainings import chance as _chance
from made_up_trainings import training_rows

from bench import wire
from bench.schema import Measurement
from bench.store import Record

HOSTILE = "<script>alert(1)</script>\"'|`=cmd@torch"
FORMULA = "=HYPERLINK(1)@torch"
ENVIRONMENT = {
    "id": "made-up-machine",
    "os": "Made-up Linux 1.0",
    "cpu": "Made-up processor",
    "cores": 2,
    "threads": 2,
    "memory_bytes": 24_000_000_000,
    "accelerator": None,
    "governor": None,
    "container_cpu_limit": 2.0,
    "container_memory_bytes": None,
    "versions": {"python": "3.11.0", "torch": "2.13.0", "keras": "3.15.1"},
    "commit": "0123456789abcdef",
    "dirty": False,
    "power_source": None,
    "country": None,
    "load_before": 0.1,
    "load_after": 1.2,
}
STDERR = """Traceback (most recent call last):
  File "hostile.py", line 3, in attend
    raise RuntimeError("<script>alert(2)</script> | ``` =1+1")
RuntimeError: <script>alert(2)</script> | ``` =1+1"""

# Seconds and bytes of a call of length n: fixed part, part that grows as n, part that grows as n squared.
COSTS = {
    "softmax@torch": ((2e-4, 1e-5, 8e-8), (1e5, 2e3, 60.0)),
    "sdpa@torch": ((2e-4, 1e-5, 1.3e-8), (1e5, 2.2e3, 0.0)),
    "linear@torch": ((6e-4, 1.8e-5, 0.0), (1e5, 3e3, 0.0)),
    "performer@torch": ((9e-4, 4e-5, 0.0), (1e5, 9e3, 0.0)),
    "same_again@torch": ((2e-4, 1e-5, 8e-8), (1e5, 2e3, 60.0)),
    "softmax@keras": ((9e-4, 1.4e-5, 9e-8), (2e5, 3e3, 70.0)),
    "linear@keras": ((1.5e-3, 2.4e-5, 0.0), (2e5, 4e3, 0.0)),
}
SCORES = {
    "softmax": 0.74,
    "sdpa": 0.741,
    "linear": 0.70,
    "performer": 0.725,
    "same_again": 0.739,
    "uniform": 0.69,
}


@dataclass
class MadeUpRun:
    """What to make up; the defaults are small enough to be read."""

    lengths: Sequence[int] = (128, 522, 1024)
    launches: int = 8
    planned: int = 8
    blocks: int = 5
    examples: int = 40
    seeds: int = 3
    finished: bool = True
    name: str = "made-up"
    environment: dict[str, Any] = field(default_factory=lambda: dict(ENVIRONMENT))
    failing: str = HOSTILE


def write(folder: Path, run: MadeUpRun | None = None) -> Path:
    """The made-up run as a run folder."""
    run = run or MadeUpRun()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_bytes(wire.pretty(_manifest(run)))
    records = list(_records(run))
    (folder / "measurements.jsonl").write_bytes(b"".join(wire.encode(record) + b"\n" for record in records))
    return folder


def _manifest(run: MadeUpRun) -> dict[str, Any]:
    return {
        "run": run.name,
        "command": "attnbench compare sdpa linear --profile quick",
        "profile": "quick",
        "seed": 0,
        "started_at": "2026-01-02T03:04:05+00:00",
        "finished_at": "2026-01-02T03:24:05+00:00" if run.finished else None,
        "environment": run.environment,
        "request": {},
        "launches_planned": run.planned,
        "alpha": 0.01,
        "margin": 0.02,
        "score_margins": {"accuracy": 0.01, "psnr": 0.25, "bits_per_byte": 0.01, "robust_accuracy": 0.02},
    }


def _records(run: MadeUpRun) -> Iterator[Record]:
    groups = {"certificate": _certificates, "throughput": _timings, "memory": _memory}
    groups |= {"crossing": _crossing, "accuracy": _accuracy, "failures": _failures}
    for name, make in groups.items():
        yield Record(job=name, step=name, measurements=tuple(make(run)))
    for name, rows in {"training": training_rows, "attacks": attack_rows}.items():
        made = tuple(_measurement(run, **fields) for fields in rows(run, SCORES))
        yield Record(job=name, step=name, measurements=made)
    metered = tuple(_measurement(run, **fields) for fields in energy_rows(run))
    yield Record(job="energy", step="energy", measurements=metered)


def _measurement(run: MadeUpRun, **fields: Any) -> Measurement:
    known: dict[str, Any] = {
        "run": run.name,
        "unit": "s",
        "metric": "seconds",
        "seed": 0,
        "launch": 0,
        "method": "measured",
        "tool": "made up",
        "environment_id": run.environment["id"],
        "started_at": "2026-01-02T03:04:05+00:00",
    }
    return Measurement(**(known | fields))


def _details(phase: str, length: int) -> dict[str, str]:
    counts = {"batch": 1, "query_length": length, "key_length": length, "width": 512, "heads": 8}
    work = {"architecture": "layer", "phase": phase, "dtype": "float32", "causal": "False"}
    return work | {name: str(count) for name, count in counts.items()} | {"tokens": str(length), "items": "1"}


def _role(implementation: str) -> str:
    return "reference" if implementation.startswith("softmax@") else "candidate"


def _cost(parts: tuple[float, float, float], length: int) -> float:
    return parts[0] + parts[1] * length + parts[2] * length * length


def _certificates(run: MadeUpRun) -> Iterator[Measurement]:
    for implementation in COSTS:
        for name in ("shape", "finite", "causality"):
            fields: dict[str, Any] = {"values": (1.0,)}
            if (implementation, name) == ("performer@torch", "causality"):
                fields = {
                    "status": "failed",
                    "reason": "token 5 changed when token 7 did: it sees the future",
                }
            yield _measurement(
                run,
                suite="certificate",
                metric=name,
                unit="holds",
                implementation=implementation,
                subject="layer",
                role=_role(implementation),
                **fields,
            )


def _timings(run: MadeUpRun) -> Iterator[Measurement]:
    for launch in range(run.launches):
        for framework in ("torch", "keras"):
            yield _measurement(
                run,
                suite="throughput",
                metric="gemm_flops",
                unit="FLOP/s",
                role="yardstick",
                subject="gemm",
                implementation=f"matrix_product@{framework}",
                launch=launch,
                values=(1.5e11,),
            )
            yield _measurement(
                run,
                suite="throughput",
                metric="harness_overhead",
                unit="fraction",
                role="yardstick",
                subject="harness",
                implementation=f"harness@{framework}",
                launch=launch,
                values=(0.002 + launch / 1e4,),
            )
        for phase in ("forward", "train_step"):
            for length in run.lengths:
                yield from _step(run, launch, phase, length)


def _step(run: MadeUpRun, launch: int, phase: str, length: int) -> Iterator[Measurement]:
    subject = f"layer/{phase}/{length}"
    more = 3.0 if phase == "train_step" else 1.0
    for implementation, (seconds, _) in COSTS.items():
        roles = (
            (_role(implementation), "control") if implementation.startswith("softmax@") else ("candidate",)
        )
        for role in roles:
            chance = _chance("time", run.name, implementation, role, launch, subject)
            scatter = chance.gauss(0, 0.003)
            base = _cost(seconds, length) * more
            values = tuple(base * (1 + scatter + abs(chance.gauss(0, 0.01))) for _ in range(run.blocks))
            yield _measurement(
                run,
                suite="throughput",
                implementation=implementation,
                role=role,
                subject=subject,
                launch=launch,
                warmups=7,
                values=values,
                details=_details(phase, length),
            )
        if launch == 0:
            yield _measurement(
                run,
                suite="throughput",
                metric="operations",
                unit="count",
                method="modelled",
                subject=subject,
                implementation=implementation,
                role=_role(implementation),
                details=_details(phase, length),
                values=(more * (8.0 * length * 512**2 + 4.0 * length**2 * 512),),
            )


def _memory(run: MadeUpRun) -> Iterator[Measurement]:
    for launch in range(run.launches):
        for length in run.lengths:
            for implementation, (_, parts) in COSTS.items():
                chance = _chance("memory", run.name, implementation, launch, length)
                yield _measurement(
                    run,
                    suite="memory",
                    metric="peak_bytes",
                    unit="B",
                    implementation=implementation,
                    role=_role(implementation),
                    subject=f"layer/forward/{length}",
                    launch=launch,
                    values=(_cost(parts, length) * chance.uniform(1, 1.002),),
                    details=_details("forward", length),
                )


def _crossing(run: MadeUpRun) -> Iterator[Measurement]:
    length = run.lengths[-1]
    for launch in range(run.launches):
        for framework, role in (("torch", "reference"), ("keras", "candidate")):
            name = f"softmax@{framework}"
            chance = _chance("crossing", run.name, name, launch)
            base = _cost(COSTS[name][0], length)
            yield _measurement(
                run,
                suite="crossing",
                implementation=name,
                role=role,
                subject=f"layer/forward/{length} torch-keras",
                launch=launch,
                values=tuple(base * chance.uniform(1, 1.02) for _ in range(run.blocks)),
                details=_details("forward", length),
            )


def _accuracy(run: MadeUpRun) -> Iterator[Measurement]:
    details = {"source": "made-up-data", "version": "0.0.0", "sha256": hashlib.sha256(b"made up").hexdigest()}
    for seed in range(run.seeds):
        for variant, chance_of_right in SCORES.items():
            role = "reference" if variant == "softmax" else "candidate"
            yield from _training(run, (variant, role), seed, chance_of_right, details)
    for name, score in (("tfidf_logistic_regression@sklearn", 0.77), ("majority@sklearn", 0.5)):
        chance = _chance("baseline", name)
        values = tuple(float(chance.random() < score) for _ in range(run.examples))
        yield _measurement(
            run,
            suite="accuracy",
            metric="accuracy",
            unit="fraction",
            subject="sentiment",
            role="baseline",
            implementation=name,
            values=values,
            details=details,
        )


def _training(
    run: MadeUpRun, name: tuple[str, str], seed: int, score: float, details: dict[str, str]
) -> Iterator[Measurement]:
    variant, role = name
    chance = _chance("accuracy", variant, seed)
    right = tuple(float(chance.random() < score) for _ in range(run.examples))
    rows: list[tuple[str, str, str, tuple[float, ...]]] = [
        ("sentiment", "accuracy", "fraction", right),
        ("sentiment", "training_seconds", "s", (20 + 30 * _chance("cost", variant).random() + seed,)),
        ("photographs", "psnr", "dB", tuple(20 + 10 * score + chance.gauss(0, 0.3) for _ in range(7))),
        ("photographs", "ssim", "ssim", tuple(min(1.0, score + chance.gauss(0, 0.02)) for _ in range(7))),
        ("photographs", "training_seconds", "s", (60 + 30 * _chance("cost", variant).random() + seed,)),
    ]
    for subject, metric, unit, values in rows:
        yield _measurement(
            run,
            suite="accuracy",
            metric=metric,
            unit=unit,
            subject=subject,
            role=role,
            seed=seed,
            implementation=f"{variant}@torch",
            values=values,
            details=details,
        )


def _failures(run: MadeUpRun) -> Iterator[Measurement]:
    for phase in ("forward", "train_step"):
        for length in run.lengths:
            yield _measurement(
                run,
                suite="throughput",
                implementation=run.failing,
                subject=f"layer/{phase}/{length}",
                status="failed",
                reason=STDERR,
                details=_details(phase, length),
            )
    yield _measurement(
        run,
        suite="memory",
        metric="peak_bytes",
        unit="B",
        implementation=run.failing,
        status="unsupported",
        subject="layer/forward/128",
        reason="install attnbench[torch]",
        details=_details("forward", 128),
    )


if __name__ == "__main__":
    print(
        write(
            Path(sys.argv[1]), MadeUpRun(lengths=(128, 256, 522, 1024, 2048, 4096), blocks=120, examples=1000)
        )
    )
