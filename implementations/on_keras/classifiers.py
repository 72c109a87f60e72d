"""Classifiers of text and of image patches around any attention.

    logits = head(mean over tokens (encoder(embedding(x) + positions)))

The embedding is a learned table for text and a linear map for patches; positions are a learned table
of `max_length` rows unless `positions` says otherwise. Both tables start uniform in -0.05 to 0.05. The
text's mean goes over real tokens only; a text without any gets the mean 0.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.absolute_positions import Positions, build_positions
from implementations.on_keras.encoder import Encoder, EncoderBlock, build_blocks
from implementations.on_keras.keras_types import Layer, Tensor
from implementations.on_keras.layer import symbolic_tokens

__all__ = [
    "Classifier",
    "PatchClassifier",
    "Positions",
    "TextClassifier",
    "build_patch_classifier",
    "build_text_classifier",
]


class Classifier(Encoder):
    """What all classifiers share: an embedding, positions, blocks, a final norm and a linear head."""

    def __init__(
        self,
        blocks: Sequence[EncoderBlock],
        *,
        embedding: Layer,
        positions: Layer,
        classes: int,
        normalisation: str = "pre",
        **keras_settings: Any,
    ) -> None:
        super().__init__(blocks, normalisation, **keras_settings)
        self.embedding = embedding
        self.positions = positions
        self.head = keras.layers.Dense(classes)


class TextClassifier(Classifier):
    """Token ids and their padding to logits; id 0 is padding."""

    def call(
        self, tokens: Int[Tensor, "batch time"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch classes"]:
        """`padding` is True where a real token stands; None: where the id is not 0."""
        real = ops.not_equal(tokens, 0) if padding is None else padding
        return self.from_embedded(self.embedding(tokens), real)

    def from_embedded(
        self, embedded: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits from vectors in the place of the tokens' own: what attacks and explanations vary."""
        encoded = self.encode(self.positions(embedded), padding)
        weights = ops.cast(padding, encoded.dtype)[:, :, None]
        count = ops.maximum(ops.sum(weights, axis=1), 1)
        return self.head(ops.sum(encoded * weights, axis=1) / count)


class PatchClassifier(Classifier):
    """Patches of an image to logits; all patches are real."""

    def call(self, patches: Float[Tensor, "batch time patch_width"]) -> Float[Tensor, "batch classes"]:
        """One row of logits for each image."""
        encoded = self.encode(self.positions(self.embedding(patches)))
        return self.head(ops.mean(encoded, axis=1))


def build_text_classifier(
    attention: type | Callable[..., Any],
    *,
    width: int,
    max_length: int,
    vocabulary: int,
    classes: int,
    layers: int = 2,
    expansion: float = 4.0,
    positions: str = "learned",
    normalisation: str = "pre",
    **settings: Any,
) -> TextClassifier:
    """A text classifier, ``model(tokens, padding) -> logits [batch, classes]``, with its weights made.

    `settings` (`heads`, `causal`, `options`, …) as for `build_layer`.
    """
    settings |= {"width": width, "max_length": max_length, "positions": positions}
    model = TextClassifier(
        build_blocks(attention, layers=layers, expansion=expansion, normalisation=normalisation, **settings),
        embedding=keras.layers.Embedding(vocabulary, width),
        positions=build_positions(positions, max_length, width),
        classes=classes,
        normalisation=normalisation,
    )
    shape = (None, max_length)
    model(keras.KerasTensor(shape, dtype="int32"), keras.KerasTensor(shape, dtype="bool"))
    return model


def build_patch_classifier(
    attention: type | Callable[..., Any],
    *,
    width: int,
    max_length: int,
    patch_width: int,
    classes: int,
    layers: int = 2,
    expansion: float = 4.0,
    positions: str = "learned",
    normalisation: str = "pre",
    **settings: Any,
) -> PatchClassifier:
    """A patch classifier, ``model(patches) -> logits [batch, classes]``, with its weights made.

    `settings` (`heads`, `causal`, `options`, …) as for `build_layer`.
    """
    settings |= {"width": width, "max_length": max_length, "positions": positions}
    model = PatchClassifier(
        build_blocks(attention, layers=layers, expansion=expansion, normalisation=normalisation, **settings),
        embedding=keras.layers.Dense(width),
        positions=build_positions(positions, max_length, width),
        classes=classes,
        normalisation=normalisation,
    )
    model(symbolic_tokens(max_length, patch_width))
    return model
