"""Attention in which every query has chosen its own blocks of keys.

Gathering the keys of each query would move `choices * size` of them for every token. It is turned round:
the (query, block) pairs are sorted by block and cut into tiles of queries that share their block, so that
a pair moves one query, and each tile is a plain product. A query's answers from its blocks are then
merged by their maxima and sums. The backward pass computes the scores again. As shapes must not depend
on what was chosen, there are always as many tiles as could be needed: one for each block in vain.
"""

from collections.abc import Callable

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.visibility import HIDDEN_SCORE

TILE = 64


def attend_to_selected(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads time head_width"],
    value: Float[Tensor, "batch heads time head_width"],
    choice: Int[Tensor, "batch heads time choices"],
    padding: Bool[Tensor, "batch time"] | None,
    *,
    size: int,
    causal: bool,
) -> Float[Tensor, "batch heads time head_width"]:
    """Softmax over the tokens of each query's blocks of `size`; `query` is scaled, and -1 is no block.

    Zeros for a query that sees no token.
    """
    shape, (_, heads, length, width) = ops.shape(query), query.shape
    room = ((0, 0), (0, 0), (0, -length % size), (0, 0))
    real = ops.ones_like(query[:, 0, :, 0], dtype="bool") if padding is None else padding
    real = ops.pad(ops.cast(real, "int32"), ((0, 0), (0, -length % size)))
    real = ops.reshape(ops.repeat(real, heads, axis=0), (-1, size)) > 0
    tiles = _Tiles(ops.reshape(choice, (-1, length, choice.shape[-1])), real, size, causal)
    queries = ops.reshape(query, (-1, length, width))
    blocks = (ops.reshape(ops.pad(part, room), (-1, size, width)) for part in (key, value))
    return ops.reshape(ops.custom_gradient(_Selected(tiles).attend)(queries, *blocks), shape)


