"""A trained classifier written out in float64 NumPy around a variant's layer, to see its attention.

    x = x + attention(norm(x)); x = x + contract(gelu(expand(norm(x)))); logits = head(mean of real norm(x))

Reads the shared layout of weights, so one model serves both frameworks. What it answers is held against
the model itself (`agreeing`): attention that is shown is the attention that was applied. Text models take
token numbers and padding, image models patches. Norms stand before or after each part, with or without a
mean, as the weights say; positions are learned or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from suites.explanations.rows import (
    Array,
    Attention,
    Rows,
    Weights,
    affine,
    entropy,
    largest_logit,
    seen,
)

NORM_EPSILON = 1e-5
# Float32 against float64 through a few layers; a norm after a small sum makes more of it.
AGREEMENT = 1e-3
UNREADABLE = ("query_norm.scale", "key_norm.scale", "bias.table")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a model did with some inputs: logits ``[n, classes]``, and of each layer the rows and scores.

    `padding` ``[n, time]`` is True at real tokens.
    """

    logits: Array
    layers: tuple[Rows, ...]
    padding: Array
    causal: bool

    def stability(self) -> dict[str, list[float]]:
        """What to watch while training, one value a layer: ``attention_entropy_nats``, the same as a share
        of the largest possible (``attention_entropy``) and, where there are logits, ``largest_logit``."""
        visible = seen(self.padding.shape[1], self.padding, causal=self.causal)
        entropies = [entropy(rows, visible) for rows, _ in self.layers]
        told = {
            "attention_entropy_nats": [nats for nats, _ in entropies],
            "attention_entropy": [share for _, share in entropies],
        }
        logits = [largest_logit(rows, scores, visible) for rows, scores in self.layers if scores is not None]
        return {**told, "largest_logit": logits} if logits else told


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenOut:
    """The classifier of these weights around this attention.

    Raises NotImplementedError for weights of a model that is not written out here.
    """

    weights: Weights
    attention: Attention
    positions: str = "learned"

    def __post_init__(self) -> None:
        known = self.positions == "none" or (
            self.positions == "learned" and "positions.table" in self.weights
        )
        if not known:
            raise NotImplementedError(
                f"a classifier with {self.positions} positions is not written out in NumPy"
            )
        if "head.kernel" not in self.weights or "blocks.0.expand.kernel" not in self.weights:
            raise NotImplementedError("only a classifier of blocks with one head is written out in NumPy")
        if any(name.endswith(UNREADABLE) for name in self.weights):
            raise NotImplementedError(
                "normalised queries and keys, or biased scores, are not written out in NumPy"
            )

    def look(self, inputs: Sequence[Array], *, rows: bool = True) -> Look:
        """Logits and, unless refused, rows of every layer for the model's positional inputs.

        Raises NotImplementedError where the variant has no rows and they are asked for.
        """
        tokens, padding = self._embedded(inputs)
        # A model of images is given no padding, and a definition without one must be seen to work.
        given = padding if len(inputs) > 1 else None
        layers: list[Rows] = []
        for place in self._blocks():
            block = _below(self.weights, f"blocks.{place}")
            entered = tokens if self._post else _norm(tokens, block, "attention_norm")
            attention = _below(block, "attention")
            if rows:
                layers.append(self.attention.rows(entered, given, attention))
            tokens = self._after(
                tokens, block, "attention_norm", self.attention.answer(entered, given, attention)
            )
            tokens = self._after(tokens, block, "feed_forward_norm", self._feed_forward(tokens, block))
        encoded = tokens if self._post else _norm(tokens, self.weights, "final_norm")
        logits = affine(_mean(encoded, padding), self.weights, "head")
        return Look(logits=logits, layers=tuple(layers), padding=padding, causal=self.attention.causal)

    @property
    def _post(self) -> bool:
        return "final_norm.scale" not in self.weights

    def _blocks(self) -> Iterator[int]:
        for place in count():
            if f"blocks.{place}.expand.kernel" not in self.weights:
                return
            yield place

    def _embedded(self, inputs: Sequence[Array]) -> tuple[Array, Array]:
        if "embedding.table" in self.weights:
            tokens = self.weights["embedding.table"].astype(np.float64)[inputs[0]]
            padding = inputs[1] if len(inputs) > 1 else inputs[0] != 0
        else:
            tokens = affine(inputs[0], self.weights, "embedding")
            padding = np.ones(tokens.shape[:2], dtype=bool)
        if self.positions == "learned":
            tokens = tokens + self.weights["positions.table"].astype(np.float64)[: tokens.shape[1]]
        return tokens, padding

    def _feed_forward(self, tokens: Array, block: Weights) -> Array:
        entered = tokens if self._post else _norm(tokens, block, "feed_forward_norm")
        return affine(_gelu(affine(entered, block, "expand")), block, "contract")

    def _after(self, tokens: Array, block: Weights, norm: str, change: Array) -> Array:
        return _norm(tokens + change, block, norm) if self._post else tokens + change


def agreeing(look: Look, logits: Array) -> Array:
    """``[n]``: True for the examples for which the model itself answers the same, to a thousandth of the
    largest logit. A token at the border of a bucket or of the k best may fall on either side of it."""
    off: Array = np.abs(look.logits - logits).max(axis=-1)
    return off <= AGREEMENT * max(1.0, float(np.abs(logits).max()))


def _below(weights: Weights, path: str) -> Mapping[str, Array]:
    """The weights of a part, by their names within it."""
    return {
        name.removeprefix(f"{path}."): array for name, array in weights.items() if name.startswith(f"{path}.")
    }


def _norm(tokens: Array, weights: Weights, name: str) -> Array:
    """LayerNorm, or RMSNorm where there is no offset."""
    scale, offset = weights[f"{name}.scale"].astype(np.float64), weights.get(f"{name}.offset")
    centred = tokens if offset is None else tokens - tokens.mean(axis=-1, keepdims=True)
    normed: Array = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + NORM_EPSILON) * scale
    return normed if offset is None else normed + offset.astype(np.float64)


def _gelu(x: Array) -> Array:
    from scipy.special import erf  # slow to import, and not needed by whoever only names the suite

    activated: Array = x * (1 + erf(x / np.sqrt(2))) / 2
    return activated


def _mean(tokens: Array, padding: Array) -> Array:
    total = (tokens * padding[..., None]).sum(axis=1)
    mean: Array = total / np.maximum(padding.sum(axis=1), 1)[:, None]
    return mean
