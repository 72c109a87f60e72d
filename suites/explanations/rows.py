"""The weights that an attention layer gives its source tokens, where there are such weights.

Three cases, told apart by what a variant brings:

- A definition (`Claims.definition`) that is a sum over tokens hands its rows out: the softmax family, whole
  or sparse; sigmoid, sparsemax, entmax, talking heads, differential, latent and Transformer-XL; linear,
  Performer, cosFormer and Nyström attention and the recurrent variants, which never build their rows but
  have them all the same (Katharopoulos and others 2020, arXiv:2006.16236; Ali and others 2024,
  arXiv:2403.01590). Definitions that are no such sum say why: Linformer, native sparse, convolutions.
- A kernel without a definition is linear in its values or no attention: its rows are what it answers to the
  identity, ``attend(query, key, I)``.
- A class without a definition (a package's own layer) has rows that nobody can ask it for.

Rows of the softmax family are at least 0 and sum to 1. Those of sigmoid sum to anything in 0 to n, those of
talking heads, differential, Nyström and recurrent variants may be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np

from bench.loading import load
from bench.schema import Options
from suites.framework import Framework

Array: TypeAlias = np.ndarray
Weights: TypeAlias = Mapping[str, Array]
Rows: TypeAlias = tuple[Array, Array | None]
"""Weights ``[n, heads, time, time]``, and what a softmax (or what stands in its place) made them of,
``[n, maps, time, time]``, None where there is no such thing."""


class Attention(Protocol):
    """A variant's layer in NumPy. `weights` are the layer's, by the names of the shared layout."""

    @property
    def causal(self) -> bool:
        """Whether a token sees the earlier ones and itself only."""

    def answer(self, tokens: Array, padding: Array | None, weights: Weights) -> Array:
        """``[n, time, width]`` from tokens of that shape and padding ``[n, time]``, True at real tokens."""

    def rows(self, tokens: Array, padding: Array | None, weights: Weights) -> Rows:
        """The rows; raises NotImplementedError, with the reason, where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defined:
    """A variant that is written out in NumPy, ``layer(tokens, *, context, padding, …)``."""

    layer: Any
    heads: int
    causal: bool
    options: Options = field(default_factory=dict)

    def answer(self, tokens: Array, padding: Array | None, weights: Weights) -> Array:
        """What the definition answers."""
        answered: Array = self.layer(tokens, context=None, **self._given(padding, weights))
        return answered

    def rows(self, tokens: Array, padding: Array | None, weights: Weights) -> Rows:
        """What the definition hands out; raises NotImplementedError where it does not."""
        if not hasattr(self.layer, "rows"):
            raise NotImplementedError("the definition of this variant hands out no rows")
        rows: Rows = self.layer.rows(tokens, **self._given(padding, weights))
        return rows

    def _given(self, padding: Array | None, weights: Weights) -> dict[str, Any]:
        return {
            "padding": padding,
            "causal": self.causal,
            "weights": weights,
            "heads": self.heads,
            "options": self.options,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A kernel ``attend(query, key, value, *, causal, padding, **options)`` of a framework, asked for its
    answers to the identity in the place of the values; its layer has the standard projections."""

    kernel: Callable[..., Any]
    framework: Framework
    heads: int
    causal: bool
    options: Options = field(default_factory=dict)

    def answer(self, tokens: Array, padding: Array | None, weights: Weights) -> Array:
        """Rows times values, through the output map: right only for a kernel that is linear in its values."""
        rows, _ = self.rows(tokens, padding, weights)
        mixed = rows @ heads_of(tokens, weights, "value", self.heads)
        joined = mixed.transpose(0, 2, 1, 3).reshape(*tokens.shape[:2], -1)
        return affine(joined, weights, "output")

    def rows(self, tokens: Array, padding: Array | None, weights: Weights) -> Rows:
        """Column after column, as many at a time as a value has channels."""
        query, key = (heads_of(tokens, weights, name, self.heads) for name in ("query", "key"))
        time, width = query.shape[2:]
        columns = [
            self._call(query, key, _identity(query, first), padding) for first in range(0, time, width)
        ]
        return np.concatenate(columns, axis=-1)[..., :time].astype(np.float64), None

    def _call(self, query: Array, key: Array, value: Array, padding: Array | None) -> Array:
        given = [query, key, value, *([] if padding is None else [padding])]

        def attend(*tensors: Any) -> Any:
            hidden = tensors[3] if len(tensors) > 3 else None
            return self.kernel(*tensors[:3], causal=self.causal, padding=hidden, **self.options)

        return self.framework.output(self.framework.call(attend, *self.framework.arrays(given, "float32")))


def _identity(like: Array, first: int) -> Array:
    """Values whose channel c is 1 at place ``first + c`` and 0 elsewhere, in the shape of the queries."""
    value = np.zeros_like(like)
    for channel in range(min(like.shape[3], like.shape[2] - first)):
        value[:, :, first + channel, channel] = 1.0
    return value


def open_attention(
    definition: str, attention: Any, framework: Framework, *, heads: int, causal: bool, options: Options
) -> Attention:
    """The variant's layer in NumPy: its definition, or its kernel probed.

    Raises NotImplementedError for a class without a definition.
    """
    if definition:
        return Defined(layer=load(definition), heads=heads, causal=causal, options=options)
    if isinstance(attention, type):
        raise NotImplementedError(
            f"{attention.__name__} is a layer of its own without a definition: nobody can ask for its weights"
        )
    return Probed(kernel=attention, framework=framework, heads=heads, causal=causal, options=options)


def affine(tokens: Array, weights: Weights, name: str) -> Array:
    """``tokens W + b`` in float64."""
    kernel = weights[f"{name}.kernel"].astype(np.float64)
    mapped: Array = tokens.astype(np.float64) @ kernel + weights[f"{name}.bias"].astype(np.float64)
    return mapped


def heads_of(tokens: Array, weights: Weights, name: str, heads: int) -> Array:
    """Tokens ``[n, time, width]`` through a map, ``[n, heads, time, head_width]``."""
    mapped = affine(tokens, weights, name)
    count, time, inner = mapped.shape
    return mapped.reshape(count, time, heads, inner // heads).transpose(0, 2, 1, 3)


def seen(length: int, padding: Array, *, causal: bool) -> Array:
    """``[n, time, time]``: True where a real query may see a key, which patterns may narrow further."""
    visible: Array = padding[:, :, None] & padding[:, None, :]
    return visible & np.tri(length, dtype=bool) if causal else visible


def entropy(rows: Array, visible: Array) -> tuple[float, float]:
    """Attention entropy: in nats, and as a share of log of what a query sees; means over heads and queries.

    Of absolute weights brought to sum 1. Queries that see one token, or give no weight, are left out.
    Raises ValueError where none is left. Entropy that collapses goes with diverging training: Zhai and
    others 2023, arXiv:2303.06296.
    """
    shares = np.abs(rows) * visible[:, None]
    totals = shares.sum(axis=-1)
    counts = np.broadcast_to(visible.sum(axis=-1)[:, None], totals.shape)
    chosen = (counts > 1) & (totals > 0)
    if not chosen.any():
        raise ValueError("no query sees more than one token: there is no entropy")
    shares = shares[chosen] / totals[chosen][:, None]
    nats = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=-1)
    return float(nats.mean()), float((nats / np.log(counts[chosen])).mean())


def largest_logit(rows: Array, scores: Array, visible: Array) -> float:
    """The largest score of what real queries see; the hidden pairs of a sparse pattern, whose weight is 0, do
    not count. Raises ValueError where nothing is seen.

    It grows without bound where training is unstable: Dehghani and others 2023, arXiv:2302.05442; Wortsman
    and others 2023, arXiv:2309.14322.
    """
    weighted = (rows != 0) & visible[:, None]
    found = np.repeat(weighted, scores.shape[1] // rows.shape[1], axis=1)
    if not found.any():
        raise ValueError("no query sees any token: there is no logit")
    return float(scores[found].max())
