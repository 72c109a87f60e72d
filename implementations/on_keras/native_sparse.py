"""Native sparse attention: compressed blocks, the blocks they point to, and a window, gated together.

    out_i = sum over c of sigmoid(W_c x_i + b_c) Attention(q_i, keys_c, values_c),  c one of three branches
    compressed: phi(k_{id} .. k_{id + l - 1}), phi a learned MLP of the block and the places in it
    selected:   the tokens of the n best blocks of l', by the compressed attention that falls on them;
                the first block, the query's own and the one before it are always among them
    window:     the last w tokens; w / 2 on each side if not causal

Time n (n l' + w) d + N^2 d / stride for N tokens and n selected blocks, memory N (n l' + n d + w) + N^2 /
stride. Paper: Yuan and others 2025, arXiv:2502.11089, equations 3 to 12 and section 3.3.3. The twin of
the torch one, with its departures: every head selects for itself; phi has one hidden layer of twice the
head width with ReLU; the form that is not causal is our own and sees all blocks that hold a real token,
the last ones filled up with zeros. Lengths must be known when a graph is traced.
"""

import math
from typing import Any, NamedTuple

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.decoding import KeyValueCache, empty_cache
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.layer_interface import require_equal_lengths, require_padding, require_tokens
from implementations.on_keras.native_sparse_blocks import (
    Blocks,
    Compression,
    attend_to_compressed,
    attend_to_one_choice,
    best_blocks,
)
from implementations.on_keras.native_sparse_selection import attend_to_selected
from implementations.on_keras.native_sparse_window import attend_to_window
from implementations.on_keras.projected import AttentionLayer

BRANCHES = 3
ALWAYS_SELECTED = 3


class NativeSparseState(NamedTuple):
    """Keys and values so far, branch after branch, and those of the complete compressed blocks."""

    tokens: KeyValueCache
    compressed: KeyValueCache


