"""A Transformer-XL language model: it reads segment after segment and remembers the ones before.

    h_l' = block_l(h_l, memory_l);  memory_l after = last m of (memory_l, h_l), without gradient

Attention looks from a segment to the segment and its layer's memory; layer upon layer the past that a
prediction depends on grows by m tokens. Time per segment n (n + m), whatever came before. Paper: Dai and
others 2019, arXiv:1901.02860, section 3.2. It needs a layer with ``with_memory(tokens, memory)``, whose
positions are relative: absolute ones would give tokens of all segments the same places. Departures:
pre-norm by default (memories are taken before the norm), no adaptive softmax, no dropout.
"""

from collections.abc import Sequence
from typing import Protocol, Unpack, cast, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from bench.schema import RELATIVE_POSITIONS
from implementations.on_torch.absolute_positions import NoPositions
from implementations.on_torch.encoder import EncoderBlock, build_attention
from implementations.on_torch.language_model import LanguageModel, require_causal
from implementations.on_torch.layer import Attention, AttentionSettings


@runtime_checkable
class RemembersSegments(Protocol):
    """What an attention layer needs for memory across segments."""

    def with_memory(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """The answer for the tokens, which follow those of the memory ``[batch, memory_length, width]``."""


class TransformerXLBlock(EncoderBlock):
    """A block whose attention sees its layer's memory as well."""

    def forward(
        self,
        tokens: Float[Tensor, "batch time width"],
        padding: Bool[Tensor, "batch time"] | None = None,
        memory: Float[Tensor, "batch memory_length width"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """The tokens after one block; `memory` holds the tokens before them, as they entered this block."""
        if memory is None or memory.shape[1] == 0:
            return super().forward(tokens, padding)
        attention = cast(RemembersSegments, self.attention)
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
    ) -> None:
        super().__init__(
            list(blocks),
            width,
            vocabulary=vocabulary,
            positions=NoPositions(),
            normalisation=normalisation,
            tied=tied,
        )
        self.memory_length = memory_length

    def forward(
        self, tokens: Int[Tensor, "batch time"], memory: Sequence[Tensor] | None = None
    ) -> Float[Tensor, "batch time vocabulary"]:
        """Logits at every position of a segment that follows those in `memory` (None: the first one)."""
        return self.logits(self._encode_segment(tokens, memory)[0])

    def read(
        self, tokens: Int[Tensor, "batch time"], memory: Sequence[Tensor] | None = None
    ) -> tuple[Float[Tensor, "batch time vocabulary"], list[Tensor]]:
        """``forward(tokens, memory)`` and the memory for the next segment: for each layer the last
        `memory_length` tokens that entered it, ``[batch, at most memory_length, width]``, detached."""
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
            encoded = block(encoded, None, remembered)
        return self.final_norm(encoded), entered

    def _kept(self, old: Tensor | None, new: Tensor) -> Tensor:
        tokens = new.detach() if old is None else torch.cat((old, new.detach()), dim=1)
        return tokens[:, max(tokens.shape[1] - self.memory_length, 0) :]


def build_transformer_xl_lm(
    attention: Attention,
    *,
    width: int,
    vocabulary: int,
    memory_length: int | None = None,
    layers: int = 2,
    expansion: float = 4.0,
    normalisation: str = "pre",
    tied: bool = True,
    **settings: Unpack[AttentionSettings],
) -> TransformerXLLanguageModel:
    """The model ``model(tokens, memory=None) -> logits``; `memory_length` (default: `max_length`) in tokens.

    Raises ValueError unless `causal`, and for positions that a model adds; NotImplementedError for a
    variant without ``with_memory``.
    """
    require_causal(settings)
    positions = settings.get("positions", "none")
    if positions not in ("none", *RELATIVE_POSITIONS):
        raise ValueError(
            f"memory across segments needs relative positions, got {positions!r}: "
            f"use none (the variant's own) or one of {', '.join(RELATIVE_POSITIONS)}"
        )
    length = settings["max_length"] if memory_length is None else memory_length
    if length < 1:
        raise ValueError(f"memory_length must be at least 1 token, got {length}")

    def make_attention() -> nn.Module:
        layer = build_attention(attention, width=width, normalisation=normalisation, **settings)
        if not hasattr(layer, "with_memory"):
            raise NotImplementedError(
                f"{type(layer).__name__} has no memory across segments: it needs with_memory(tokens, memory)"
            )
        return layer

    blocks = [TransformerXLBlock(make_attention(), width, expansion, normalisation) for _ in range(layers)]
    return TransformerXLLanguageModel(
        blocks,
        width,
        vocabulary=vocabulary,
        memory_length=length,
        normalisation=normalisation,
        tied=tied,
    )
