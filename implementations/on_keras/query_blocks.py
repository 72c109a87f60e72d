"""Attention whose weights a rule makes from a query's scores, for a block of queries at a time.

    out_i = sum over j of rule(q_i . k_j / sqrt(d))_j v_j

What sigmoid, sparsemax and entmax share; the twin of the torch one. The scores that exist are those of
one block of queries: memory n, not n^2. The backward pass makes them again, from a number or two that
each query keeps, as a fused softmax does; time is n^2 d. A causal block is multiplied with the keys up
to its last query only. A length that is known only at run time cannot be cut: it is one block.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.layer_interface import require_equal_lengths
from implementations.on_keras.visibility import HIDDEN_SCORE, sees_any_key

BLOCK = 128


@runtime_checkable
class Rule(Protocol):
    """How the scores of queries, ``[batch, heads, queries, keys]``, become weights of the same shape.

    `scale` multiplies the scores first.
    """

    scale: float

    def weigh(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """The weights, and what a query must keep to have them again; `seen` counts the keys it sees."""
        ...

    def weigh_again(self, scores: Tensor, kept: Tensor) -> Tensor:
        """The same weights from the same scores."""
        ...

    def gradient(self, weights: Tensor, of_weights: Tensor) -> Tensor:
        """The gradient of the scores, before `scale`."""
        ...


def attend_in_blocks(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source value_width"],
    *,
    rule: Rule,
    causal: bool,
    padding: Bool[Tensor, "batch source"] | None,
    bias: Float[Tensor, "1 heads time source"] | None,
) -> Float[Tensor, "batch heads time value_width"]:
    """The values weighted by `rule`; zeros for a query that sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. Raises ValueError if causal
    with unequal lengths.
    """
    if causal:
        require_equal_lengths(query.shape[2], key.shape[2])
    given = (query, key, value) if bias is None else (query, key, value, bias)
    mixed = ops.custom_gradient(_InBlocks(rule, padding, causal).attend)(*given)
    if padding is None:
        return mixed
    return ops.where(sees_any_key(padding, causal=causal), mixed, ops.zeros_like(mixed))


class _InBlocks:
    """The function of query, key, value and maybe bias, with its gradient."""

    def __init__(self, rule: Rule, padding: Tensor | None, causal: bool) -> None:
        self.rule = rule
        self.padding = padding
        self.causal = causal

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, *bias: Tensor
    ) -> tuple[Tensor, Callable[..., tuple[Tensor, ...]]]:
        mixed, kept = [], []
        for queries, keys in self._blocks(query, key):
            scores = self._scores(query, key, bias, queries, keys)
            weights, to_keep = self.rule.weigh(scores, self._seen(key, queries))
            mixed.append(ops.matmul(ops.cast(weights, value.dtype), value[:, :, keys]))
            kept.append(to_keep)

        def backward(*arguments: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
            of_mixed = arguments[0] if upstream is None else upstream
            return self._backward(query, key, value, bias, kept, of_mixed)

        return _joined(mixed), backward

    def _backward(
        self, query: Tensor, key: Tensor, value: Tensor, bias: tuple[Tensor, ...], kept: Any, of_mixed: Tensor
    ) -> tuple[Tensor, ...]:
        of_key, of_value = ops.zeros_like(key), ops.zeros_like(value)
        of_query, of_bias = [], []
        for (queries, keys), of_block in zip(self._blocks(query, key), kept, strict=True):
            upstream = of_mixed[:, :, queries]
            weights = self.rule.weigh_again(self._scores(query, key, bias, queries, keys), of_block)
            of_weights = ops.matmul(upstream, _transposed(value[:, :, keys]))
            of_scores = self.rule.gradient(weights, ops.cast(of_weights, weights.dtype))
            of_bias.append(_with_rest(ops.sum(of_scores, axis=0, keepdims=True), key, keys, axis=3))
            of_scores = ops.cast(of_scores, query.dtype) * query.shape[-1] ** -0.5
            of_query.append(ops.matmul(of_scores, key[:, :, keys]))
            rows = ops.matmul(_transposed(of_scores), query[:, :, queries])
            of_key = of_key + _with_rest(rows, key, keys, axis=2)
            rows = ops.matmul(_transposed(ops.cast(weights, value.dtype)), upstream)
            of_value = of_value + _with_rest(rows, key, keys, axis=2)
        gradients = (_joined(of_query), of_key, of_value)
        return (*gradients, _joined(of_bias)) if bias else gradients

    def _blocks(self, query: Tensor, key: Tensor) -> Iterator[tuple[slice, slice]]:
        """The queries of each block and the keys that some of them may see."""
        time = query.shape[2]
        if time is None:
            yield slice(None), slice(None)
            return
        for first in range(0, time, BLOCK):
            last = min(first + BLOCK, time)
            yield slice(first, last), slice(0, last) if self.causal else slice(None)

    def _scores(
        self, query: Tensor, key: Tensor, bias: tuple[Tensor, ...], queries: slice, keys: slice
    ) -> Tensor:
        """``[batch, heads, queries, keys]`` in float32 or better; what is hidden is very negative."""
        scaled = query[:, :, queries] * (self.rule.scale / query.shape[-1] ** 0.5)
        scores = ops.matmul(scaled, _transposed(key[:, :, keys]))
        scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
        for one in bias:
            scores = scores + self.rule.scale * ops.cast(one[:, :, queries, keys], scores.dtype)
        visible = None if self.padding is None else self.padding[:, None, None, keys]
        if self.causal:
            rows, columns = ops.shape(scores)[2:]
            earlier = ops.arange(columns)[None, :] <= ops.arange(rows)[:, None] + (queries.start or 0)
            visible = earlier if visible is None else ops.logical_and(earlier, visible)
        if visible is None:
            return scores
        return ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype))

    def _seen(self, key: Tensor, queries: slice) -> Tensor:
        """How many keys each query sees, ``[batch or 1, 1, queries or 1, 1]``."""
        if self.padding is None:
            count = ops.arange(1, ops.shape(key)[2] + 1)[None]
        else:
            count = ops.cumsum(ops.cast(self.padding, "int32"), axis=1)
        return (count[:, queries] if self.causal else count[:, -1:])[:, None, :, None]


def _transposed(tensor: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch columns rows"]:
    return ops.swapaxes(tensor, -1, -2)


def _joined(blocks: list[Tensor]) -> Tensor:
    return blocks[0] if len(blocks) == 1 else ops.concatenate(blocks, axis=2)


def _with_rest(part: Tensor, key: Tensor, keys: slice, *, axis: int) -> Tensor:
    """The part of the first keys with zeros for the others along `axis`."""
    if keys.stop is None or keys.stop == key.shape[2]:
        return part
    margins = [(0, 0)] * 4
    margins[axis] = (0, key.shape[2] - keys.stop)
    return ops.pad(part, margins)
