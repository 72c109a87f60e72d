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
from typing import Any, NamedTuple

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.absolute_positions import build_positions
from implementations.on_keras.decoding import State
from implementations.on_keras.encoder import (
    Block,
    TokenEncoder,
    build_attention,
    build_blocks,
    decoding_layer,
)
from implementations.on_keras.keras_types import Layer, Model, Tensor
from implementations.on_keras.language_model import tied_logits
from implementations.on_keras.norms import build_final_norm, build_norm


class TranslationState(NamedTuple):
    """What each decoder layer remembers of itself and of the source, and how many tokens were read."""

    layers: tuple[State, ...]
    sources: tuple[State, ...]
    length: int


class DecoderBlock(Block):
    """Self-attention, attention to what was encoded, and a feed-forward part."""

    def __init__(
        self,
        self_attention: Layer,
        cross_attention: Layer,
        width: int,
        expansion: int,
        normalisation: str = "pre",
        **keras_settings: Any,
    ) -> None:
        super().__init__(width, expansion, normalisation, **keras_settings)
        self.self_attention_norm = build_norm(normalisation)
        self.self_attention = self_attention
        self.cross_attention_norm = build_norm(normalisation)
        self.cross_attention: Any = cross_attention

    def call(
        self,
        tokens: Float[Tensor, "batch time width"],
        encoded: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """The tokens after one block; `padding` is True where a real source token stands."""
        attended = self.self_attention(self._enter(self.self_attention_norm, tokens))
        tokens = self._leave(self.self_attention_norm, tokens, attended)
        entered = self._enter(self.cross_attention_norm, tokens)
        crossed = self.cross_attention(entered, encoded, padding=padding)
        return self._feed_forward(self._leave(self.cross_attention_norm, tokens, crossed))

    @property
    def recalls(self) -> bool:
        """Whether the cross-attention keeps what it needs of a context between steps."""
        return all(hasattr(self.cross_attention, name) for name in ("remember", "recall"))

    def remember(
        self, encoded: Float[Tensor, "batch source width"], padding: Bool[Tensor, "batch source"] | None
    ) -> State:
        """The source as `step` wants it: its keys and values, or itself for a layer that keeps none."""
        return self.cross_attention.remember(encoded, padding) if self.recalls else (encoded, padding)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State, source: State, first: int
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the token at place `first`, and the self-attention's state after it."""
        entered = self._enter(self.self_attention_norm, token)
        attended, state = decoding_layer(self.self_attention).step(entered, state)
        token = self._leave(self.self_attention_norm, token, attended)
        entered = self._enter(self.cross_attention_norm, token)
        if self.recalls:
            crossed = self.cross_attention.recall(entered, source, first)
        else:
            encoded, padding = source
            crossed = self.cross_attention(entered, encoded, padding=padding)
        return self._feed_forward(self._leave(self.cross_attention_norm, token, crossed)), state


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
    expansion: int = 4,
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
    settings |= {"width": width, "max_length": max_length, "normalisation": normalisation}
    own = settings | {"positions": positions, "causal": True}
    blocks = build_blocks(attention, layers=encoder_layers, expansion=expansion, **(own | {"causal": False}))
    decoder = [
        DecoderBlock(
            build_attention(attention, **own),
            _cross_attention(attention, **settings),
            width,
            expansion,
            normalisation,
        )
        for _ in range(decoder_layers)
    ]
    model = EncoderDecoder(
        TokenEncoder(blocks, build_positions(positions, max_length, width), normalisation),
        decoder,
        width,
        embedding=keras.layers.Embedding(vocabulary, width),
        target_embedding=keras.layers.Embedding(target_vocabulary, width) if target_vocabulary else None,
        positions=build_positions(positions, max_length, width),
        head=None if tied else keras.layers.Dense(target_vocabulary or vocabulary),
        normalisation=normalisation,
    )
    tokens = keras.KerasTensor((None, max_length), dtype="int32")
    model(tokens, tokens)
    return model


def _cross_attention(attention: type | Callable[..., Any], **settings: Any) -> Layer:
    """A layer that attends to a context, tried out, because nothing else tells whether it can."""
    layer = build_attention(attention, causal=False, positions="none", **settings)
    query = ops.zeros((1, 1, settings["width"]), dtype=layer.compute_dtype)
    context = ops.repeat(query, min(2, settings["max_length"]), axis=1)
    try:
        layer(query, context)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise NotImplementedError(
            f"the encoder-decoder needs cross-attention, which this variant does not have: {error}"
        ) from error
    return layer