@keras.saving.register_keras_serializable(package="attnbench")
class NativeSparse(AttentionLayer):
    """Self-attention with three gated branches.

    `compression_block` and `compression_stride` are l and d of the paper, `selection_block` l', `selected`
    n, `window` w, all in tokens but `selected`, in blocks. Raises ValueError for numbers below 1, for
    blocks that the stride does not divide, for a compression block longer than a selection block, and for
    fewer than the three blocks that are always selected.
    """

    own_settings = ("compression_block", "compression_stride", "selection_block", "selected", "window")

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        compression_block: int = 32,
        compression_stride: int = 16,
        selection_block: int = 64,
        selected: int = 16,
        window: int = 512,
        **settings: Any,
    ) -> None:
        _require_blocks(compression_block, compression_stride, selection_block, selected, window)
        super().__init__(width, heads, key_heads=BRANCHES * heads, **settings)
        self.compression_block, self.compression_stride = compression_block, compression_stride
        self.selection_block, self.selected, self.window = selection_block, selected, window
        self.gate = keras.layers.Dense(BRANCHES * heads, dtype=self.dtype_policy, name="gate")
        self.key_compression, self.value_compression = (
            Compression(
                self.head_width, compression_block, compression_stride, dtype=self.dtype_policy, name=name
            )
            for name in ("key_compression", "value_compression")
        )

    @property
    def blocks(self) -> Blocks:
        """The lengths of all blocks."""
        return Blocks(self.compression_block, self.compression_stride, self.selection_block, self.selected)

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        super().build(query_shape)
        self.gate.build(query_shape)
        for compression in (self.key_compression, self.value_compression):
            compression.build((None, self.heads, None, self.head_width))

    def compute_output_shape(
        self, query_shape: Shape, context_shape: Shape | None = None, padding_shape: Shape | None = None
    ) -> Shape:
        """That of the query; said here since not every backend can trace an open batch."""
        return query_shape

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        own = ("gate", "key_compression", "value_compression")
        return super().exported() | {name: getattr(self, name) for name in own}

    def call(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """Each token attends to its own sequence; `padding` is True where a real token stands.

        Raises ValueError for a context of another length and for shapes that do not fit.
        """
        source = query if context is None else context
        require_tokens("query", query, self.width)
        require_tokens("context", source, self.width)
        if padding is not None:
            require_padding(padding, source)
        key, value, _ = self._remembered(source, padding)
        gates = self._gates(query)
        mixed = self.mix(self._queries(query), key, value, padding, causal=self.causal, gates=gates)
        return self._merge(mixed)

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch key_heads source head_width"],
        value: Float[Tensor, "batch key_heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
        gates: Float[Tensor, "3 batch heads time 1"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """The branches' sum, each weighted by its gate; None: all gates open.

        Keys and values hold the heads of the three branches one after the other. Raises ValueError unless
        there are as many keys as queries.
        """
        length, blocks = query.shape[2], self.blocks
        require_equal_lengths(length, key.shape[2])
        keys, values = ops.split(key, BRANCHES, axis=1), ops.split(value, BRANCHES, axis=1)
        places = ops.arange(length, dtype="int32")
        scaled = query / math.sqrt(self.head_width)
        seen = blocks.sees_compressed(places, length, padding, causal=causal)
        compressed, weights = attend_to_compressed(
            scaled, *self._compressed(keys[0], values[0], padding), seen
        )
        seen = blocks.sees_selection(places, length, padding, causal=causal)
        choice = best_blocks(blocks, weights, places, seen)
        selected = attend_to_selected(
            scaled, keys[1], values[1], choice, padding, size=blocks.selection, causal=causal
        )
        window = attend_to_window(scaled, keys[2], values[2], padding, causal=causal, window=self.window)
        return _gated((compressed, selected, window), gates)

    def initial_state(self, batch: int) -> NativeSparseState:
        """No tokens. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        dtype, width = self.compute_dtype, self.head_width
        return NativeSparseState(
            empty_cache(dtype, batch, self.key_heads, width, width),
            empty_cache(dtype, batch, self.heads, width, width),
        )

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], NativeSparseState]:
        """``call(tokens)`` and the state after the last of them, at once."""
        state = self.initial_state(int(tokens.shape[0]))
        key, value, _ = self._remembered(tokens, None)
        mixed = self.mix(self._queries(tokens), key, value, None, causal=True, gates=self._gates(tokens))
        kept = state.tokens.extended(key, value)
        complete = self.blocks.complete(int(tokens.shape[1]))
        if not complete:
            return self._merge(mixed), NativeSparseState(kept, state.compressed)
        new = (
            part[:, :, :complete]
            for part in self._compressed(key[:, : self.heads], value[:, : self.heads], None)
        )
        return self._merge(mixed), NativeSparseState(kept, state.compressed.extended(*new))

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: NativeSparseState
    ) -> tuple[Float[Tensor, "batch 1 width"], NativeSparseState]:
        """The answer for the next token, and the state after it."""
        first = state.tokens.length
        key, value, _ = self._remembered(token, None, first)
        state = self._with_new_block(NativeSparseState(state.tokens.extended(key, value), state.compressed))
        keys, values = (ops.split(part, BRANCHES, axis=1) for part in state.tokens.filled())
        scaled = self._queries(token, first) / math.sqrt(self.head_width)
        place = ops.arange(first, first + 1, dtype="int32")
        compressed, weights = self._compressed_answer(scaled, values[0], state.compressed)
        seen = self.blocks.sees_selection(place, first + 1, None, causal=True)
        choice = best_blocks(self.blocks, weights, place, seen)
        selected = attend_to_one_choice(scaled, keys[1], values[1], choice, self.blocks.selection)
        near = slice(max(0, first + 1 - self.window), None)
        window = attend_to_window(
            scaled, keys[2][:, :, near], values[2][:, :, near], None, causal=False, window=None
        )
        return self._merge(_gated((compressed, selected, window), self._gates(token))), state

    def _compressed_answer(
        self, query: Tensor, value: Tensor, compressed: KeyValueCache
    ) -> tuple[Tensor, Tensor]:
        """The compressed branch while decoding; before the first complete block it adds nothing."""
        if not compressed.length:
            return ops.zeros_like(query), ops.zeros_like(value[..., :1, :1])
        seen = ops.ones((1, 1, 1, compressed.length), dtype="bool")
        return attend_to_compressed(query, *compressed.filled(), seen)

    def _with_new_block(self, state: NativeSparseState) -> NativeSparseState:
        """The state with the compressed block that its last token completes, if it completes one."""
        length = state.tokens.length
        if self.blocks.complete(length) == state.compressed.length:
            return state
        key, value = (
            part[:, : self.heads, length - self.compression_block :] for part in state.tokens.filled()
        )
        key, value = (part[:, :, :1] for part in self._compressed(key, value, None))
        return NativeSparseState(state.tokens, state.compressed.extended(key, value))

    def _compressed(self, key: Tensor, value: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        if padding is not None:
            real = padding[:, None, :, None]
            key, value = (ops.where(real, part, ops.zeros_like(part)) for part in (key, value))
        return self.key_compression(key), self.value_compression(value)

    def _gates(self, tokens: Tensor) -> Tensor:
        """``[3, batch, heads, time, 1]``, between 0 and 1."""
        batch, time, _ = ops.shape(tokens)
        gates = ops.reshape(ops.sigmoid(self.gate(tokens)), (batch, time, BRANCHES, self.heads, 1))
        return ops.transpose(gates, (2, 0, 3, 1, 4))


def _require_blocks(length: int, stride: int, selection: int, selected: int, window: int) -> None:
    if min(stride, window) < 1 or length % stride or selection % stride or not 1 <= length <= selection:
        raise ValueError(
            "native sparse attention needs a window and a compression_stride of at least 1, a "
            "compression_block up to the selection_block and a stride that divides both, got window "
            f"{window}, stride {stride}, compression_block {length} and selection_block {selection}"
        )
    if selected < ALWAYS_SELECTED:
        raise ValueError(
            f"selected must be at least {ALWAYS_SELECTED} blocks, as the first, the own and the one "
            f"before it always are, got {selected}"
        )


def _gated(branches: tuple[Tensor, Tensor, Tensor], gates: Tensor | None) -> Tensor:
    if gates is None:
        return branches[0] + branches[1] + branches[2]
    return branches[0] * gates[0] + branches[1] * gates[1] + branches[2] * gates[2]
