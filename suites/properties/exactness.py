"""Against the written-out definition in float64: exact variants in units of the last place, all others in
float32, and where theory says so their way to softmax as features or landmarks grow.

One unit (ulp) is the spacing of the dtype's numbers at the size of the largest answer: a mixture of many
values cannot be held to the spacing at each single, perhaps cancelled, entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.loading import load
from bench.schema import Options
from suites.properties.subject import Array, BrokenClaimError, Layer, NotClaimedError, Subject

# Units of the last place that an exact variant may be off: a layer's four products of some tens of terms
# alone cost a few; bfloat16 rounds every step in between, and kernels differ in how many they round.
MOST_ULPS_EXACT = {"float32": 32.0, "bfloat16": 4.0}
# Any other variant is held to its formula in float64, where no formula can hide behind rounding; in float32
# to the order of size only, since a norm after a small sum may make any rounding large.
MOST_ULPS = {"float64": 1e6, "float32": 1e3}
BITS = {"float64": 52, "float32": 23, "bfloat16": 7}
SOFTMAX = "softmax"
CONVERGENCE_LENGTH = 61
CONVERGENCE_STEPS = (4, 16, 61, 244)
ENOUGH = 1e-4


def exactness(subject: Subject) -> dict[str, str]:
    """An exact variant's layer agrees with softmax attention in float32 and in bfloat16."""
    if not subject.claims.exact or not subject.claims.definition:
        raise NotClaimedError
    return _largest_errors(subject, "float32", "bfloat16")


def definition(subject: Subject) -> dict[str, str]:
    """Another variant's layer agrees with its own definition, in float64 and in float32."""
    if subject.claims.exact or not subject.claims.definition:
        raise NotClaimedError
    return _largest_errors(subject, "float64", "float32")


def _largest_errors(subject: Subject, *dtypes: str) -> dict[str, str]:
    return {
        f"ulps_{dtype}": f"{max(_error(subject, layer, case) for layer, case in _cases(subject, dtype)):.1f}"
        for dtype in dtypes
    }


class Case:
    """One input: tokens, a context or none, a padding or none."""

    def __init__(self, tokens: Array, context: Array | None, padding: Array | None) -> None:
        self.tokens, self.context, self.padding = tokens, context, padding

    def __str__(self) -> str:
        told = f"{self.tokens.shape[1]} tokens"
        if self.context is not None:
            told += f", a context of {self.context.shape[1]}"
        return told + (", padded" if self.padding is not None else "")


def _cases(subject: Subject, dtype: str) -> Iterator[tuple[Layer, Case]]:
    """Layers built for the very length they are given: what a definition knows of `max_length`."""
    for causal in subject.forms:
        for options in _distinct(subject.small, subject.options):
            for length in (subject.length, 1, 2, subject.length // 2):
                layer = subject.layer(causal=causal, dtype=dtype, options=options, max_length=length)
                yield layer, Case(subject.tokens(length), None, None)
            layer = subject.layer(causal=causal, dtype=dtype, options=options)
            yield layer, Case(subject.tokens(), None, some_padding(subject))
            if subject.claims.cross_attention and not causal:
                context = subject.tokens(subject.length, seed=5)
                yield layer, Case(subject.tokens(subject.length - 2), context, None)


def _distinct(small: Options, usual: Options) -> tuple[Options, ...]:
    return (small,) if dict(small) == dict(usual) else (small, usual)


def some_padding(subject: Subject) -> Array:
    """Real tokens in front, in the middle, and nowhere, `[batch, length]`."""
    real = np.ones((subject.workload.batch, subject.length), bool)
    real[0, subject.length // 2 :] = False
    real[1 % len(real), : subject.length // 3] = False
    if len(real) > 2:
        real[2] = False
    return real


def _error(subject: Subject, layer: Layer, case: Case) -> float:
    """Units by which the layer is off, at its worst; raises BrokenClaimError beyond what is allowed."""
    tokens, context = (None if x is None else _rounded(x, layer.dtype) for x in (case.tokens, case.context))
    assert tokens is not None
    got = layer(tokens, context, case.padding)
    written_out: Any = load(subject.claims.definition)
    expected = written_out(
        tokens,
        context=context,
        padding=case.padding,
        causal=layer.causal,
        weights=layer.weights(),
        heads=subject.workload.heads,
        options=layer.options,
    )
    keep = np.ones(got.shape[:2], bool) if case.padding is None or case.context is not None else case.padding
    error = np.where(keep[..., None], np.abs(got - expected), 0.0)
    ulps = error / spacing(expected, layer.dtype)
    worst = float(np.nan_to_num(ulps, nan=np.inf).max(initial=0.0))
    allowed = (MOST_ULPS_EXACT if subject.claims.exact else MOST_ULPS)[layer.dtype]
    if not worst <= allowed:
        place = np.unravel_index(int(np.argmax(np.nan_to_num(ulps, nan=np.inf))), ulps.shape)
        raise BrokenClaimError(
            f"{case}{', causal' if layer.causal else ''}, {layer.dtype}, options {dict(layer.options)}: at "
            f"[{', '.join(map(str, place))}] the answer is {got[place]:.6g} and the definition "
            f"{subject.claims.definition} says {expected[place]:.6g}: {worst:.3g} units of the last place, "
            f"at most {allowed:g} are allowed"
        )
    return worst


def spacing(values: Array, dtype: str) -> float:
    """The distance of the dtype's numbers at the size of the largest value."""
    largest = float(np.abs(values).max(initial=0.0))
    return float(2.0 ** (np.floor(np.log2(max(largest, 1e-30))) - BITS[dtype]))


def _rounded(array: Array, dtype: str) -> Array:
    """The array as `dtype` holds it, in float32: what the definition must be given."""
    if dtype != "bfloat16":
        return array
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32)


def convergence(subject: Subject) -> dict[str, str]:
    """The error against softmax attention falls as the option that `converges` names grows."""
    option = subject.claims.converges
    if not option:
        raise NotClaimedError
    causal = subject.forms[0]
    tokens = subject.tokens(CONVERGENCE_LENGTH) / 2
    errors = [_distance_to_softmax(subject, option, size, causal, tokens) for size in CONVERGENCE_STEPS]
    told = ", ".join(f"{size}: {error:.2g}" for size, error in zip(CONVERGENCE_STEPS, errors, strict=True))
    if not (errors[-1] <= errors[0] / 3 or errors[-1] < ENOUGH):
        raise BrokenClaimError(f"the distance to softmax attention does not fall with {option}: {told}")
    return {"distance_to_softmax": told}


def _distance_to_softmax(subject: Subject, option: str, size: int, causal: bool, tokens: Array) -> float:
    """Root mean square of the difference, relative to that of softmax attention on the same weights."""
    options = {**subject.options, option: size}
    layer = subject.layer(causal=causal, options=options, drawn=False, max_length=CONVERGENCE_LENGTH)
    written_out: Any = load(softmax_definition(subject))
    expected = written_out(
        tokens,
        context=None,
        padding=None,
        causal=causal,
        weights=layer.weights(),
        heads=subject.workload.heads,
        options={},
    )
    return float(np.sqrt(np.mean((layer(tokens) - expected) ** 2) / np.mean(expected**2)))


def softmax_definition(subject: Subject) -> str:
    """The definition of softmax that stands beside the variant's own."""
    package = subject.claims.definition.rpartition(":")[0].rpartition(".")[0]
    return f"{package}.{SOFTMAX}:layer"
