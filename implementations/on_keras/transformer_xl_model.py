"""A Transformer-XL language model: it reads segment after segment and remembers the ones before.

    h_l' = block_l(h_l, memory_l);  memory_l after = last m of (memory_l, h_l), without gradient

Attention looks from a segment to the segment and its layer's memory; layer upon layer the past that a
prediction depends on grows by m tokens. Time per segment n (n + m), whatever came before. Paper: Dai and
others 2019, arXiv:1901.02860, section 3.2. It needs a layer with ``with_memory(tokens, memory)``, whose
positions are relative: absolute ones would give tokens of all segments the same places. Departures:
pre-norm by default (memories are taken before the norm), no adaptive softmax, no dropout.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from bench.schema import RELATIVE_POSITIONS
from implementations.on_keras.absolute_positions import NoPositions
from implementations.on_keras.encoder import EncoderBlock, build_attention
from implementations.on_keras.keras_types import Layer, Tensor
from implementations.on_keras.language_model import LanguageModel, require_causal


class TransformerXLBlock(EncoderBlock):
    """A block whose attention sees its layer's memory as well."""

    def call(
        self,
        tokens: Float[Tensor, "batch time width"],
        padding: Bool[Tensor, "batch time"] | None = None,
        memory: Float[Tensor, "batch memory_length width"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """The tokens after one block; `memory` holds the tokens before them, as they entered this block."""
        if memory is None or memory.shape[1] == 0:
            return super().call(tokens, padding)
        attention: Any = self.attention
        entered, remembered = (self._enter(self.attention_norm, part) for part in (tokens, memory))
        return self._finish(tokens, attention.with_memory(entered, remembered))


class TransformerXLLanguageModel(LanguageModel):
    """Token numbers to logits of the next token, with a memory of `memory_length` tokens a layer."""

    def __init__(
        self,
        blocks: Sequence[EncoderBlock],
        width: int,
        *,
        vocabulary: int,
        memory_length: int,
        normalisation: str = "pre",
        tied: bool = True,
        **keras_settings: Any,
    ) -> None:
        super().__init__(
            blocks,
            width,
            vocabulary=vocabulary,
            positions=NoPositions(),
            normalisation=normalisation,
            tied=tied,
            **keras_settings,
        )
        self.memory_length = memory_length

    def call(
        self, tokens: Int[Tensor, "batch time"], memory: Sequence[Tensor] | None = None
    ) -> Float[Tensor, "batch time vocabulary"]:
        """Logits at every position of a segment that follows those in `memory` (None: the first one)."""
        return self.logits(self._encode_segment(tokens, memory)[0])

    def read(
        self, tokens: Int[Tensor, "batch time"], memory: Sequence[Tensor] | None = None
    ) -> tuple[Float[Tensor, "batch time vocabulary"], list[Tensor]]:
        """``call(tokens, memory)`` and the memory for the next segment: for each layer the last
        `memory_length` tokens that entered it, ``[batch, at most memory_length, width]``, no gradient."""
        encoded, entered = self._encode_segment(tokens, memory)
        before = [None] * len(entered) if memory is None else memory
        kept = [self._kept(old, new) for old, new in zip(before, entered, strict=True)]
        return self.logits(encoded), kept

    def _encode_segment(self, tokens: Tensor, memory: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """The encoded segment, and what entered each block."""
        encoded, entered = self.positions(self.embedding(tokens)), []
        before = [None] * len(self.blocks) if memory is None else memory
        for block, remembered in zip(self.blocks, before, strict=True):
            entered.append(encoded)
            encoded = block(encoded, memory=remembered)
        return self.final_norm(encoded), entered

    def _kept(self, old: Tensor | None, new: Tensor) -> Tensor:
        new = ops.stop_gradient(new)
        tokens = new if old is None else ops.concatenate([old, new], axis=1)
        return tokens[:, -self.memory_length :]


def build_transformer_xl_lm(
    attention: type | Callable[..., Any],
    *,
    width: int,
    max_length: int,
    vocabulary: int,
    memory_length: int | None = None,
    causal: bool = True,
    layers: int = 2,
    expansion: float = 4.0,
    positions: str = "none",
    normalisation: str = "pre",
    tied: bool = True,
    **settings: Any,
) -> TransformerXLLanguageModel:
    """The model ``model(tokens, memory=None) -> logits``; `memory_length` (default: `max_length`) in tokens.

    `settings` (`heads`, `options`, …) as for `build_layer`. Raises ValueError unless `causal`, and for
    positions that a model adds; NotImplementedError for a variant without ``with_memory``.
    """
    require_causal(causal)
    if positions not in ("none", *RELATIVE_POSITIONS):
        raise ValueError(
            f"memory across segments needs relative positions, got {positions!r}: "
            f"use none (the variant's own) or one of {', '.join(RELATIVE_POSITIONS)}"
        )
    length = max_length if memory_length is None else memory_length
    if length < 1:
        raise ValueError(f"memory_length must be at least 1 token, got {length}")
    settings |= {"width": width, "max_length": max_length, "causal": True, "positions": positions}

    def make_attention() -> Layer:
        layer = build_attention(attention, normalisation=normalisation, **settings)
        if not hasattr(layer, "with_memory"):
            raise NotImplementedError(
                f"{type(layer).__name__} has no memory across segments: it needs with_memory(tokens, memory)"
            )
        return layer

    model = TransformerXLLanguageModel(
        [TransformerXLBlock(make_attention(), width, expansion, normalisation) for _ in range(layers)],
        width,
        vocabulary=vocabulary,
        memory_length=length,
        normalisation=normalisation,
        tied=tied,
    )
    model(keras.KerasTensor((None, max_length), dtype="int32"))
    return model
