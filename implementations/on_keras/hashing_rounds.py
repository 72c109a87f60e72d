"""The rounds of hashed attention: who is in which bucket, and the mixture computed in sorted blocks.

Tokens are sorted by bucket and position and cut into blocks of `size`: all that a token may see lies in
its own block and the one before. The rounds are merged by a running maximum and sum, and the backward
pass computes the scores again. Sequences and heads are one axis, `rows`.
"""

from collections.abc import Callable

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.hashing_places import NOWHERE, codes_of
from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.visibility import HIDDEN_SCORE


def attend_in_rounds(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads time head_width"],
    value: Float[Tensor, "batch heads time head_width"],
    rotations: Float[Tensor, "hashes head_width directions"],
    padding: Bool[Tensor, "batch time"] | None,
    *,
    causal: bool,
    size: int,
) -> Float[Tensor, "batch heads time head_width"]:
    """The values mixed by softmax over the union of the rounds' keys; zeros for a token without a bucket."""
    shape, width, size = ops.shape(query), query.shape[-1], min(size, query.shape[2])
    codes, order, undone = (
        ops.reshape(part, (part.shape[0], -1, part.shape[-1]))
        for part in codes_of(key, rotations, padding, causal=causal, size=size)
    )
    rounds = [_Round(codes, order, undone, number, causal, size) for number in range(rotations.shape[0])]
    rows = [ops.reshape(part, (-1, part.shape[2], width)) for part in (query, key, value)]
    return ops.reshape(ops.custom_gradient(_Rounds(rounds).attend)(*rows), shape)


