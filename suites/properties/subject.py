"""The implementation under test, NumPy in and NumPy out, built in whichever form a property needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.loading import load
from bench.measuring import Bench, Finding
from bench.schema import Arm, Claims, Options, Step, Workload
from suites.framework import Framework, open_framework

Array: TypeAlias = NDArray[Any]


class BrokenClaimError(Finding):
    """A property does not hold; the message is the counterexample."""


class NotClaimedError(Exception):
    """The property is not claimed by this implementation, or has no meaning for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What builds and opens a model of one framework."""

    framework: Framework
    attention: Any
    architecture: Callable[..., Any]
    export: Callable[[Any], dict[str, Array]]
    insert: Callable[[Any, Mapping[str, Array]], None]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An implementation with its claims. `heads` and `head_width` are those of the certificate's work."""

    place: Place
    claims: Claims
    options: Options
    workload: Workload
    seed: int
    twin: Callable[[], Place] | None

    @property
    def is_kernel(self) -> bool:
        """Whether it is a function on heads, or a whole layer."""
        return not isinstance(self.place.attention, type)

    @property
    def framework(self) -> Framework:
        """The suites' part for the implementation's framework."""
        return self.place.framework

    @cached_property
    def forms(self) -> tuple[bool, ...]:
        """The values of `causal` that the implementation claims to have."""
        return ((True,) if self.claims.causal_only else (False, True)) if self.claims.causal else (False,)

    @cached_property
    def trains(self) -> bool:
        """Whether there is a gradient here: claimed, and not refused on this device."""
        try:
            self.require_gradient()
        except NotImplementedError:
            return False
        return self.claims.trainable

    def require_gradient(self) -> None:
        """Raise NotImplementedError, with the layer's own reason, where it has no gradient here."""
        if self.claims.trainable:
            layer = self.layer(causal=self.forms[-1], drawn=False)
            layer.gradients(self.tokens(), self.tokens())

    @cached_property
    def lacks_float64(self) -> str:
        """Why the implementation cannot be run in float64 (a user's own may know one dtype only); empty
        where it can."""
        layer = self.layer(causal=self.forms[-1], dtype="float64", drawn=False)
        try:
            layer(self.tokens())
        except (RuntimeError, TypeError, ValueError) as error:
            return f"{type(error).__name__}: {error}".splitlines()[0]
        return ""

    @property
    def length(self) -> int:
        """Tokens of the ordinary input: a prime."""
        return self.workload.query_length

    @property
    def small(self) -> Options:
        """Options under which the ordinary input crosses several blocks or windows."""
        return {**self.options, **self.claims.small}

    def tokens(self, length: int | None = None, seed: int = 1, batch: int | None = None) -> Array:
        """`[batch, length, width]`, standard normal."""
        w = self.workload
        shape = (batch or w.batch, self.length if length is None else length, w.width)
        return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)

    def heads(self, seed: int) -> Array:
        """`[batch, heads, time, head_width]`, standard normal."""
        w = self.workload
        shape = (w.batch, w.heads, w.query_length, w.width // w.heads)
        return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)

    def kernel(self, *arrays: Array) -> Any:
        """What the bare kernel answers in its first form, as the framework's tensor."""
        form = partial(self.place.attention, causal=True) if self.forms[0] else self.place.attention
        return self.framework.call(form, *self.framework.arrays(arrays, "float32"))

    def layer(
        self,
        *,
        causal: bool,
        options: Options | None = None,
        dtype: str = "float32",
        drawn: bool = True,
        max_length: int = 0,
        place: Place | None = None,
    ) -> Layer:
        """A layer with `small` options, or those given; `drawn` weights are random ones of any size."""
        layer = Layer(self, place or self.place, causal, dtype, options, max_length)
        if drawn:
            layer.insert(drawn_weights(layer.weights()))
        return layer


