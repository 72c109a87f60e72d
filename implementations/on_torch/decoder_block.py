"""A decoder's block: attention to the target so far, attention to what was encoded, a feed-forward part.

    x = x + self_attention(norm(x));  x = x + cross_attention(norm(x), encoded);
    x = x + feed_forward(norm(x))

Paper: Vaswani and others 2017, arXiv:1706.03762, section 3.1. Cross-attention has no relative positions, as
source and target places are not comparable.
"""

from typing import Protocol, Unpack, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from implementations.on_torch.decoding import State
from implementations.on_torch.encoder import Block, build_attention, decoding_layer
from implementations.on_torch.layer import Attention, AttentionSettings
from implementations.on_torch.norms import build_norm


@runtime_checkable
class RecallingLayer(Protocol):
    """An attention layer that keeps what it needs of a context between steps."""

    def remember(self, context: Tensor, padding: Tensor | None = None) -> State:
        """The context, ready to be attended to."""

    def recall(self, query: Tensor, memory: State, first: int = 0) -> Tensor:
        """The answer for queries that begin at `first`."""


class DecoderBlock(Block):
    """Self-attention, attention to what was encoded, and a feed-forward part."""

    def __init__(
        self,
        self_attention: nn.Module,
        cross_attention: nn.Module,
        width: int,
        expansion: float,
        normalisation: str = "pre",
    ) -> None:
        super().__init__(width, expansion, normalisation)
        self.self_attention_norm = build_norm(normalisation, width)
        self.self_attention = self_attention
        self.cross_attention_norm = build_norm(normalisation, width)
        self.cross_attention = cross_attention

    def forward(
        self,
        tokens: Float[Tensor, "batch time width"],
        encoded: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """The tokens after one block; `padding` is True where a real source token stands."""
        attended = self.self_attention(self._enter(self.self_attention_norm, tokens))
        tokens = self._leave(self.self_attention_norm, tokens, attended)
        crossed = self.cross_attention(self._enter(self.cross_attention_norm, tokens), encoded, padding)
        return self._feed_forward(self._leave(self.cross_attention_norm, tokens, crossed))

    def remember(
        self, encoded: Float[Tensor, "batch source width"], padding: Bool[Tensor, "batch source"] | None
    ) -> State:
        """The source as `step` wants it: its keys and values, or itself for a layer that keeps none."""
        if isinstance(self.cross_attention, RecallingLayer):
            return self.cross_attention.remember(encoded, padding)
        return encoded, padding

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State, source: State, first: int
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the token at place `first`, and the self-attention's state after it."""
        entered = self._enter(self.self_attention_norm, token)
        attended, state = decoding_layer(self.self_attention).step(entered, state)
        token = self._leave(self.self_attention_norm, token, attended)
        entered = self._enter(self.cross_attention_norm, token)
        if isinstance(self.cross_attention, RecallingLayer):
            crossed = self.cross_attention.recall(entered, source, first)
        else:
            crossed = self.cross_attention(entered, *source)
        return self._feed_forward(self._leave(self.cross_attention_norm, token, crossed)), state


class BlockSettings(AttentionSettings):
    """What the blocks of both sides are built with."""

    width: int
    expansion: float
    normalisation: str


def build_decoder_blocks(
    attention: Attention, *, layers: int, **settings: Unpack[BlockSettings]
) -> list[DecoderBlock]:
    """`layers` blocks, each with attention layers of its own.

    Raises NotImplementedError for a variant without cross-attention.
    """
    return [_build_decoder_block(attention, **settings) for _ in range(layers)]


def _build_decoder_block(
    attention: Attention,
    *,
    width: int,
    expansion: float,
    normalisation: str,
    **settings: Unpack[AttentionSettings],
) -> DecoderBlock:
    self_attention = build_attention(attention, width=width, normalisation=normalisation, **settings)
    crossing = AttentionSettings(**(settings | {"causal": False, "positions": "none"}))
    cross_attention = build_attention(attention, width=width, normalisation=normalisation, **crossing)
    _try_to_cross(cross_attention, width, settings["max_length"])
    return DecoderBlock(self_attention, cross_attention, width, expansion, normalisation)


def seeing_all(settings: BlockSettings) -> BlockSettings:
    """The same settings for the side of the source, all of which is there from the start."""
    return BlockSettings(**(settings | {"causal": False}))


def _try_to_cross(layer: nn.Module, width: int, max_length: int) -> None:
    """Attend to a context once: nothing else tells whether a layer can."""
    query = torch.zeros(1, 1, width)
    try:
        with torch.no_grad():
            layer(query, query.expand(1, min(2, max_length), width))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise NotImplementedError(
            f"the encoder-decoder needs cross-attention, which this variant does not have: {error}"
        ) from error
