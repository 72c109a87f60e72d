"""Certificate: what an implementation must show before a figure of it is believed.

Small sizes, all different, so that a swapped axis cannot pass; the properties themselves stand in
`suites.properties`. A property that does not hold is a failed row with the smallest counterexample seen;
loading, shape, dtype and finite answers are needed for any measurement, so their failure keeps the
implementation out of every other suite. The others mark its rows there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bench.measuring import Bench
from bench.schema import Arm, Measurement, Step
from suites.properties.behaviour import (
    axes,
    batch_invariance,
    causality,
    determinism,
    dtype,
    finite,
    mixing,
    padding,
    shape,
)
from suites.properties.decoding import state, stepwise
from suites.properties.exactness import convergence, definition, exactness
from suites.properties.extremes import extremes
from suites.properties.gradients import gradient
from suites.properties.growth import growth
from suites.properties.subject import NotClaimedError, Subject, open_subject
from suites.properties.twins import twins

METRIC_UNIT = "holds"

Check = Callable[[Subject], dict[str, str] | None]

PROPERTIES: tuple[tuple[str, Check, bool], ...] = (
    # Before shape: a wrong dtype breaks the layer around a kernel in a way that names neither.
    ("dtype", dtype, True),
    ("shape", shape, True),
    ("finite", finite, True),
    ("determinism", determinism, False),
    ("mixing", mixing, False),
    ("axes", axes, False),
    ("batch_invariance", batch_invariance, False),
    ("padding", padding, False),
    ("causality", causality, False),
    ("exactness", exactness, False),
    ("definition", definition, False),
    ("convergence", convergence, False),
    ("gradient", gradient, False),
    ("stepwise", stepwise, False),
    ("state", state, False),
    ("extremes", extremes, False),
    ("twins", twins, False),
    ("growth", growth, False),
)


def measure(step: Step, bench: Bench) -> list[Measurement]:
    """One row a property that is claimed; the first is that the implementation loads."""
    (arm,) = step.arms
    subject, failed = bench.attempt(step, arm, lambda: open_subject(step, arm, bench))
    if failed is not None:
        return [failed]
    assert subject is not None
    rows = [_holds(step, arm, bench, "loads", {})]
    for name, check, bars in PROPERTIES:
        row = _checked(step, arm, bench, name, partial(_claimed, check, subject), bars)
        if row is not None:
            rows.append(row)
            if bars and row.status != "ok":
                break
    return rows


def _claimed(check: Check, subject: Subject) -> dict[str, str] | None:
    """What the check tells beside that it holds; None for a property that is not claimed."""
    try:
        return check(subject) or {}
    except NotClaimedError:
        return None


def _checked(
    step: Step, arm: Arm, bench: Bench, name: str, check: Callable[[], dict[str, str] | None], bars: bool
) -> Measurement | None:
    told, failed = bench.attempt(step, arm, check)
    if failed is None:
        return None if told is None else _holds(step, arm, bench, name, told)
    # A layer may say that it has no such thing (no context, no gradient here): that bars nothing.
    details = {key: value for key, value in failed.details.items() if key != "bars" or bars}
    return replace(failed, metric=name, unit=METRIC_UNIT, details=details)


def _holds(step: Step, arm: Arm, bench: Bench, name: str, told: dict[str, str]) -> Measurement:
    return bench.measurement(
        step,
        arm,
        metric=name,
        unit=METRIC_UNIT,
        values=[1.0],
        tool=f"attnbench, {bench.framework.tool}",
        details=told,
    )
