"""A masked language model, shaped as BERT is: logits of the words that were hidden.

    logits_t = table . norm(gelu(transform(final_norm(blocks(table[tokens] + positions))_t))) + bias

Paper: Devlin and others 2019, BERT, arXiv:1810.04805, section 3.1 and its released code: the head is a
linear map, a GELU, a norm and the table of tokens, and is taken at the hidden positions alone. Departures:
no segments and no prediction of the next sentence. Embedding, positions, blocks and final norm have the
names of `classifiers.TextClassifier`, so that a classifier can start from them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.absolute_positions import build_positions
from implementations.on_keras.encoder import Encoder, EncoderBlock, build_blocks
from implementations.on_keras.keras_types import Layer, Tensor
from implementations.on_keras.language_model import tied_logits
from implementations.on_keras.norms import EPSILON


class MaskedLanguageModel(Encoder):
    """Token numbers to logits of the words that stood there; number 0 is padding."""

    def __init__(
        self,
        blocks: Sequence[EncoderBlock],
        width: int,
        *,
        vocabulary: int,
        positions: Layer,
        normalisation: str = "pre",
        **keras_settings: Any,
    ) -> None:
        super().__init__(blocks, normalisation, **keras_settings)
        self.embedding = keras.layers.Embedding(vocabulary, width)
        self.positions = positions
        self.transform = keras.layers.Dense(width)
        self.transform_norm = keras.layers.LayerNormalization(epsilon=EPSILON)
        self.output_bias = self.add_weight(shape=(vocabulary,), initializer="zeros", name="output_bias")

    def call(
        self,
        tokens: Int[Tensor, "batch time"],
        padding: Bool[Tensor, "batch time"] | None = None,
        places: Int[Tensor, "batch hidden"] | None = None,
    ) -> Float[Tensor, "batch asked vocabulary"]:
        """Logits at `places`, or at every position; `padding` is True where a real token stands, taken from
        the tokens when not given."""
        real = ops.not_equal(tokens, 0) if padding is None else padding
        encoded = self.encode(self.positions(self.embedding(tokens)), real)
        if places is not None:
            encoded = ops.take_along_axis(encoded, places[:, :, None], axis=1)
        told = self.transform_norm(ops.gelu(self.transform(encoded), approximate=False))
        return tied_logits(told, self.embedding) + ops.cast(self.output_bias, told.dtype)


def build_masked_lm(
    attention: type | Callable[..., Any],
    *,
    width: int,
    max_length: int,
    vocabulary: int,
    layers: int = 2,
    expansion: float = 4.0,
    positions: str = "learned",
    normalisation: str = "pre",
    **settings: Any,
) -> MaskedLanguageModel:
    """The model ``model(tokens, padding, places) -> logits``, with its weights made.

    `settings` (`heads`, `causal`, `options`, …) as for `build_layer`.
    """
    settings |= {"width": width, "max_length": max_length, "positions": positions}
    model = MaskedLanguageModel(
        build_blocks(attention, layers=layers, expansion=expansion, normalisation=normalisation, **settings),
        width,
        vocabulary=vocabulary,
        positions=build_positions(positions, max_length, width),
        normalisation=normalisation,
    )
    shape = (None, max_length)
    model(keras.KerasTensor(shape, dtype="int32"), keras.KerasTensor(shape, dtype="bool"))
    return model
