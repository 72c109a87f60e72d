"""Rows of made-up meters with a known answer, for the tests of what reports say of energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from test_reports_comparisons import details, measurement

from bench.schema import Measurement

WINDOWS = (10.0, 10.2, 9.9, 10.1, 10.0)
NOISE = (1.001, 0.999, 1.0, 1.002, 0.998)
RAPL = {"method": "measured", "tool": "RAPL (powercap)"}
MODELLED = {"method": "modelled", "tool": "codecarbon"}


def joules(
    implementation: str,
    values: Sequence[float] = WINDOWS,
    *,
    length: int = 131,
    told: dict[str, str] | None = None,
    **fields: Any,
) -> Measurement:
    """A row of gross joules of a forward pass; `told` goes into its details."""
    known: dict[str, Any] = {
        **RAPL,
        "suite": "energy",
        "metric": "joules",
        "unit": "J",
        "subject": f"layer/forward/{length}",
        "implementation": implementation,
        "role": "reference" if implementation.startswith("softmax@") else "candidate",
        "details": details(length) | (told or {}),
    }
    if fields.get("status", "ok") == "ok":
        known["values"] = tuple(values)
    return measurement(**(known | fields))


def scaled(ratio: float, values: Sequence[float] = WINDOWS) -> tuple[float, ...]:
    return tuple(ratio * value * noise for value, noise in zip(values, NOISE, strict=True))


def pair(ratio: float, **fields: Any) -> list[Measurement]:
    values = scaled(ratio)
    return [joules("softmax@torch", **fields), joules("linear@torch", values, **fields)]


def on_task(implementation: str, call: str, values: Sequence[float] = WINDOWS, **fields: Any) -> Measurement:
    """A row of gross joules on a task: a batch of 8 examples with 40 tokens, or a training on 100 of them."""
    items = {"forward": 8, "training_run": 100}[call]
    told = {"task": "sentiment", "phase": call, "items": str(items), "tokens": str(5 * items)}
    subject = f"sentiment/{call}"
    return joules(implementation, values, suite="task_energy", subject=subject, details=told, **fields)


def answers(implementation: str, right: int, wrong: int, seed: int = 0) -> Measurement:
    return measurement(
        suite="accuracy",
        metric="accuracy",
        unit="fraction",
        subject="sentiment",
        implementation=implementation,
        role="reference" if implementation.startswith("softmax@") else "candidate",
        seed=seed,
        values=(1.0,) * right + (0.0,) * wrong,
    )
