"""The document's image generator: an encoder and a decoder from embedded tokens to RGB in 0 to 1.

    encoder layer, input x:    a = norm1(attention(x, x) + x)
                             out = norm2(contract(relu(expand(a))) + x)
    decoder layer, input x:    a = norm1(self_attention(x, x) + x)
                               c = norm2(cross_attention(a, encoder output) + x)
                             out = norm3(contract(relu(expand(c))) + x)
    generator:            colour = sigmoid(head(decoder output))

The later residuals come from the layer's *input* x, not from the step before: that is the document's,
and kept. Each head is as wide as the tokens (Keras's ``key_dim = width``), `expand` and `contract` keep
the width, every map has a bias, norms have Keras's default epsilon of 1e-3. There is no mask and there
are no positions: shuffling the decoder's tokens shuffles the output, shuffling the encoder's changes
nothing. With `softmax`, width 64, 4 heads and 2 + 2 layers it holds 432,963 parameters.

The settings and the data of the document's training run are in `document`, and reachable from here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from jaxtyping import Float

from implementations.on_keras.document import CHANNELS, DOCUMENT_TRAINING, DocumentTraining, document_data
from implementations.on_keras.keras_types import Layer, Model, Tensor
from implementations.on_keras.layer import build_layer, symbolic_tokens

__all__ = [
    "DOCUMENT_TRAINING",
    "DecoderLayer",
    "DocumentTraining",
    "EncoderLayer",
    "ImageGenerator",
    "build_image_generator",
    "document_data",
]


class EncoderLayer(Layer):
    """One encoder layer around `attention`, for tokens of `width`."""

    def __init__(self, attention: Layer, width: int, **keras_settings: Any) -> None:
        super().__init__(**keras_settings)
        self.attention = attention
        self.norm1 = keras.layers.LayerNormalization()
        self.expand = keras.layers.Dense(width, activation="relu")
        self.contract = keras.layers.Dense(width)
        self.norm2 = keras.layers.LayerNormalization()

    def call(self, tokens: Float[Tensor, "batch source width"]) -> Float[Tensor, "batch source width"]:
        """The tokens after one layer."""
        attended = self.norm1(self.attention(tokens) + tokens)
        return self.norm2(self.contract(self.expand(attended)) + tokens)


class DecoderLayer(Layer):
    """One decoder layer around two attentions, for tokens of `width`."""

    def __init__(
        self, self_attention: Layer, cross_attention: Layer, width: int, **keras_settings: Any
    ) -> None:
        super().__init__(**keras_settings)
        self.self_attention = self_attention
        self.norm1 = keras.layers.LayerNormalization()
        self.cross_attention = cross_attention
        self.norm2 = keras.layers.LayerNormalization()
        self.expand = keras.layers.Dense(width, activation="relu")
        self.contract = keras.layers.Dense(width)
        self.norm3 = keras.layers.LayerNormalization()

    def call(
        self, tokens: Float[Tensor, "batch time width"], encoded: Float[Tensor, "batch source width"]
    ) -> Float[Tensor, "batch time width"]:
        """The tokens after one layer that looks at the `encoded` ones."""
        attended = self.norm1(self.self_attention(tokens) + tokens)
        crossed = self.norm2(self.cross_attention(attended, encoded) + tokens)
        return self.norm3(self.contract(self.expand(crossed)) + tokens)


class ImageGenerator(Model):
    """The generator, from its layers; `build_image_generator` makes one around a variant."""

    def __init__(
        self, encoder: Sequence[EncoderLayer], decoder: Sequence[DecoderLayer], **keras_settings: Any
    ) -> None:
        super().__init__(**keras_settings)
        self.encoder = list(encoder)
        self.decoder = list(decoder)
        self.head = keras.layers.Dense(CHANNELS, activation="sigmoid")

    def call(
        self,
        encoder_tokens: Float[Tensor, "batch source width"],
        decoder_tokens: Float[Tensor, "batch time width"],
    ) -> Float[Tensor, "batch time 3"]:
        """One colour for each decoder token."""
        for encode in self.encoder:
            encoder_tokens = encode(encoder_tokens)
        for decode in self.decoder:
            decoder_tokens = decode(decoder_tokens, encoder_tokens)
        return self.head(decoder_tokens)


def build_image_generator(
    attention: type | Callable[..., Any],
    *,
    width: int = DOCUMENT_TRAINING.width,
    heads: int = DOCUMENT_TRAINING.heads,
    causal: bool = False,
    max_length: int | None = None,
    options: Mapping[str, Any] | None = None,
    encoder_layers: int = DOCUMENT_TRAINING.encoder_layers,
    decoder_layers: int = DOCUMENT_TRAINING.decoder_layers,
) -> ImageGenerator:
    """The generator, ``model(encoder_tokens, decoder_tokens) -> [batch, time, 3]``, with its weights made.

    Raises ValueError when `causal` is asked for: every pixel sees every other.
    """
    if causal:
        raise ValueError(
            "the image generator has no causal form, every pixel sees every other: build it with causal=False"
        )

    def attend() -> Layer:
        return build_layer(
            attention, width=width, heads=heads, max_length=max_length, options=options, head_width=width
        )

    model = ImageGenerator(
        [EncoderLayer(attend(), width) for _ in range(encoder_layers)],
        [DecoderLayer(attend(), attend(), width) for _ in range(decoder_layers)],
    )
    tokens = symbolic_tokens(max_length, width)
    model(tokens, tokens)
    return model
