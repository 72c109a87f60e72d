"""A pre-norm Transformer encoder around any attention.

    x = x + attention(norm(x));   x = x + contract(gelu(expand(norm(x))));   a norm after the last block

Pre-norm, after Xiong et al., https://arxiv.org/abs/2002.04745. The norms' epsilon is 1e-5 and the
GELU the exact one (with the error function, not tanh), as in the torch twin. There is no dropout, so
training and evaluation run the same code.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Layer, Model, Tensor
from implementations.on_keras.layer import build_layer, symbolic_tokens

EPSILON = 1e-5


class EncoderBlock(Layer):
    """One block around `attention`, for tokens of `width`; it is ``expansion * width`` wide inside."""

    def __init__(self, attention: Layer, width: int, expansion: int = 4, **keras_settings: Any) -> None:
        super().__init__(**keras_settings)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=EPSILON)
        self.attention = attention
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=EPSILON)
        self.expand = keras.layers.Dense(expansion * width)
        self.contract = keras.layers.Dense(width)

    def call(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """The tokens after attention and feed-forward; `padding` is True where a real token stands."""
        tokens = tokens + self.attention(self.attention_norm(tokens), padding=padding)
        expanded = ops.gelu(self.expand(self.feed_forward_norm(tokens)), approximate=False)
        return tokens + self.contract(expanded)


class Encoder(Model):
    """Blocks and a final norm: tokens ``[batch, time, width]`` to tokens of the same shape."""

    def __init__(self, blocks: Sequence[EncoderBlock], **keras_settings: Any) -> None:
        super().__init__(**keras_settings)
        self.blocks = list(blocks)
        self.final_norm = keras.layers.LayerNormalization(epsilon=EPSILON)

    def call(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """The encoded tokens; `padding` is True where a real token stands."""
        for block in self.blocks:
            tokens = block(tokens, padding=padding)
        return self.final_norm(tokens)


def build_blocks(
    attention: type | Callable[..., Any],
    *,
    width: int,
    layers: int,
    expansion: int = 4,
    **attention_settings: Any,
) -> list[EncoderBlock]:
    """`layers` blocks, each around an attention of its own; `attention_settings` as for `build_layer`."""
    return [
        EncoderBlock(build_layer(attention, width=width, **attention_settings), width, expansion)
        for _ in range(layers)
    ]


def build_encoder(
    attention: type | Callable[..., Any],
    *,
    width: int,
    heads: int,
    causal: bool = False,
    max_length: int | None = None,
    options: Mapping[str, Any] | None = None,
    layers: int = 2,
    expansion: int = 4,
) -> Encoder:
    """An encoder, ``model(tokens[, padding])``, with its weights made."""
    blocks = build_blocks(
        attention,
        width=width,
        layers=layers,
        expansion=expansion,
        heads=heads,
        causal=causal,
        max_length=max_length,
        options=options,
    )
    model = Encoder(blocks)
    model(symbolic_tokens(max_length, width))
    return model