class _Rounds:
    """The function of query, key and value, each ``[rows, time, width]``, with its gradient."""

    def __init__(self, rounds: list["_Round"]) -> None:
        self.rounds = rounds

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Callable[..., tuple[Tensor, ...]]]:
        wide = keras.backend.result_type(query.dtype, "float32")
        total = ops.zeros_like(ops.cast(query[..., :1], wide))
        mixed, largest = ops.zeros_like(ops.cast(value, wide)), total + HIDDEN_SCORE
        for a_round in self.rounds:
            scores, visible = a_round.scores(query, key)
            peak = ops.max(scores, axis=-1, keepdims=True)
            weights = ops.where(visible, ops.exp(scores - peak), ops.zeros_like(scores))
            found = ops.matmul(ops.cast(weights, value.dtype), a_round.windows(value))
            sums = a_round.unsorted(ops.sum(weights, axis=-1, keepdims=True))
            peak, found = a_round.unsorted(peak), ops.cast(a_round.unsorted(found), wide)
            higher = ops.maximum(largest, peak)
            old, new = ops.exp(largest - higher), ops.exp(peak - higher)
            total, mixed, largest = total * old + sums * new, mixed * old + found * new, higher
        total = ops.where(total > 0, total, ops.ones_like(total))
        mixed = ops.cast(mixed / total, value.dtype)
        normaliser = largest + ops.log(total)

        def backward(*arguments: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
            of_mixed = arguments[0] if upstream is None else upstream
            return self._backward(query, key, value, mixed, normaliser, of_mixed)

        return mixed, backward

    def _backward(
        self, query: Tensor, key: Tensor, value: Tensor, mixed: Tensor, normaliser: Tensor, upstream: Tensor
    ) -> tuple[Tensor, ...]:
        of_query, of_key, of_value = (ops.zeros_like(part) for part in (query, key, value))
        share = ops.sum(upstream * mixed, axis=-1, keepdims=True)
        for a_round in self.rounds:
            scores, visible = a_round.scores(query, key)
            weights = ops.exp(scores - a_round.blocks(normaliser))
            weights = ops.cast(ops.where(visible, weights, ops.zeros_like(weights)), value.dtype)
            coming = a_round.blocks(upstream)
            of_value = of_value + a_round.unsorted_sum(ops.matmul(_transposed(weights), coming))
            of_scores = ops.matmul(coming, _transposed(a_round.windows(value))) - a_round.blocks(share)
            of_scores = of_scores * weights
            of_query = of_query + a_round.unsorted(ops.matmul(of_scores, a_round.windows(key)))
            rows = ops.matmul(_transposed(of_scores), a_round.blocks(query))
            of_key = of_key + a_round.unsorted_sum(rows)
        return of_query, of_key, of_value


class _Round:
    """One round's sorted order, cut into blocks of queries and the window of keys of each."""

    def __init__(
        self, codes: Tensor, orders: Tensor, undone: Tensor, number: int, causal: bool, size: int
    ) -> None:
        self.order, self.undone, self.number = orders[number], undone[number], number
        self.length, self.size, self.limit = orders.shape[-1], size, size if causal else 1
        self.back = -self.length % size
        self.codes = [codes[earlier] for earlier in range(number + 1)]

    def blocks(self, tokens: Tensor) -> Tensor:
        """``[rows, time, width]`` to ``[rows, blocks, size, width]`` in sorted order."""
        return self._cut(_taken(tokens, self.order), (0, self.back), 0)

    def windows(self, tokens: Tensor) -> Tensor:
        """The same for keys: ``[rows, blocks, 2 * size, width]``."""
        return self._windows(_taken(tokens, self.order), 0)

    def scores(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """``[rows, blocks, size, 2 * size]``, and True for the pairs that this round adds."""
        scores = ops.matmul(self.blocks(query), _transposed(self.windows(key)))
        scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
        visible = self._visible()
        if self.number == 0:
            # Its own score is so low that it counts only where it is alone, and then wholly.
            places = ops.arange(self.size)
            itself = places[:, None] + self.size == ops.arange(2 * self.size)
            scores = ops.where(itself, ops.cast(HIDDEN_SCORE / 2, scores.dtype), scores)
        return ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype)), visible

    def unsorted(self, blocks: Tensor) -> Tensor:
        """Undo `blocks`."""
        flat = ops.reshape(blocks, (-1, blocks.shape[1] * self.size, blocks.shape[-1]))
        return _taken(flat[:, : self.length], self.undone)

    def unsorted_sum(self, windows: Tensor) -> Tensor:
        """Undo `windows`, adding up what several blocks say of one key."""
        before, own = windows[:, :, : self.size], windows[:, :, self.size :]
        return self.unsorted(own + ops.pad(before[:, 1:], ((0, 0), (0, 1), (0, 0), (0, 0))))

    def _visible(self) -> Tensor:
        """True where this round finds a pair and none before it did."""
        found = None
        for codes in self.codes[::-1]:
            ordered = _taken(codes[..., None], self.order)
            asking = self._cut(ops.where(ordered == NOWHERE, -1, ordered), (0, self.back), 0)
            ahead = asking - _transposed(self._windows(ordered, NOWHERE))
            pairs = ops.logical_and(ahead >= 0, ahead <= self.limit)
            found = pairs if found is None else ops.logical_and(found, ops.logical_not(pairs))
        return found

    def _windows(self, ordered: Tensor, filling: int) -> Tensor:
        blocks = self._cut(ordered, (self.size, self.back), filling)
        return ops.concatenate([blocks[:, :-1], blocks[:, 1:]], axis=2)

    def _cut(self, ordered: Tensor, margins: tuple[int, int], filling: int) -> Tensor:
        filled = ops.pad(ordered, ((0, 0), margins, (0, 0)), constant_values=filling)
        return ops.reshape(filled, (-1, sum(margins, self.length) // self.size, self.size, ordered.shape[-1]))


def _taken(tokens: Tensor, order: Tensor) -> Tensor:
    """``[rows, time, width]`` in the order ``[rows, time]``."""
    count, length = ops.shape(order)
    width = tokens.shape[-1]
    rows = ops.cast(ops.arange(count), order.dtype)[:, None] * length
    return ops.take(ops.reshape(tokens, (-1, width)), order + rows, axis=0)


def _transposed(tensor: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch columns rows"]:
    return ops.swapaxes(tensor, -1, -2)
