"""Native sparse attention: compressed blocks, the blocks they point to, and a window, gated together.

    out_i = sum over c of sigmoid(W_c x_i + b_c) Attention(q_i, keys_c, values_c),  c one of three branches
    compressed: phi(k_{id} .. k_{id + l - 1}), phi a learned MLP of the block and the places in it
    selected:   the tokens of the n best blocks of l', by the compressed attention that falls on them;
                the first block, the query's own and the one before it are always among them
    window:     the last w tokens; w / 2 on each side if not causal

Time n (n l' + w) d + N^2 d / stride for N tokens and n selected blocks, memory n l' d + N^2 / stride for
scores of the compressed branch. Paper: Yuan and others 2025, arXiv:2502.11089, equations 3 to 12, with
keys and values of their own for each branch (section 3.3.3).

Causal: a compressed block is seen once all its tokens have been, a selected one up to the query itself.
A branch in which a query sees nothing adds nothing. Ties go to the earlier block. The index of equation
9 counts from one: a compressed block gives its weight to a selection block once for each stride of
tokens that they share. Departures: every head selects for itself (equation 10 adds up the heads that
share keys); phi has one hidden layer, of twice the head width, with ReLU. Our own is the form that is
not causal: all blocks are seen that hold a real token, the last ones filled up with zeros. Padded tokens
are zeroed before compression, and a block without a real token is hidden.
"""

import math
from typing import NamedTuple, Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch import sdpa, sliding_window
from implementations.on_torch.decoding import KeyValueCache, empty_cache
from implementations.on_torch.dense import Dense
from implementations.on_torch.native_sparse_blocks import (
    Blocks,
    Compression,
    attend_to_compressed,
    attend_to_one_choice,
    best_blocks,
)
from implementations.on_torch.native_sparse_selection import attend_to_selected
from implementations.on_torch.projected import AttentionLayer, LayerSettings
from implementations.on_torch.visibility import require_equal_lengths

BRANCHES = 3
ALWAYS_SELECTED = 3


class NativeSparseState(NamedTuple):
    """Keys and values so far, branch after branch, and those of the complete compressed blocks."""

    tokens: KeyValueCache
    compressed: KeyValueCache


