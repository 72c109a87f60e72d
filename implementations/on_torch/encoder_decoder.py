"""An encoder-decoder for translation: what the Transformer was made for.

    encoded = encoder(source);  each decoder block: x = x + self_attention(norm(x));
    x = x + cross_attention(norm(x), encoded);  x = x + feed_forward(norm(x));  logits = table . norm(x)

Paper: Vaswani and others 2017, arXiv:1706.03762, section 3: sinusoidal positions, token tables scaled by
sqrt(width), one table for source, target and head (section 3.4). Departures: pre-norm by default
(``normalisation="post"`` is the paper's), GELU for ReLU, no dropout. Cross-attention has no relative
positions, as source and target places are not comparable; rotary, ALiBi and T5 act in self-attention only.
"""

import math
from typing import NamedTuple, Protocol, Unpack, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.absolute_positions import build_positions
from implementations.on_torch.decoding import State
from implementations.on_torch.dense import Dense, Table
from implementations.on_torch.encoder import (
    Block,
    TokenEncoder,
    build_attention,
    build_blocks,
    decoding_layer,
)
from implementations.on_torch.layer import Attention, AttentionSettings
from implementations.on_torch.norms import build_final_norm, build_norm


class TranslationState(NamedTuple):
    """What each decoder layer remembers of itself and of the source, and how many tokens were read."""

    layers: tuple[State, ...]
    sources: tuple[State, ...]
    length: int


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
        expansion: int,
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


class EncoderDecoder(nn.Module):
    """Source and target token numbers to logits of the target's next token; source number 0 is padding.

    `target_embedding` is None where source and target share one table; the encoder adds the source's
    positions and `positions` the target's.
    """

    def __init__(
        self,
        encoder: TokenEncoder,
        blocks: list[DecoderBlock],
        *,
        embedding: Table,
        target_embedding: Table | None,
        positions: nn.Module,
        head: Dense | None,
        normalisation: str = "pre",
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.target_embedding = target_embedding
        self.positions = positions
        self.encoder = encoder
        self.blocks = nn.ModuleList(blocks)
        self.final_norm = build_final_norm(normalisation, embedding.embedding_dim)
        self.head = head

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target: Int[Tensor, "batch time"],
        source_padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time vocabulary"]:
        """Logits of the token after each of the target's; `source_padding` is True for real tokens, taken
        from the source when not given. Raises ValueError beyond `max_length`."""
        encoded, padding = self._encode(source, source_padding)
        tokens = self._targets(target, 0)
        for block in self.blocks:
            tokens = block(tokens, encoded, padding)
        return self._logits(tokens)

    def begin(
        self,
        source: Int[Tensor, "batch source"],
        source_padding: Bool[Tensor, "batch source"] | None = None,
    ) -> TranslationState:
        """The state before the target's first token: the source is encoded once, here.

        Raises NotImplementedError for a variant that does not decode.
        """
        encoded, padding = self._encode(source, source_padding)
        blocks = self._decoders()
        layers = (decoding_layer(block.self_attention).initial_state(source.shape[0]) for block in blocks)
        return TranslationState(tuple(layers), tuple(block.remember(encoded, padding) for block in blocks), 0)

    def step(
        self, token: Int[Tensor, " batch"], state: TranslationState
    ) -> tuple[Float[Tensor, "batch vocabulary"], TranslationState]:
        """The logits after one more target token, and the state; the state that came in is used up."""
        tokens, layers = self._targets(token[:, None], state.length), []
        for block, own, source in zip(self._decoders(), state.layers, state.sources, strict=True):
            tokens, after = block.step(tokens, own, source, state.length)
            layers.append(after)
        return self._logits(tokens)[:, 0], TranslationState(tuple(layers), state.sources, state.length + 1)

    def _decoders(self) -> list[DecoderBlock]:
        return [block for block in self.blocks if isinstance(block, DecoderBlock)]

    def _encode(self, source: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        real = source != 0 if padding is None else padding
        return self.encoder(_scaled(self.embedding, source), real), real

    def _targets(self, target: Tensor, first: int) -> Tensor:
        placed: Tensor = self.positions(_scaled(self._target_table(), target), first)
        return placed

    def _target_table(self) -> Table:
        return self.embedding if self.target_embedding is None else self.target_embedding

    def _logits(self, tokens: Tensor) -> Tensor:
        decoded = self.final_norm(tokens)
        if self.head is None:
            return functional.linear(decoded, self._target_table().weight)
        own: Tensor = self.head(decoded)
        return own


def build_encoder_decoder(
    attention: Attention,
    *,
    width: int,
    vocabulary: int,
    target_vocabulary: int | None = None,
    encoder_layers: int = 2,
    decoder_layers: int = 2,
    expansion: int = 4,
    normalisation: str = "pre",
    tied: bool = True,
    **settings: Unpack[AttentionSettings],
) -> EncoderDecoder:
    """The model ``model(source, target[, source_padding]) -> logits [batch, time, target vocabulary]``.

    With a `target_vocabulary` source and target have a table each. `max_length` covers both; `causal` is
    the decoder's self-attention and must be True. Other `settings` as for `build_layer`. Raises
    NotImplementedError for a variant without cross-attention.
    """
    if not settings["causal"]:
        raise ValueError("the decoder must not see the token it is to tell: build it with causal=True")
    positions = settings.get("positions", "sinusoidal")
    encoding = AttentionSettings(**(settings | {"causal": False}))
    blocks = build_blocks(
        attention,
        width=width,
        layers=encoder_layers,
        expansion=expansion,
        normalisation=normalisation,
        **encoding,
    )
    decoder = [
        DecoderBlock(
            build_attention(attention, width=width, normalisation=normalisation, **settings),
            _cross_attention(attention, width, normalisation, encoding),
            width,
            expansion,
            normalisation,
        )
        for _ in range(decoder_layers)
    ]
    longest = settings["max_length"]
    return EncoderDecoder(
        TokenEncoder(blocks, width, build_positions(positions, longest, width), normalisation),
        decoder,
        embedding=Table(vocabulary, width),
        target_embedding=None if target_vocabulary is None else Table(target_vocabulary, width),
        positions=build_positions(positions, longest, width),
        head=None if tied else Dense(width, target_vocabulary or vocabulary),
        normalisation=normalisation,
    )


def _cross_attention(
    attention: Attention, width: int, normalisation: str, encoding: AttentionSettings
) -> nn.Module:
    """A layer that attends to a context, tried out, because nothing else tells whether it can."""
    settings = AttentionSettings(**(encoding | {"positions": "none"}))
    layer = build_attention(attention, width=width, normalisation=normalisation, **settings)
    query = torch.zeros(1, 1, width)
    try:
        with torch.no_grad():
            layer(query, query.expand(1, min(2, encoding["max_length"]), width))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise NotImplementedError(
            f"the encoder-decoder needs cross-attention, which this variant does not have: {error}"
        ) from error
    return layer


def _scaled(table: Table, tokens: Tensor) -> Tensor:
    embedded: Tensor = table(tokens)
    return embedded * math.sqrt(table.embedding_dim)
