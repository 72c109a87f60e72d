"""An encoder-decoder for translation: what the Transformer was made for.

    encoded = encoder(source);  each decoder block: x = x + self_attention(norm(x));
    x = x + cross_attention(norm(x), encoded);  x = x + feed_forward(norm(x));  logits = table . norm(x)

Paper: Vaswani and others 2017, arXiv:1706.03762, section 3: sinusoidal positions, token tables scaled by
sqrt(width), one table for source, target and head (section 3.4). Departures: pre-norm by default
(``normalisation="post"`` is the paper's), GELU for ReLU, no dropout. Cross-attention has no relative
positions, as source and target places are not comparable; rotary, ALiBi and T5 act in self-attention only.
"""

import math
from functools import partial
from typing import NamedTuple, Unpack

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.absolute_positions import build_positions
from implementations.on_torch.decoder_block import (
    BlockSettings,
    DecoderBlock,
    build_decoder_blocks,
    seeing_all,
)
from implementations.on_torch.decoding import State
from implementations.on_torch.dense import Dense, Table
from implementations.on_torch.encoder import TokenEncoder, build_blocks, decoding_layer
from implementations.on_torch.layer import Attention, AttentionSettings
from implementations.on_torch.norms import build_final_norm


class TranslationState(NamedTuple):
    """What each decoder layer remembers of itself and of the source, and how many tokens were read."""

    layers: tuple[State, ...]
    sources: tuple[State, ...]
    length: int


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
    expansion: float = 4.0,
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
    block = BlockSettings(width=width, expansion=expansion, normalisation=normalisation, **settings)
    # Weights are drawn in this order: encoder, decoder, tables.
    encoder_blocks = build_blocks(attention, layers=encoder_layers, **seeing_all(block))
    decoder_blocks = build_decoder_blocks(attention, layers=decoder_layers, **block)
    place = partial(build_positions, settings.get("positions", "sinusoidal"), settings["max_length"], width)
    return EncoderDecoder(
        TokenEncoder(encoder_blocks, width, place(), normalisation),
        decoder_blocks,
        embedding=Table(vocabulary, width),
        target_embedding=None if target_vocabulary is None else Table(target_vocabulary, width),
        positions=place(),
        head=None if tied else Dense(width, target_vocabulary or vocabulary),
        normalisation=normalisation,
    )


def _scaled(table: Table, tokens: Tensor) -> Tensor:
    embedded: Tensor = table(tokens)
    return embedded * math.sqrt(table.embedding_dim)
