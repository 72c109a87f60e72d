"""Softmax attention between blocks of tokens: near ones, a few that all see, a few drawn at random.

    out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j, for j in the blocks that the block of i sees
    a block sees those within window_blocks // 2 of it, the first `global_blocks` and `random_blocks`
    drawn ones; the global blocks see everything; causal: of all that, j <= i

Time n b (w + g + r) d and memory n (b + d) (w + g + r) for w + g + r blocks of b tokens. Paper: Zaheer and
others 2020, BigBird, arXiv:2007.14062, section 2 and appendix D, with global tokens among the sequence's
own (ITC). Departures: random blocks are drawn as `implementations.block_pattern` says, so that neither the
length nor what follows changes what a token sees; the paper has no causal form.

The keys that a block of queries sees are gathered beside one another; a block that is absent from the
pattern is one more block of hidden keys. Lengths must be known when a graph is traced: the pattern is
drawn for them.
"""

import math
from typing import Any

import keras
import numpy as np
from jaxtyping import Bool, Float
from keras import ops

from implementations.block_pattern import ABSENT, BlockPattern, blocks_seen, blocks_seen_by
from implementations.on_keras import softmax
from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.layer_interface import require_equal_lengths
from implementations.on_keras.patterned import PatternedAttention
from implementations.on_keras.visibility import HIDDEN_SCORE, softmax_over_keys


@keras.saving.register_keras_serializable(package="attnbench")
class BlockSparse(PatternedAttention):
    """BigBird's attention with blocks of `block` tokens.

    Raises ValueError for a block below 1, an even window and counts below 0.
    """

    own_settings = ("block", "window_blocks", "global_blocks", "random_blocks", "seed")

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        block: int = 64,
        window_blocks: int = 3,
        global_blocks: int = 2,
        random_blocks: int = 3,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        _require_block(block)
        super().__init__(width, heads, **settings)
        self.block = block
        self.window_blocks = window_blocks
        self.global_blocks = global_blocks
        self.random_blocks = random_blocks
        self.seed = seed
        self._pattern = BlockPattern(
            window_blocks=window_blocks,
            global_blocks=global_blocks,
            random_blocks=random_blocks,
            seed=seed,
        )

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """What the kernel answers."""
        return attend(
            query, key, value, causal=causal, padding=padding, block=self.block, pattern=self._pattern
        )

    def _seen_by(self, position: int) -> list[int]:
        """The positions that a causal query sees."""
        own = position // self.block
        if own < self.global_blocks:
            return list(range(position + 1))
        _, *earlier = blocks_seen_by(self._pattern, own, own + 1)
        starts = [block * self.block for block in earlier]
        whole = [start + place for start in starts for place in range(self.block)]
        return whole + list(range(own * self.block, position + 1))


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    block: int = 64,
    pattern: BlockPattern = BlockPattern(),  # noqa: B008  # it is frozen
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values in the blocks it sees, weighted by softmax; zeros if it sees no key.

    `block` counts tokens; the last block may be shorter. `padding` is True where a real token stands.
    Raises ValueError for a block below 1, for a context of another length, whose blocks are not these, and
    for a length that is not known yet.
    """
    require_equal_lengths(query.shape[2], key.shape[2])
    _require_block(block)
    length = query.shape[2]
    if length is None:
        raise ValueError("block-sparse attention needs a length that is known when it is traced, got None")
    start = pattern.global_blocks * block
    if start >= length:  # every block is global: this is plain attention
        return softmax.attend(query, key, value, causal=causal, padding=padding)
    mixed = _attend_in_blocks(query, key, value, padding, block, pattern, causal=causal)
    if start == 0:
        return mixed
    source = start if causal else length
    among_all = softmax.attend(
        query[:, :, :start],
        key[:, :, :source],
        value[:, :, :source],
        causal=causal,
        padding=None if padding is None else padding[:, :source],
    )
    return ops.concatenate([among_all, mixed], axis=2)


def _require_block(block: int) -> None:
    if block < 1:
        raise ValueError(f"block must be at least 1 token, got {block}")


def _attend_in_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    size: int,
    pattern: BlockPattern,
    *,
    causal: bool,
) -> Tensor:
    """The answer for all queries behind the global blocks."""
    length, width = query.shape[2:]
    blocks = math.ceil(length / size)
    rows = blocks_seen(pattern, blocks, causal=causal)
    # One more block, all of it hidden, stands in for those that are absent.
    seen = np.where(rows == ABSENT, blocks, rows)
    start = pattern.global_blocks * size
    queries = _blocks(query[:, :, start:] / math.sqrt(width), size, blocks - pattern.global_blocks)
    keys, values = (_gathered(_blocks(part, size, blocks + 1), seen) for part in (key, value))
    real = ops.ones((1, length), dtype="bool") if padding is None else padding
    visible = _gathered(_blocks(real[:, None, :, None], size, blocks + 1), seen)
    visible = ops.swapaxes(visible, -1, -2)
    if causal:
        visible = ops.logical_and(visible, _own_past(size, seen.shape[1]))
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2))
    scores = ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype))
    mixed = ops.matmul(softmax_over_keys(scores), values)
    if padding is not None:
        mixed = ops.where(ops.any(visible, axis=-1, keepdims=True), mixed, ops.zeros_like(mixed))
    batch, heads, count, _, width = ops.shape(mixed)
    return ops.reshape(mixed, (batch, heads, count * size, width))[:, :, : length - start]


def _blocks(part: Tensor, size: int, count: int) -> Tensor:
    """``[batch, heads, count, size, width]``; zeros and False fill up the end."""
    batch, heads, length, width = ops.shape(part)
    room = ops.zeros((batch, heads, count * size - length, width), dtype=part.dtype)
    filled = ops.concatenate([part, room], axis=2)
    return ops.reshape(filled, (batch, heads, count, size, width))


def _gathered(blocks: Tensor, seen: Any) -> Tensor:
    """The blocks that each row of `seen` names, ``[batch, heads, rows, reach * size, width]``."""
    batch, heads, _, size, width = ops.shape(blocks)
    count, reach = seen.shape
    taken = ops.take(blocks, seen.reshape(-1), axis=2)
    return ops.reshape(taken, (batch, heads, count, reach * size, width))


def _own_past(size: int, reach: int) -> Any:
    """Of a block's own keys, which come first, the past ones; of the others all: ``[size, reach * size]``."""
    past = np.ones((size, reach * size), dtype=bool)
    past[:, :size] = np.tri(size, dtype=bool)
    return past


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="block_sparse.attend")(attend)
