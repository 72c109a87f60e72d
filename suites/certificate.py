"""Certificate: what an implementation must show before a figure of it is believed.

Small sizes, all different and prime, so that a swapped axis cannot pass. A property that does not hold
is a failed row that names the smallest difference seen; shape, dtype and finite answers are needed for
any measurement, so their failure keeps the implementation out of every other suite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bench.measuring import Bench
from bench.schema import Arm, Measurement, Step, Workload
from suites.framework import Framework

TOLERANCE = 2e-5
FIRST_CHANGED = 8
METRIC_UNIT = "holds"


class BrokenClaimError(AssertionError):
    """A property does not hold; the message is the counterexample."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The implementation under test as NumPy in, NumPy out."""

    framework: Framework
    attention: Any
    workload: Workload
    layer: Callable[..., np.ndarray]
    causal_layer: Callable[..., np.ndarray] | None

    @property
    def is_kernel(self) -> bool:
        return not isinstance(self.attention, type)

    def tokens(self, seed: int = 1) -> np.ndarray:
        """`[batch, time, width]`, standard normal."""
        shape = (self.workload.batch, self.workload.query_length, self.workload.width)
        return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)

    def kernel(self, *arrays: np.ndarray) -> Any:
        return self.attention(*self.framework.arrays(arrays, "float32"))

    def heads(self, seed: int) -> np.ndarray:
        """`[batch, heads, time, head_width]`, standard normal."""
        w = self.workload
        shape = (w.batch, w.heads, w.query_length, w.width // w.heads)
        return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """One row a property; the first property is that it loads and builds."""
    (arm,) = step.arms
    subject, failed = bench.attempt(step, arm, lambda: _subject(step, arm, bench))
    if failed is not None:
        return [failed]
    assert subject is not None
    rows = [_holds(step, arm, bench, "loads")]
    for name, check, bars in PROPERTIES:
        if not _claimed(name, arm, subject):
            continue
        row = _checked(step, arm, bench, name, partial(check, subject), bars)
        rows.append(row)
        if bars and row.status != "ok":
            break
    return rows


def _claimed(name: str, arm: Arm, subject: Subject) -> bool:
    if name == "causality":
        return "causal" in arm.claims
    if name == "exactness":
        return "exact" in arm.claims and subject.is_kernel
    return True


def _subject(step: Step, arm: Arm, bench: Bench) -> Subject:
    assert step.workload is not None
    framework: Framework = bench.framework
    layer = _runner(step, arm, bench, causal=False)
    return Subject(framework, bench.attention(arm), step.workload, layer, _causal(step, arm, bench))


def _causal(step: Step, arm: Arm, bench: Bench) -> Callable[..., np.ndarray] | None:
    if "causal" not in arm.claims:
        return None
    return _runner(step, arm, bench, causal=True)


def _runner(step: Step, arm: Arm, bench: Bench, *, causal: bool) -> Callable[..., np.ndarray]:
    framework: Framework = bench.framework
    workload = step.workload
    assert workload is not None

    def build() -> Any:
        framework.seed(step.seed)
        return framework.build(
            bench.architecture(step),
            bench.attention(arm),
            dtype=workload.dtype,
            width=workload.width,
            heads=workload.heads,
            causal=causal,
            max_length=workload.key_length,
            options=dict(arm.options),
        )

    # Building is part of the property that needs it: a layer without a causal form says so there.
    model: Any = None if causal else build()

    def run(tokens: np.ndarray, padding: np.ndarray | None = None) -> np.ndarray:
        nonlocal model
        model = build() if model is None else model
        inputs = framework.arrays((tokens,), workload.dtype)
        if padding is not None:
            inputs = (*inputs, None, *framework.arrays((padding,), workload.dtype))
        return framework.output(framework.forward(model, inputs)())

    return run


def _checked(
    step: Step, arm: Arm, bench: Bench, name: str, check: Callable[[], None], bars: bool
) -> Measurement:
    _, failed = bench.attempt(step, arm, check)
    if failed is None:
        return _holds(step, arm, bench, name)
    details = {key: value for key, value in failed.details.items() if key != "bars" or bars}
    return replace(failed, metric=name, unit=METRIC_UNIT, details=details)


def _holds(step: Step, arm: Arm, bench: Bench, name: str) -> Measurement:
    return bench.measurement(
        step, arm, metric=name, unit=METRIC_UNIT, values=[1.0], tool=f"attnbench, {bench.framework.tool}"
    )


def _same(one: np.ndarray, other: np.ndarray, what: str) -> None:
    difference = float(np.max(np.abs(one - other), initial=0.0))
    allowed = TOLERANCE * max(1.0, float(np.max(np.abs(one), initial=0.0)))
    if not difference <= allowed:
        raise BrokenClaimError(
            f"{what}: outputs differ by {difference:.3g}, at most {allowed:.1g} is allowed"
        )


def _expect_shape(answer: Any, expected: tuple[int, ...], what: str) -> None:
    shape = tuple(getattr(answer, "shape", ()))
    if shape != expected:
        raise BrokenClaimError(f"{what} must have shape {list(expected)}, got {list(shape)}")


def shape(subject: Subject) -> None:
    """The kernel answers `[batch, heads, time, head_width]`, the layer `[batch, time, width]`."""
    if subject.is_kernel:
        query = subject.heads(1)
        _expect_shape(
            subject.kernel(query, subject.heads(2), subject.heads(3)), query.shape, "the kernel's output"
        )
    tokens = subject.tokens()
    _expect_shape(subject.layer(tokens), tokens.shape, "the layer's output")


def dtype(subject: Subject) -> None:
    """float32 in, float32 out."""
    if not subject.is_kernel:
        return
    answer = subject.kernel(*(subject.heads(seed) for seed in (1, 2, 3)))
    if "float32" not in str(answer.dtype):
        raise BrokenClaimError(f"the kernel's output must be float32 as its input, got {answer.dtype}")


def finite(subject: Subject) -> None:
    """No NaN or infinity on ordinary input."""
    answer = subject.layer(subject.tokens())
    if not np.isfinite(answer).all():
        raise BrokenClaimError(
            f"{np.mean(~np.isfinite(answer)):.0%} of the output is NaN or infinite on standard normal input"
        )


def determinism(subject: Subject) -> None:
    """The same input twice gives the same output."""
    tokens = subject.tokens()
    _same(subject.layer(tokens), subject.layer(tokens), "the same input twice")


def mixing(subject: Subject) -> None:
    """A changed token changes what its neighbour answers."""
    tokens = subject.tokens()
    changed = tokens.copy()
    changed[:, FIRST_CHANGED] += 1
    moved = np.abs(subject.layer(tokens) - subject.layer(changed))[:, FIRST_CHANGED - 1]
    if not float(moved.max()) > 1e-7:
        raise BrokenClaimError(
            f"changing token {FIRST_CHANGED} leaves token {FIRST_CHANGED - 1} unchanged: nothing is mixed"
        )


def batch_invariance(subject: Subject) -> None:
    """A sequence alone and in a batch gives the same output."""
    tokens = subject.tokens()
    _same(subject.layer(tokens)[1:], subject.layer(tokens[1:]), "a sequence alone and in a batch")


def causality(subject: Subject) -> None:
    """Changing the future leaves the past unchanged, in the causal form."""
    assert subject.causal_layer is not None
    tokens = subject.tokens()
    changed = tokens.copy()
    changed[:, FIRST_CHANGED:] = subject.tokens(2)[:, FIRST_CHANGED:]
    before, after = subject.causal_layer(tokens), subject.causal_layer(changed)
    _same(before[:, :FIRST_CHANGED], after[:, :FIRST_CHANGED], f"tokens from {FIRST_CHANGED} on were changed")


def padding(subject: Subject) -> None:
    """Padded tokens change nothing, and a fully padded sequence gives no NaN."""
    tokens = subject.tokens()
    real = np.ones(tokens.shape[:2], bool)
    real[:, FIRST_CHANGED:] = False
    changed = tokens.copy()
    changed[:, FIRST_CHANGED:] = subject.tokens(2)[:, FIRST_CHANGED:]
    before, after = subject.layer(tokens, real), subject.layer(changed, real)
    _same(
        before[:, :FIRST_CHANGED],
        after[:, :FIRST_CHANGED],
        f"padded tokens from {FIRST_CHANGED} on were changed",
    )
    real[0] = False
    if not np.isfinite(subject.layer(tokens, real)).all():
        raise BrokenClaimError("a fully padded sequence gives NaN or infinity")


def exactness(subject: Subject) -> None:
    """The kernel agrees with softmax attention written out in float64."""
    query, key, value = (subject.heads(seed) for seed in (1, 2, 3))
    scores = np.einsum("bhqd,bhkd->bhqk", query, key, dtype=np.float64) / np.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    oracle = np.einsum("bhqk,bhkd->bhqd", weights / weights.sum(-1, keepdims=True), value)
    _same(oracle, subject.framework.output(subject.kernel(query, key, value)), "softmax attention in float64")


PROPERTIES: tuple[tuple[str, Callable[[Subject], None], bool], ...] = (
    # Before shape: a wrong dtype breaks the layer around a kernel in a way that names neither.
    ("dtype", dtype, True),
    ("shape", shape, True),
    ("finite", finite, True),
    ("determinism", determinism, False),
    ("mixing", mixing, False),
    ("batch_invariance", batch_invariance, False),
    ("padding", padding, False),
    ("causality", causality, False),
    ("exactness", exactness, False),
)
