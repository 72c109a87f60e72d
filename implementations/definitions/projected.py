"""What all definitions share: the projections around a mixture, and who sees whom. Float64 NumPy, no tricks.

A definition is ``layer(tokens, *, context, padding, causal, weights, heads, options)``: `tokens
[batch, time, width]`, `context [batch, source, width]` or None for the tokens themselves, `padding
[batch, source]` True where a real token stands or None, `weights` by the names of the shared layout,
`options` those of the variant. It answers `[batch, time, width]`.

Most are a `Mixture`: what its heads answer is linear in their values. Such a layer also hands out its
`rows`, the weight of each source token in each answer, by being given the identity for values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Mix: TypeAlias = Callable[..., Array]
"""``mix(query, key, value, visible, **options)``: `[batch, heads, time, head_width]`, `visible
[batch, time, source]` True where a query may see a key; answers `[batch, heads, time, value width]`."""


class Definition(Protocol):
    """A whole layer, written out."""

    def __call__(
        self,
        tokens: Array,
        *,
        context: Array | None,
        padding: Array | None,
        causal: bool,
        weights: Mapping[str, Array],
        heads: int,
        options: Mapping[str, Any],
    ) -> Array: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What one call of a definition is given; `source` is the context, or the tokens themselves."""

    tokens: Array
    source: Array
    padding: Array | None
    causal: bool
    weights: Mapping[str, Array]
    heads: int
    options: Mapping[str, Any]

    def of_tokens(self, name: str) -> Array:
        """The tokens through the map `name`, ``[batch, heads, time, channels]``."""
        return split(linear(self.tokens, self.weights, name), self.heads)

    def of_source(self, name: str) -> Array:
        """The source through the map `name`, ``[batch, heads, source, channels]``."""
        return split(linear(self.source, self.weights, name), self.heads)

    def visible(self) -> Array:
        """``[batch, time, source]``: True where a query may see a key."""
        return who_sees_whom(self.tokens, self.source, self.padding, causal=self.causal)


def own_values(given: Given) -> Array:
    """The standard values, ``[batch, heads, source, head_width]``."""
    return given.of_source("value")


def output_map(given: Given, mixed: Array) -> Array:
    """The standard end of a layer: the heads joined, and the output map."""
    return linear(join(mixed), given.weights, "output")


def always_has_rows(given: Given) -> str:
    """No reason against rows."""
    return ""


@dataclass(frozen=True, slots=True)
class Mixture:
    """A layer whose heads mix values: ``finish(given, mix(given, values(given)))``.

    `mix` is linear in the values ``[batch, heads, source, any]`` and answers ``[batch, heads, time, any]``.
    `scores` are the numbers that a softmax, or what stands in its place, makes weights of, where there are
    any: ``[batch, maps, time, source]`` with what a query does not see still in them. `refusal` says why
    there are no rows, or nothing.
    """

    mix: Callable[[Given, Array], Array]
    values: Callable[[Given], Array] = own_values
    finish: Callable[[Given, Array], Array] = output_map
    scores: Callable[[Given], Array] | None = None
    refusal: Callable[[Given], str] = always_has_rows

    def __call__(
        self,
        tokens: Array,
        *,
        context: Array | None,
        padding: Array | None,
        causal: bool,
        weights: Mapping[str, Array],
        heads: int,
        options: Mapping[str, Any],
    ) -> Array:
        given = Given(
            tokens=tokens,
            source=tokens if context is None else context,
            padding=padding,
            causal=causal,
            weights=weights,
            heads=heads,
            options=options,
        )
        return self.finish(given, self.mix(given, self.values(given)))

    def rows(
        self,
        tokens: Array,
        *,
        padding: Array | None,
        causal: bool,
        weights: Mapping[str, Array],
        heads: int,
        options: Mapping[str, Any],
    ) -> tuple[Array, Array | None]:
        """The weights ``[batch, heads, time, time]`` of self-attention, and the scores behind them if any.

        Rows times values are what the heads answer, before a norm, a gate or the output map. Raises
        NotImplementedError, with the reason, where no one weight stands between two tokens.
        """
        given = Given(
            tokens=tokens,
            source=tokens,
            padding=padding,
            causal=causal,
            weights=weights,
            heads=heads,
            options=options,
        )
        if reason := self.refusal(given):
            raise NotImplementedError(reason)
        batch, groups, source, _ = self.values(given).shape
        one = np.broadcast_to(np.eye(source), (batch, groups, source, source))
        return self.mix(given, one), None if self.scores is None else self.scores(given)


@dataclass(frozen=True, slots=True)
class WithoutRows:
    """A layer whose answers are no sums over tokens, each with one weight; `reason` says why."""

    layer: Definition
    reason: str

    def __call__(self, tokens: Array, **given: Any) -> Array:
        return self.layer(tokens, **given)

    def rows(self, tokens: Array, **given: Any) -> tuple[Array, Array | None]:
        """Raises NotImplementedError with the reason."""
        raise NotImplementedError(self.reason)


def scaled_products(given: Given) -> Array:
    """Q K^T / sqrt(d), ``[batch, heads, time, source]``."""
    return products(given.of_tokens("query"), given.of_source("key"))


def products(query: Array, key: Array) -> Array:
    """Q K^T / sqrt(d) of queries and keys ``[batch, heads, length, d]``."""
    scores: Array = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    return scores


def projected(mix: Mix, scores: Callable[[Given], Array] | None = None) -> Mixture:
    """The layer of a mixture with the standard projections; a query that sees no key is mixed to zeros."""

    def mixed(given: Given, value: Array) -> Array:
        visible = given.visible()
        answer = mix(given.of_tokens("query"), given.of_source("key"), value, visible, **given.options)
        blind = ~np.logical_or.reduce(visible, axis=-1)
        return np.where(blind[:, None, :, None], 0.0, answer)

    return Mixture(mixed, scores=scores)


def linear(tokens: Array, weights: Mapping[str, Array], name: str) -> Array:
    """``tokens W + b`` in float64."""
    kernel = weights[f"{name}.kernel"].astype(np.float64)
    return tokens.astype(np.float64) @ kernel + weights[f"{name}.bias"].astype(np.float64)


def split(tokens: Array, heads: int) -> Array:
    """``[batch, time, heads * head_width]`` to ``[batch, heads, time, head_width]``."""
    batch, time, inner = tokens.shape
    return tokens.reshape(batch, time, heads, inner // heads).transpose(0, 2, 1, 3)


def join(heads: Array) -> Array:
    """``[batch, heads, time, head_width]`` to ``[batch, time, heads * head_width]``."""
    batch, count, time, width = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(batch, time, count * width)


def who_sees_whom(tokens: Array, source: Array, padding: Array | None, *, causal: bool) -> Array:
    """``[batch, time, source]``: True where a query may see a key."""
    batch, time, length = len(tokens), tokens.shape[1], source.shape[1]
    visible: Array = np.ones((batch, time, length), dtype=bool)
    if causal:
        visible &= np.tri(time, length, dtype=bool)
    if padding is not None:
        visible &= padding[:, None, :]
    return visible


def softmax(scores: Array, visible: Array) -> Array:
    """Along the last axis over what is visible; a row that sees nothing is all zeros."""
    hidden = np.where(visible, scores, -np.inf)
    largest = hidden.max(axis=-1, keepdims=True)
    weights = np.exp(hidden - np.where(np.isfinite(largest), largest, 0.0))
    total = weights.sum(axis=-1, keepdims=True)
    answer: Array = weights / np.where(total > 0, total, 1.0)
    return answer
