"""Blocks of native sparse attention: how they are compressed, who sees them, and which are the best.

A compressed block i holds the `compression` tokens from i * stride on, a selection block j those of
j * selection on. A sequence has as many blocks as begin in it; the last may be incomplete.
"""

from typing import Any, NamedTuple

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.keras_types import Layer, Shape, Tensor
from implementations.on_keras.visibility import HIDDEN_SCORE, softmax_over_keys

HIDDEN_LAYER_FACTOR = 2
ALWAYS = 1e30


class Blocks(NamedTuple):
    """Lengths in tokens of a compressed block, of the stride between two, and of a selection block; and
    how many of the latter are selected."""

    compression: int
    stride: int
    selection: int
    selected: int

    def complete(self, length: int) -> int:
        """How many compressed blocks lie wholly within the first `length` tokens."""
        return max(0, (length - self.compression) // self.stride + 1)

    def sees_compressed(
        self, places: Tensor, length: int, padding: Tensor | None, *, causal: bool
    ) -> Bool[Tensor, "#batch 1 #time blocks"]:
        """True where a query at one of `places` sees a compressed block of `length` tokens."""
        blocks = ops.arange(-(-length // self.stride), dtype="int32")
        ends = blocks * self.stride + self.compression - 1
        seen = (ends <= places[:, None])[None, None] if causal else (ends >= 0)[None, None, None]
        if padding is None:
            return seen
        return ops.logical_and(seen, _real_tokens(padding, self.compression, self.stride) > 0)

    def sees_selection(
        self, places: Tensor, length: int, padding: Tensor | None, *, causal: bool
    ) -> Bool[Tensor, "#batch 1 #time blocks"]:
        """The same for selection blocks, of which a query sees those with a token at or before it."""
        numbers = ops.arange(-(-length // self.selection), dtype="int32")
        own = places[:, None] // self.selection
        seen = (numbers <= own)[None, None] if causal else (numbers >= 0)[None, None, None]
        if padding is None:
            return seen
        seen = ops.logical_and(seen, _real_tokens(padding, self.selection, self.selection) > 0)
        if not causal:
            return seen
        # The query's own block holds later tokens too, and those must not make it visible.
        counted = ops.pad(ops.cumsum(ops.cast(padding, "int32"), axis=1), ((0, 0), (1, 0)))
        before = ops.take(counted, own[:, 0] * self.selection, axis=1)
        begun = ops.take(counted, places + 1, axis=1) > before
        return ops.logical_and(seen, ops.logical_or(begun[:, None, :, None], numbers != own))


def _real_tokens(padding: Tensor, size: int, stride: int) -> Tensor:
    """How many real tokens the blocks hold, ``[batch, 1, 1, blocks]``."""
    length = padding.shape[1]
    counted = ops.pad(ops.cumsum(ops.cast(padding, "int32"), axis=1), ((0, 0), (1, 0)))
    begins = ops.arange(0, length, stride, dtype="int32")
    ends = ops.minimum(begins + size, length)
    return (ops.take(counted, ends, axis=1) - ops.take(counted, begins, axis=1))[:, None, None]


@keras.saving.register_keras_serializable(package="attnbench")
class Compression(Layer):
    """One vector for each block of `block` tokens, `stride` apart: an MLP of all of them and their places.

    The first map is applied to each stretch of `stride` tokens once and the results are added up over
    the block, so that overlapping blocks are never copied.
    """

    def __init__(self, head_width: int, block: int, stride: int, **keras_settings: Any) -> None:
        super().__init__(**keras_settings)
        self.head_width, self.block, self.stride = head_width, block, stride
        self.hidden_map, self.output_map = (
            keras.layers.Dense(units, dtype=self.dtype_policy, name=name)
            for units, name in ((HIDDEN_LAYER_FACTOR * head_width, "hidden"), (head_width, "output"))
        )

    def build(self, tokens_shape: Shape) -> None:
        """Make the weights, whose shapes are those of the blocks."""
        shape = (self.block, self.head_width)
        self.positions = self.add_weight(shape=shape, initializer="random_uniform", name="positions")
        self.hidden_map.build((None, self.block * self.head_width))
        self.output_map.build((None, HIDDEN_LAYER_FACTOR * self.head_width))

    def call(
        self, tokens: Float[Tensor, "batch heads time head_width"]
    ) -> Float[Tensor, "batch heads blocks head_width"]:
        """As many as begin within the tokens; behind the last token stand zeros."""
        _, heads, length, width = tokens.shape
        blocks = -(-length // self.stride)
        filled = (blocks - 1) * self.stride + self.block
        stretches = ops.pad(tokens, ((0, 0), (0, 0), (0, filled - length), (0, 0)))
        stretches = ops.reshape(stretches, (-1, heads, filled // self.stride, self.stride * width))
        hidden = self.hidden_map(ops.cast(ops.reshape(self.positions, (1, -1)), tokens.dtype))[0]
        maps = ops.split(self.hidden_map.kernel, self.block // self.stride, axis=0)
        for number, kernel in enumerate(maps):
            part = stretches[:, :, number : number + blocks]
            hidden = hidden + ops.matmul(part, ops.cast(kernel, tokens.dtype))
        return self.output_map(ops.relu(hidden))

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        return {"positions": self.positions, "hidden": self.hidden_map, "output": self.output_map}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"head_width": self.head_width, "block": self.block, "stride": self.stride}
        return super().get_config() | own


def attend_to_compressed(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads blocks head_width"],
    value: Float[Tensor, "batch heads blocks head_width"],
    seen: Bool[Tensor, "#batch 1 #time blocks"],
) -> tuple[Float[Tensor, "batch heads time head_width"], Float[Tensor, "batch heads time blocks"]]:
    """The compressed branch and its weights, equation 8; `query` is scaled. Zeros where nothing is seen."""
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    weights = softmax_over_keys(ops.where(seen, scores, ops.cast(HIDDEN_SCORE, scores.dtype)))
    weights = ops.where(seen, weights, ops.zeros_like(weights))
    return ops.matmul(weights, value), weights


def best_blocks(
    blocks: Blocks,
    weights: Float[Tensor, "batch heads time compressed"],
    places: Int[Tensor, " time"],
    seen: Bool[Tensor, "#batch 1 #time selection"],
) -> Int[Tensor, "batch heads time choices"]:
    """The selection blocks of each query, best first, equations 9 to 12; -1 where it sees no more."""
    count = seen.shape[-1]
    weights = ops.cast(weights, keras.backend.result_type(weights.dtype, "float32"))
    importance = _importance(blocks, ops.stop_gradient(weights), count)
    numbers, own = ops.arange(count, dtype="int32"), places[:, None] // blocks.selection
    always = ops.logical_or(numbers == 0, ops.logical_or(numbers == own, numbers == own - 1))
    importance = ops.where(always, ops.cast(ALWAYS, importance.dtype), importance)
    importance = ops.where(seen, importance, ops.cast(-1, importance.dtype))
    best = ops.argsort(-importance, axis=-1)[..., : min(blocks.selected, count)]
    return ops.where(ops.take_along_axis(importance, best, axis=-1) < 0, -1, best)


def _importance(blocks: Blocks, weights: Tensor, count: int) -> Tensor:
    """Equation 9: what falls on each stride of tokens, added up over a selection block."""
    overlap, strides = blocks.compression // blocks.stride, blocks.selection // blocks.stride
    room = (overlap - 1, count * strides - weights.shape[-1])
    padded = ops.pad(weights, ((0, 0), (0, 0), (0, 0), room))
    fallen = padded[..., : count * strides]
    for shift in range(1, overlap):
        fallen = fallen + padded[..., shift : shift + count * strides]
    return ops.sum(ops.reshape(fallen, (-1, *weights.shape[1:3], count, strides)), axis=-1)


def attend_to_one_choice(
    query: Float[Tensor, "batch heads 1 head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    choice: Int[Tensor, "batch heads 1 choices"],
    size: int,
) -> Float[Tensor, "batch heads 1 head_width"]:
    """The selected branch of the last token: its blocks are gathered. `query` is scaled."""
    heads, source = key.shape[1:3]
    chosen = choice[:, :, 0, :, None]
    places = chosen * size + ops.arange(size, dtype="int32")
    places = ops.reshape(ops.where(chosen < 0, source, places), (-1, heads, choice.shape[-1] * size))
    hidden = (places >= source)[:, :, None]
    rows = ops.minimum(places, source - 1)[..., None]
    keys, values = (ops.take_along_axis(part, rows, axis=2) for part in (key, value))
    scores = ops.matmul(query, ops.swapaxes(keys, -1, -2))
    scores = ops.where(hidden, ops.cast(HIDDEN_SCORE, scores.dtype), scores)
    return ops.matmul(softmax_over_keys(scores), values)
