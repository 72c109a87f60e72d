"""Cost grows as declared: operations counted, and time measured.

Certificates run side by side, so time is that of the process on its processors, which waiting for others
does not lengthen; it is rough all the same and held to an upper bound only, far enough above the declared
exponent that noise cannot cross it and a hidden n x n must. The settled exponents are those of the speed
suite.
"""

from __future__ import annotations

import math
import time

from suites.properties.subject import BrokenClaimError, Layer, NotClaimedError, Subject

COUNTED_LENGTHS = (2048, 4096)
TIMED_LENGTHS = (1024, 8192)
REPEATS = 3
TRIES = 4
# Upwards nothing but rounding is forgiven. Downwards the projections weigh in, which are linear for all.
COUNT_TOLERANCE = 0.15
PROJECTIONS_SHARE = 0.3
TIME_TOLERANCE = 0.65
LINEAR_ENOUGH = 1.5


def growth(subject: Subject) -> dict[str, str]:
    """The exponent of operations is the declared one; that of time does not lie far above it.

    Where no exponent is declared that of operations is told, and nothing is held against it.
    """
    causal = subject.forms[0]
    declared = subject.claims.time_exponent
    told = _counted(subject, causal, declared)
    if 0 < declared <= LINEAR_ENOUGH:
        told |= _timed(subject, causal, declared)
    if not told:
        raise NotClaimedError
    return told


def _counted(subject: Subject, causal: bool, declared: float) -> dict[str, str]:
    lengths = COUNTED_LENGTHS
    counts = [_operations(subject, causal, length) for length in lengths]
    if not all(counts):
        return {}
    exponent = _exponent(lengths, [float(count or 0) for count in counts])
    if declared and not declared - PROJECTIONS_SHARE <= exponent <= declared + COUNT_TOLERANCE:
        raise BrokenClaimError(
            f"operations grow with the length to the {exponent:.2f} between {lengths[0]} and {lengths[1]} "
            f"tokens, declared is {declared:g}"
        )
    return {"exponent_of_operations": f"{exponent:.2f}"}


def _timed(subject: Subject, causal: bool, declared: float) -> dict[str, str]:
    """The exponent between the shortest times of a few tries: other work lengthens a time, never all."""
    shortest = dict.fromkeys(TIMED_LENGTHS, math.inf)
    exponent = math.inf
    for _ in range(TRIES):
        shortest = {length: min(best, _seconds(subject, causal, length)) for length, best in shortest.items()}
        exponent = _exponent(TIMED_LENGTHS, list(shortest.values()))
        if exponent <= declared + TIME_TOLERANCE:
            break
    else:
        raise BrokenClaimError(
            f"time grows with the length to the {exponent:.2f} between {TIMED_LENGTHS[0]} and "
            f"{TIMED_LENGTHS[1]} tokens, declared is {declared:g}"
        )
    return {"exponent_of_time": f"{exponent:.2f} (rough, {TIMED_LENGTHS[0]} to {TIMED_LENGTHS[1]})"}


def _exponent(lengths: tuple[int, ...], costs: list[float]) -> float:
    return math.log(costs[-1] / costs[0]) / math.log(lengths[-1] / lengths[0])


def _layer(subject: Subject, causal: bool, length: int) -> Layer:
    return subject.layer(causal=causal, options=subject.options, drawn=False, max_length=length)


def _operations(subject: Subject, causal: bool, length: int) -> int | None:
    layer = _layer(subject, causal, length)
    inputs = layer.inputs(subject.tokens(length, batch=1))
    return subject.framework.operations(lambda: subject.framework.call(layer.model, *inputs))


def _seconds(subject: Subject, causal: bool, length: int) -> float:
    layer = _layer(subject, causal, length)
    call = layer.framework.forward(layer.model, tuple(layer.inputs(subject.tokens(length, batch=1))))
    layer.framework.output(call())
    spans = []
    for _ in range(REPEATS):
        begin = time.process_time()
        layer.framework.output(call())
        spans.append(time.process_time() - begin)
    return min(spans)
