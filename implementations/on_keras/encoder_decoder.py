"""An encoder-decoder for translation: what the Transformer was made for.

    encoded = encoder(source);  each decoder block: x = x + self_attention(norm(x));
    x = x + cross_attention(norm(x), encoded);  x = x + feed_forward(norm(x));  logits = table . norm(x)

Paper: Vaswani and others 2017, arXiv:1706.03762, section 3: sinusoidal positions, token tables scaled by
sqrt(width), one table for source, target and head (section 3.4). Departures: pre-norm by default
(``normalisation="post"`` is the paper's), GELU for ReLU, no dropout. Cross-attention has no relative
positions, as source and target places are not comparable; rotary, ALiBi and T5 act in self-attention only.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.absolute_positions import build_positions
from implementations.on_keras.decoder_block import DecoderBlock, build_decoder_blocks
from implementations.on_keras.decoding import State
from implementations.on_keras.encoder import TokenEncoder, build_blocks, decoding_layer
from implementations.on_keras.keras_types import Layer, Model, Tensor
from implementations.on_keras.language_model import tied_logits
from implementations.on_keras.norms import build_final_norm


class TranslationState(NamedTuple):
    """What each decoder layer remembers of itself and of the source, and how many tokens were read."""

    layers: tuple[State, ...]
    sources: tuple[State, ...]
    length: int


class EncoderDecoder(Model):
    """Source and target token numbers to logits of the target's next token; source number 0 is padding.

    `target_embedding` is None where source and target share one table; the encoder adds the source's
    positions and `positions` the target's.
    """

    def __init__(
        self,
        encoder: TokenEncoder,
        blocks: Sequence[DecoderBlock],
        width: int,
        *,
        embedding: Layer,
        target_embedding: Layer | None,
        positions: Layer,
        head: Layer | None,
        normalisation: str = "pre",
        **keras_settings: Any,
    ) -> None:
        super().__init__(**keras_settings)
        self.scale = math.sqrt(width)
        self.embedding = embedding
        self.target_embedding = target_embedding
        self.positions = positions
        self.encoder = encoder
        self.blocks = list(blocks)
        self.final_norm = build_final_norm(normalisation)
        self.head = head

    def call(
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
            tokens = block(tokens, encoded, padding=padding)
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
        batch = int(source.shape[0])
        layers = (decoding_layer(block.self_attention).initial_state(batch) for block in self.blocks)
        return TranslationState(
            tuple(layers), tuple(block.remember(encoded, padding) for block in self.blocks), 0
        )

    def step(
        self, token: Int[Tensor, " batch"], state: TranslationState
    ) -> tuple[Float[Tensor, "batch vocabulary"], TranslationState]:
        """The logits after one more target token, and the state."""
        tokens, layers = self._targets(token[:, None], state.length), []
        for block, own, source in zip(self.blocks, state.layers, state.sources, strict=True):
            tokens, after = block.step(tokens, own, source, state.length)
            layers.append(after)
        return self._logits(tokens)[:, 0], TranslationState(tuple(layers), state.sources, state.length + 1)

    def _encode(self, source: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        real = ops.not_equal(source, 0) if padding is None else padding
        return self.encoder(self.embedding(source) * self.scale, padding=real), real

    def _targets(self, target: Tensor, first: int) -> Tensor:
        return self.positions(self._target_table()(target) * self.scale, first=first)

    def _target_table(self) -> Layer:
        return self.embedding if self.target_embedding is None else self.target_embedding

    def _logits(self, tokens: Tensor) -> Tensor:
        decoded = self.final_norm(tokens)
        return tied_logits(decoded, self._target_table()) if self.head is None else self.head(decoded)


def build_encoder_decoder(
    attention: type | Callable[..., Any],
    *,
    width: int,
    max_length: int,
    vocabulary: int,
    target_vocabulary: int | None = None,
    causal: bool = True,
    encoder_layers: int = 2,
    decoder_layers: int = 2,
    expansion: float = 4.0,
    positions: str = "sinusoidal",
    normalisation: str = "pre",
    tied: bool = True,
    **settings: Any,
) -> EncoderDecoder:
    """The model ``model(source, target[, source_padding]) -> logits``, with its weights made.

    With a `target_vocabulary` source and target have a table each. `max_length` covers both; `causal` is
    the decoder's self-attention and must be True. Other `settings` as for `build_layer`. Raises
    NotImplementedError for a variant without cross-attention.
    """
    if not causal:
        raise ValueError("the decoder must not see the token it is to tell: build it with causal=True")
    settings |= {
        "width": width,
        "max_length": max_length,
        "expansion": expansion,
        "positions": positions,
        "normalisation": normalisation,
    }
    # Weights are drawn in this order: encoder, decoder, tables.
    encoder_blocks = build_blocks(attention, layers=encoder_layers, causal=False, **settings)
    decoder_blocks = build_decoder_blocks(attention, layers=decoder_layers, **settings)
    place = partial(build_positions, positions, max_length, width)
    model = EncoderDecoder(
        TokenEncoder(encoder_blocks, place(), normalisation),
        decoder_blocks,
        width,
        embedding=keras.layers.Embedding(vocabulary, width),
        target_embedding=keras.layers.Embedding(target_vocabulary, width) if target_vocabulary else None,
        positions=place(),
        head=None if tied else keras.layers.Dense(target_vocabulary or vocabulary),
        normalisation=normalisation,
    )
    tokens = keras.KerasTensor((None, max_length), dtype="int32")
    model(tokens, tokens)
    return model
