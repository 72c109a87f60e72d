"""The rounds of hashed attention: who is in which bucket, and the mixture computed in sorted blocks.

Tokens are sorted by bucket and position and cut into blocks of `size`, with no room left between the
buckets: all that a token may see then lies in its own block and the two before it, or the one after it
too if not causal. The rounds are merged by a running maximum and sum, and the backward pass computes the
scores again. A code names bucket and chunk in one number: two tokens of a round may see one another if
the query's code is the key's or one more. Sequences and heads are one axis, `rows`.
"""

from collections.abc import Callable

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.visibility import HIDDEN_SCORE

# Farther apart than any two chunks of one bucket.
BUCKET_STEP = 2**20
NOWHERE = -BUCKET_STEP
BLOCKS_BEFORE = 2


def buckets_of(
    key: Float[Tensor, "batch heads time head_width"],
    rotations: Float[Tensor, "hashes head_width directions"],
) -> Int[Tensor, "hashes batch heads time"]:
    """The signed direction, among ``2 * directions``, that each key lies nearest to, in every round."""
    rotations = ops.cast(rotations, key.dtype)[:, None, None]
    turned = ops.matmul(ops.stop_gradient(key)[None], rotations)
    return ops.cast(ops.argmax(ops.concatenate([turned, -turned], axis=-1), axis=-1), "int32")


def codes_of(
    key: Float[Tensor, "batch heads time head_width"],
    rotations: Float[Tensor, "hashes head_width directions"],
    size: int,
    padding: Bool[Tensor, "batch time"] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Each token's code, NOWHERE if it is padded; the order of bucket and position; and that order undone.

    All three have the shape ``[hashes, batch, heads, time]``.
    """
    buckets, length, last = buckets_of(key, rotations), key.shape[2], 2 * rotations.shape[-1]
    places = ops.arange(length, dtype="int32")
    if padding is not None:
        real = padding[None, :, None]
        buckets = ops.where(real, buckets, last)
    ordered = ops.sort(buckets * length + places, axis=-1)
    order, ordered = ordered % length, ordered // length
    undone = ops.argsort(order, axis=-1)
    counts = ops.sum(ops.one_hot(buckets, last + 1, dtype="int32"), axis=-2)
    begins = ops.cumsum(counts, axis=-1) - counts
    begin = ops.take_along_axis(begins, ordered, axis=-1)
    codes = ordered * BUCKET_STEP + (places - begin) // size
    codes = ops.take_along_axis(codes, undone, axis=-1)
    return codes if padding is None else ops.where(real, codes, NOWHERE), order, undone


def shares(query_codes: Tensor, key_codes: Tensor) -> Tensor:
    """True where the key is in the query's bucket, in its chunk or the one before."""
    ahead = query_codes - key_codes
    return ops.logical_or(ahead == 0, ahead == 1)


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
    shape, width = ops.shape(query), query.shape[-1]
    codes, order, undone = (
        ops.reshape(part, (part.shape[0], -1, part.shape[-1]))
        for part in codes_of(key, rotations, size, padding)
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
        self.order, self.undone = orders[number], undone[number]
        self.length, self.causal = orders.shape[-1], causal
        self.size = min(size, self.length)
        self.back = -self.length % self.size
        self.reach = BLOCKS_BEFORE + (1 if causal else 2)
        self.codes = [codes[earlier] for earlier in range(number + 1)]

    def blocks(self, tokens: Tensor) -> Tensor:
        """``[rows, time, width]`` to ``[rows, blocks, size, width]`` in sorted order."""
        return self._cut(_taken(tokens, self.order), (0, self.back), 0)

    def windows(self, tokens: Tensor) -> Tensor:
        """The same for keys: ``[rows, blocks, reach * size, width]``."""
        return self._windows(_taken(tokens, self.order), 0)

    def scores(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """``[rows, blocks, size, reach * size]``, and True for the pairs that this round adds."""
        scores = ops.matmul(self.blocks(query), _transposed(self.windows(key)))
        scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
        asking = self._cut(self.order[..., None], (0, self.back), 0)
        asked = _transposed(self._windows(self.order[..., None], -1))
        visible = self._visible()
        if self.causal:
            visible = ops.logical_and(visible, asked <= asking)
        # Its own score is so low that it counts only where it is alone, and then wholly.
        itself = ops.cast(HIDDEN_SCORE / 2, scores.dtype)
        scores = ops.where(asked == asking, itself, scores)
        return ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype)), visible

    def unsorted(self, blocks: Tensor) -> Tensor:
        """Undo `blocks`."""
        flat = ops.reshape(blocks, (-1, blocks.shape[1] * self.size, blocks.shape[-1]))
        return _taken(flat[:, : self.length], self.undone)

    def unsorted_sum(self, windows: Tensor) -> Tensor:
        """Undo `windows`, adding up what several blocks say of one key."""
        total: Tensor = 0
        for shift in range(self.reach):
            part = windows[:, :, shift * self.size : (shift + 1) * self.size]
            total = total + ops.pad(part, ((0, 0), (shift, self.reach - 1 - shift), (0, 0), (0, 0)))
        return self.unsorted(total[:, BLOCKS_BEFORE : BLOCKS_BEFORE + windows.shape[1]])

    def _visible(self) -> Tensor:
        """True where this round finds a pair and none before it did."""
        found = None
        for codes in self.codes[::-1]:
            ordered = _taken(codes[..., None], self.order)
            asking = ops.where(ordered == NOWHERE, 2 * NOWHERE, ordered)
            asking = self._cut(asking, (0, self.back), 0)
            pairs = shares(asking, _transposed(self._windows(ordered, NOWHERE)))
            found = pairs if found is None else ops.logical_and(found, ops.logical_not(pairs))
        return found

    def _windows(self, ordered: Tensor, filling: int) -> Tensor:
        margins = (BLOCKS_BEFORE * self.size, self.back + (0 if self.causal else self.size))
        blocks = self._cut(ordered, margins, filling)
        count = (self.length + self.back) // self.size
        return ops.concatenate([blocks[:, shift : shift + count] for shift in range(self.reach)], axis=2)

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