class _Selected:
    """The function of queries ``[rows, time, width]`` and of keys and values ``[blocks, size, width]``."""

    def __init__(self, tiles: "_Tiles") -> None:
        self.tiles = tiles

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Callable[..., tuple[Tensor, ...]]]:
        tiles = self.tiles
        scores, visible = tiles.scores(query, key)
        peak = ops.max(scores, axis=-1, keepdims=True)
        weights = ops.where(visible, ops.exp(scores - peak), ops.zeros_like(scores))
        sums = tiles.of_pairs(ops.sum(weights, axis=-1, keepdims=True))
        found = tiles.of_pairs(ops.matmul(ops.cast(weights, value.dtype), tiles.of_blocks(value)))
        peak = tiles.of_pairs(peak)
        peak = ops.where(tiles.exists, peak, ops.cast(HIDDEN_SCORE, peak.dtype))
        largest = ops.max(peak, axis=2, keepdims=True)
        share = ops.where(tiles.exists, ops.exp(peak - largest), ops.zeros_like(peak))
        total = ops.sum(share * sums, axis=2)
        total = ops.where(total > 0, total, ops.ones_like(total))
        mixed = ops.cast(ops.sum(share * ops.cast(found, share.dtype), axis=2) / total, value.dtype)
        normaliser = largest[:, :, 0] + ops.log(total)

        def backward(*arguments: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
            of_mixed = arguments[0] if upstream is None else upstream
            return self._backward(query, key, value, mixed, normaliser, of_mixed)

        return mixed, backward

    def _backward(
        self, query: Tensor, key: Tensor, value: Tensor, mixed: Tensor, normaliser: Tensor, upstream: Tensor
    ) -> tuple[Tensor, ...]:
        tiles = self.tiles
        scores, visible = tiles.scores(query, key)
        weights = ops.exp(scores - tiles.of_queries(normaliser))
        weights = ops.cast(ops.where(visible, weights, ops.zeros_like(weights)), value.dtype)
        coming = tiles.of_queries(upstream)
        of_value = tiles.sum_of_blocks(ops.matmul(_transposed(weights), coming))
        share = tiles.of_queries(ops.sum(upstream * mixed, axis=-1, keepdims=True))
        of_scores = (ops.matmul(coming, _transposed(tiles.of_blocks(value))) - share) * weights
        found = tiles.of_pairs(ops.matmul(of_scores, tiles.of_blocks(key)))
        of_query = ops.sum(ops.where(tiles.exists, found, ops.zeros_like(found)), axis=2)
        of_key = tiles.sum_of_blocks(ops.matmul(_transposed(of_scores), tiles.of_queries(query)))
        return of_query, of_key, of_value


class _Tiles:
    """Pairs of a query and a block, sorted by block, `TILE` to a tile; all rows share them.

    `block [tiles]` and `query [tiles, TILE]` count through all rows; `filled [tiles, TILE]` is False for
    room that a tile has left. `slot` and `exists [rows, time, choices, 1]` say where each pair went.
    """

    def __init__(self, choice: Tensor, real: Tensor, size: int, causal: bool) -> None:
        self.real, self.size, self.causal = real, size, causal
        rows, self.length, choices = ops.shape(choice)
        self.count = -(-self.length // size)
        self.total, pairs = rows * self.count, rows * self.length * choices
        row = ops.cast(ops.arange(rows), "int32")[:, None, None] * self.count
        wanted = ops.reshape(ops.where(choice < 0, self.total, choice + row), (-1,))
        order = ops.argsort(wanted)
        begin = ops.searchsorted(ops.take(wanted, order), ops.cast(ops.arange(self.total + 1), "int32"))
        begin = ops.cast(begin, "int32")
        sizes = begin[1:] - begin[:-1]
        ends = ops.cumsum((sizes + TILE - 1) // TILE)
        first_tile = ops.pad(ends, ((1, 0),))
        number = ops.cast(ops.arange(pairs // TILE + self.total), "int32")
        block = ops.cast(ops.searchsorted(ends, number, side="right"), "int32")
        self.block = ops.minimum(block, self.total - 1)
        rank = (number - ops.take(first_tile, self.block))[:, None] * TILE + ops.arange(TILE, dtype="int32")
        self.filled = rank < ops.take(sizes, self.block)[:, None]
        asked = ops.clip(ops.take(begin, self.block)[:, None] + rank, 0, pairs - 1)
        self.query = ops.take(order, asked) // choices
        place = ops.cast(ops.argsort(order), "int32")  # of each pair in the order of blocks
        slot = ops.take(first_tile, wanted) * TILE + place - ops.take(begin, wanted)
        self.exists = (choice >= 0)[..., None]
        self.slot = ops.where(choice >= 0, ops.reshape(slot, ops.shape(choice)), 0)

    def of_queries(self, tokens: Tensor) -> Tensor:
        """``[rows, time, width]`` to ``[tiles, TILE, width]``."""
        return ops.take(ops.reshape(tokens, (-1, tokens.shape[-1])), self.query, axis=0)

    def of_blocks(self, blocks: Tensor) -> Tensor:
        """``[blocks, size, width]`` to ``[tiles, size, width]``."""
        return ops.take(blocks, self.block, axis=0)

    def of_pairs(self, tiles: Tensor) -> Tensor:
        """``[tiles, TILE, width]`` to ``[rows, time, choices, width]``."""
        return ops.take(ops.reshape(tiles, (-1, tiles.shape[-1])), self.slot, axis=0)

    def sum_of_blocks(self, tiles: Tensor) -> Tensor:
        """``[tiles, size, width]`` to the sums of each block, ``[blocks, size, width]``."""
        return ops.segment_sum(tiles, self.block, num_segments=self.total)

    def scores(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """``[tiles, TILE, size]`` in at least float32, and True where a token is visible."""
        scores = ops.matmul(self.of_queries(query), _transposed(self.of_blocks(key)))
        scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
        real = ops.take(self.real, self.block, axis=0)[:, None]
        visible = ops.logical_and(self.filled[..., None], real)
        if self.causal:
            places = (self.block % self.count * self.size)[:, None] + ops.arange(self.size, dtype="int32")
            earlier = places[:, None] <= (self.query % self.length)[..., None]
            visible = ops.logical_and(visible, earlier)
        return ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype)), visible


def _transposed(tensor: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch columns rows"]:
    return ops.swapaxes(tensor, -1, -2)