class NativeSparse(AttentionLayer):
    """Self-attention with three gated branches.

    `compression_block` and `compression_stride` are l and d of the paper, `selection_block` l', `selected`
    n, `window` w, all in tokens but `selected`, in blocks. Raises ValueError for numbers below 1, for
    blocks that the stride does not divide, for a compression block longer than a selection block, and for
    fewer than the three blocks that are always selected.
    """

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
        **settings: Unpack[LayerSettings],
    ) -> None:
        self._require_blocks(compression_block, compression_stride, selection_block, selected, window)
        super().__init__(width, heads, key_heads=BRANCHES * heads, **settings)
        self.blocks = Blocks(compression_block, compression_stride, selection_block, selected)
        self.window = window
        self.gate = Dense(width, BRANCHES * heads)
        self.key_compression = Compression(self.head_width, compression_block, compression_stride)
        self.value_compression = Compression(self.head_width, compression_block, compression_stride)

    @staticmethod
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

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """Each token attends to its own sequence; `padding` is True where a real token stands.

        Raises ValueError for a context of another length and for shapes that do not fit.
        """
        source = query if context is None else context
        self._check(query, source, padding)
        key, value, _ = self._remembered(source, padding)
        mixed = self.mix(
            self._queries(query), key, value, padding, causal=self.causal, gates=self._gates(query)
        )
        return self._join(mixed)

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
        require_equal_lengths(query, key, "native sparse or causal attention")
        keys, values = key.chunk(BRANCHES, dim=1), value.chunk(BRANCHES, dim=1)
        places = torch.arange(query.shape[2], device=query.device)
        scaled = query / math.sqrt(self.head_width)
        seen = self.blocks.sees_compressed(places, query.shape[2], padding, causal=causal)
        compressed, weights = attend_to_compressed(
            scaled, *self._compressed(keys[0], values[0], padding), seen
        )
        seen = self.blocks.sees_selection(places, query.shape[2], padding, causal=causal)
        choice = best_blocks(self.blocks, weights, places, seen)
        selected = attend_to_selected(
            scaled, keys[1], values[1], choice, padding, size=self.blocks.selection, causal=causal
        )
        window = sliding_window.attend(
            query, keys[2], values[2], causal=causal, padding=padding, window=self.window
        )
        return _gated((compressed, selected, window), gates)

    def initial_state(self, batch: int) -> NativeSparseState:
        """No tokens. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        like, width = self.key.weight, self.head_width
        return NativeSparseState(
            empty_cache(like, batch, self.key_heads, width, width),
            empty_cache(like, batch, self.heads, width, width),
        )

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], NativeSparseState]:
        """``forward(tokens)`` and the state after the last of them, at once."""
        state = self.initial_state(tokens.shape[0])
        key, value, _ = self._remembered(tokens, None)
        mixed = self.mix(self._queries(tokens), key, value, None, causal=True, gates=self._gates(tokens))
        complete = self.blocks.complete(tokens.shape[1])
        compressed = (
            part[:, :, :complete]
            for part in self._compressed(key[:, : self.heads], value[:, : self.heads], None)
        )
        state = NativeSparseState(state.tokens.extended(key, value), state.compressed.extended(*compressed))
        return self._join(mixed), state

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: NativeSparseState
    ) -> tuple[Float[Tensor, "batch 1 width"], NativeSparseState]:
        """The answer for the next token, and the state after it; the state that came in is used up."""
        first = state.tokens.length
        key, value, _ = self._remembered(token, None, first)
        state = self._with_new_block(NativeSparseState(state.tokens.extended(key, value), state.compressed))
        keys, values = (part.chunk(BRANCHES, dim=1) for part in state.tokens.filled())
        query = self._queries(token, first)
        scaled, place = query / math.sqrt(self.head_width), torch.tensor([first], device=token.device)
        seen = torch.ones(1, 1, 1, state.compressed.length, dtype=torch.bool, device=token.device)
        compressed, weights = attend_to_compressed(scaled, *state.compressed.filled(), seen)
        seen = self.blocks.sees_selection(place, first + 1, None, causal=True)
        choice = best_blocks(self.blocks, weights, place, seen)
        selected = attend_to_one_choice(scaled, keys[1], values[1], choice, self.blocks.selection)
        near = slice(max(0, first + 1 - self.window), None)
        window = sdpa.attend(query, keys[2][:, :, near], values[2][:, :, near])
        return self._join(_gated((compressed, selected, window), self._gates(token))), state

    def _with_new_block(self, state: NativeSparseState) -> NativeSparseState:
        """The state with the compressed block that its last token completes, if it completes one."""
        length = state.tokens.length
        if self.blocks.complete(length) == state.compressed.length:
            return state
        key, value = (
            part[:, : self.heads, length - self.blocks.compression :] for part in state.tokens.filled()
        )
        key, value = (part[:, :, :1] for part in self._compressed(key, value, None))
        return NativeSparseState(state.tokens, state.compressed.extended(key, value))

    def _compressed(self, key: Tensor, value: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        if padding is not None:
            key, value = (part.masked_fill(~padding[:, None, :, None], 0.0) for part in (key, value))
        return self.key_compression(key), self.value_compression(value)

    def _gates(self, tokens: Tensor) -> Tensor:
        """``[3, batch, heads, time, 1]``, between 0 and 1."""
        gates: Tensor = self.gate(tokens).sigmoid()
        gates = gates.view(*tokens.shape[:2], BRANCHES, self.heads, 1)
        return gates.permute(2, 0, 3, 1, 4)


def _gated(branches: tuple[Tensor, Tensor, Tensor], gates: Tensor | None) -> Tensor:
    if gates is None:
        return branches[0] + branches[1] + branches[2]
    return branches[0] * gates[0] + branches[1] * gates[1] + branches[2] * gates[2]
