"""Made-up nightly runs on disk, with planted steps: NOT results, every number is invented."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import wire
from bench.schema import Measurement, Role
from bench.store import Record

BEGIN = datetime(2026, 1, 1, 2, tzinfo=UTC)
MACHINE = {"cpu": "Made-up processor", "cores": 2, "threads": 2, "memory_bytes": 24_000_000_000}


@dataclass(frozen=True, kw_only=True)
class MadeUpNights:
    """`steps` maps (variant, night) to the factor that its time takes from that night on."""

    nights: int = 60
    variants: Sequence[str] = ("linear", "performer")
    subjects: Sequence[str] = ("layer/forward/512", "layer/forward/1024")
    launches: int = 2
    blocks: int = 5
    noise: float = 0.006
    steps: Mapping[tuple[str, int], float] = field(default_factory=dict)
    upgraded: int | None = None
    accuracy: bool = False

    def write(self, folder: Path) -> list[Path]:
        """One run a night; answers their folders."""
        return [self._write_night(folder, night) for night in range(self.nights)]

    def _write_night(self, folder: Path, night: int) -> Path:
        path = folder / f"night-{night:03d}"
        path.mkdir(parents=True)
        at = (BEGIN + timedelta(days=night)).isoformat()
        versions = {"torch": "2.12.0" if self.upgraded is None or night < self.upgraded else "2.13.0"}
        identity = f"made-up-{versions['torch']}"
        environment = {"id": identity, "os": "Made-up Linux", **MACHINE, "versions": versions}
        environment |= {"commit": commit(night), "accelerator": None}
        manifest = {"run": path.name, "started_at": at, "finished_at": at, "profile": "quick", "seed": 0}
        (path / "run.json").write_bytes(wire.pretty({**manifest, "environment": environment}))
        lines = [wire.encode(record) + b"\n" for record in self._records(path.name, night, at, identity)]
        (path / "measurements.jsonl").write_bytes(b"".join(lines))
        return path

    def _records(self, run: str, night: int, at: str, environment: str) -> Iterator[Record]:
        chance = random.Random(night)
        slow = {
            variant: self._factor(variant, night) * (1 + self.noise * chance.gauss(0, 1))
            for variant in self.variants
        }
        for launch in range(self.launches):
            for place, subject in enumerate(self.subjects):
                base = 0.01 * (place + 1) * (1 + 0.15 * chance.random())
                arms: list[tuple[str, Role, float]] = [("softmax@torch", "reference", 1.0)]
                arms += [(f"{variant}@torch", "candidate", 0.5 * slow[variant]) for variant in self.variants]
                rows = []
                for name, role, factor in arms:
                    values = tuple(base * factor * (1 + 0.001 * chance.random()) for _ in range(self.blocks))
                    rows.append(
                        row(
                            run,
                            "throughput",
                            "seconds",
                            "s",
                            name,
                            subject,
                            launch,
                            at,
                            environment,
                            role,
                            values,
                        )
                    )
                yield Record(job=f"throughput-{launch}", step=subject, measurements=tuple(rows))
        if self.accuracy:
            scores = tuple(float(chance.random() < 0.7) for _ in range(200))
            rows = [
                row(run, "accuracy", "accuracy", "fraction", f"{name}@torch", "reviews", 0, at, environment,
                    role, scores)
                for name, role in (("softmax", "reference"), (self.variants[0], "candidate"))
            ]  # fmt: skip
            yield Record(job="accuracy", step="reviews", measurements=tuple(rows))

    def _factor(self, variant: str, night: int) -> float:
        factor = 1.0
        for (name, first), times in self.steps.items():
            factor *= times if name == variant and night >= first else 1.0
        return factor


def commit(night: int) -> str:
    """The made-up commit of a night, as long as git's."""
    return f"{night:04x}" * 10


def row(
    run: str, suite: str, metric: str, unit: str, implementation: str, subject: str, launch: int, at: str,
    environment: str, role: Role, values: tuple[float, ...],
) -> Measurement:  # fmt: skip
    """A measurement with the details that a real one carries."""
    details = {"architecture": "layer", "phase": "forward", "batch": "1", "query_length": "512"}
    details |= {"key_length": "512", "width": "512", "heads": "8", "dtype": "float32", "causal": "False"}
    details |= {"tokens": "512", "items": "1"}
    return Measurement(
        run=run, suite=suite, metric=metric, unit=unit, implementation=implementation, subject=subject,
        seed=0, launch=launch, method="measured", tool="made up", environment_id=environment,
        started_at=at, role=role, values=values, details=details,
    )  # fmt: skip