class Layer:
    """One built layer: forward, gradients and decoding on arrays."""

    def __init__(
        self,
        subject: Subject,
        place: Place,
        causal: bool,
        dtype: str,
        options: Options | None,
        max_length: int,
    ) -> None:
        self.place = place
        self.framework = place.framework
        self.dtype = dtype
        self.causal = causal
        self.options = subject.small if options is None else options
        workload = subject.workload
        self.framework.seed(subject.seed)
        self.model = self.framework.build(
            place.architecture,
            place.attention,
            dtype=dtype,
            width=workload.width,
            heads=workload.heads,
            causal=causal,
            max_length=max_length or workload.key_length,
            options=dict(self.options),
        )

    def weights(self) -> dict[str, Array]:
        """All weights by name."""
        return self.place.export(self.model)

    def insert(self, weights: Mapping[str, Array]) -> None:
        """Set all weights."""
        self.place.insert(self.model, weights)

    def inputs(self, tokens: Array, context: Array | None = None, padding: Array | None = None) -> list[Any]:
        """The arguments of a call as tensors."""
        arrays = [array for array in (tokens, context, padding) if array is not None]
        tensors = iter(self.framework.arrays(arrays, self.dtype))
        given = [None if array is None else next(tensors) for array in (tokens, context, padding)]
        while given[-1] is None:
            given.pop()
        return given

    def __call__(self, tokens: Array, context: Array | None = None, padding: Array | None = None) -> Array:
        """`[batch, time, width]`, run without gradients."""
        return self.framework.output(self.framework.call(self.model, *self.inputs(tokens, context, padding)))

    def gradients(
        self, tokens: Array, cotangent: Array, context: Array | None = None, padding: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """The output and the gradients of sum(output * cotangent)."""
        return self.framework.gradients(
            self.model, self.inputs(tokens, context, padding), cotangent, self.place.export
        )

    @property
    def decodes(self) -> bool:
        """Whether the layer has the methods of decoding."""
        return all(hasattr(self.model, name) for name in ("initial_state", "step"))

    def initial_state(self, batch: int) -> Any:
        """The state before the first token."""
        return self.framework.call(self.model.initial_state, batch)

    def step(self, token: Array, state: Any) -> tuple[Array, Any]:
        """The answer for one token `[batch, 1, width]`, and the state after it."""
        answer, state = self.framework.call(self.model.step, *self.inputs(token), state)
        return self.framework.output(answer), state

    def prefill(self, tokens: Array) -> tuple[Array, Any]:
        """The answers for all tokens, and the state after the last."""
        answer, state = self.framework.call(self.model.prefill, *self.inputs(tokens))
        return self.framework.output(answer), state


def drawn_weights(weights: Mapping[str, Array], seed: int = 3) -> dict[str, Array]:
    """Random weights of the same names and shapes, none of them zero or symmetric as fresh ones may be.

    Linear maps are drawn anew; other floats (norms, tables, decays, random features) are moved a little,
    because their size means something; whole numbers stay.
    """
    generator = np.random.default_rng(seed)
    return {name: _drawn(name, weights[name], generator) for name in sorted(weights)}


def _drawn(name: str, array: Array, generator: np.random.Generator) -> Array:
    noise = generator.standard_normal(array.shape).astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        return array
    drawn: Array = noise / np.sqrt(array.shape[0]) if name.endswith(".kernel") else array + 0.1 * noise
    return drawn.astype(array.dtype)


def require_same(one: Array, other: Array, tolerance: float, what: str) -> None:
    """Raise BrokenClaimError with the place where they differ most, relative to the largest of `one`."""
    difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    allowed = tolerance * max(1.0, float(np.max(np.abs(one), initial=0.0)))
    if difference.size and not difference.max() <= allowed:
        place = np.unravel_index(int(np.argmax(np.nan_to_num(difference, nan=np.inf))), difference.shape)
        raise BrokenClaimError(
            f"{what}: at [{', '.join(map(str, place))}] {one[place]:.6g} and {other[place]:.6g} differ by "
            f"{difference[place]:.3g}, at most {allowed:.1g} is allowed"
        )


def open_subject(step: Step, arm: Arm, bench: Bench) -> Subject:
    """The arm's implementation on the job's framework; raises what loading it raises."""
    assert step.workload is not None
    place = _place(bench.framework, bench.attention(arm), bench.architecture(step), step.package)
    twin = (lambda: _torch_place(step, arm, bench)) if arm.twin and step.torch_architecture else None
    return Subject(
        place=place, claims=arm.claims, options=arm.options, workload=step.workload, seed=step.seed, twin=twin
    )


def _torch_place(step: Step, arm: Arm, bench: Bench) -> Place:
    framework = open_framework("torch", device=bench.job.device, threads=bench.job.threads)
    architecture: Any = load(step.torch_architecture)
    return _place(framework, load(arm.twin), architecture, step.torch_package)


def _place(framework: Framework, attention: Any, architecture: Any, package: str) -> Place:
    export: Any = load(f"{package}.weights:export_weights")
    insert: Any = load(f"{package}.weights:import_weights")
    return Place(
        framework=framework, attention=attention, architecture=architecture, export=export, insert=insert
    )


def with_options(subject: Subject, **options: Any) -> Subject:
    """The same implementation with other options, small ones included."""
    claims = replace(subject.claims, small={})
    return replace(subject, claims=claims, options={**subject.options, **options})
