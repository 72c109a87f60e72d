"""Classifiers of text and of image patches around any attention.

    logits = head(mean over tokens (encoder(embedding(x) + positions)))

The embedding is a learned table for text and a linear map for patches; positions are a learned table
of `max_length` rows. Both tables start uniform in -0.05 to 0.05. The text's mean goes over real tokens
only; a text without any gets the mean 0.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.encoder import EPSILON, EncoderBlock, build_blocks
from implementations.on_keras.keras_types import Layer, Model, Tensor
from implementations.on_keras.layer import symbolic_tokens


@keras.saving.register_keras_serializable(package="attnbench")
class Positions(Layer):
    """One learned row for each of `length` positions, added to the tokens."""

    def __init__(self, length: int, width: int, **keras_settings: Any) -> None:
        super().__init__(**keras_settings)
        self.length = length
        self.width = width
        self.table = self.add_weight(shape=(length, width), initializer="random_uniform", name="table")

    def call(self, tokens: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch time width"]:
        """The tokens with their positions; raises ValueError beyond the last known position."""
        time = ops.shape(tokens)[1]
        if isinstance(time, int) and time > self.length:
            raise ValueError(
                f"tokens must have at most max_length = {self.length} positions, got {time}; "
                "build the model with a larger max_length"
            )
        return tokens + ops.cast(self.table, tokens.dtype)[:time]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"length": self.length, "width": self.width}


class Classifier(Model):
    """What both classifiers share: positions, blocks, a final norm, a mean over tokens, a linear head."""

    def __init__(
        self,
        embedding: Layer,
        blocks: Sequence[EncoderBlock],
        *,
        max_length: int,
        width: int,
        classes: int,
        **keras_settings: Any,
    ) -> None:
        super().__init__(**keras_settings)
        self.embedding = embedding
        self.positions = Positions(max_length, width)
        self.blocks = list(blocks)
        self.final_norm = keras.layers.LayerNormalization(epsilon=EPSILON)
        self.head = keras.layers.Dense(classes)

    def encode(self, inputs: Tensor, padding: Tensor | None) -> Float[Tensor, "batch time width"]:
        """The encoded tokens of ids or patches."""
        tokens = self.positions(self.embedding(inputs))
        for block in self.blocks:
            tokens = block(tokens, padding=padding)
        return self.final_norm(tokens)


class TextClassifier(Classifier):
    """Token ids and their padding to logits; id 0 is padding."""

    def call(
        self, tokens: Int[Tensor, "batch time"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch classes"]:
        """`padding` is True where a real token stands; None: where the id is not 0."""
        real = ops.not_equal(tokens, 0) if padding is None else padding
        encoded = self.encode(tokens, real)
        weights = ops.cast(real, encoded.dtype)[:, :, None]
        count = ops.maximum(ops.sum(weights, axis=1), 1)
        return self.head(ops.sum(encoded * weights, axis=1) / count)


class PatchClassifier(Classifier):
    """Patches of an image to logits; all patches are real."""

    def call(self, patches: Float[Tensor, "batch time patch_width"]) -> Float[Tensor, "batch classes"]:
        """One row of logits for each image."""
        return self.head(ops.mean(self.encode(patches, None), axis=1))


def _attention_settings(
    heads: int, causal: bool, max_length: int, options: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {"heads": heads, "causal": causal, "max_length": max_length, "options": options}


def build_text_classifier(
    attention: type | Callable[..., Any],
    *,
    width: int,
    heads: int,
    causal: bool = False,
    max_length: int,
    options: Mapping[str, Any] | None = None,
    vocabulary: int,
    classes: int,
    layers: int = 2,
) -> TextClassifier:
    """A text classifier, ``model(tokens, padding) -> logits [batch, classes]``, with its weights made."""
    settings = _attention_settings(heads, causal, max_length, options)
    model = TextClassifier(
        keras.layers.Embedding(vocabulary, width),
        build_blocks(attention, width=width, layers=layers, **settings),
        max_length=max_length,
        width=width,
        classes=classes,
    )
    shape = (None, max_length)
    model(keras.KerasTensor(shape, dtype="int32"), keras.KerasTensor(shape, dtype="bool"))
    return model


def build_patch_classifier(
    attention: type | Callable[..., Any],
    *,
    width: int,
    heads: int,
    causal: bool = False,
    max_length: int,
    options: Mapping[str, Any] | None = None,
    patch_width: int,
    classes: int,
    layers: int = 2,
) -> PatchClassifier:
    """A patch classifier, ``model(patches) -> logits [batch, classes]``, with its weights made."""
    settings = _attention_settings(heads, causal, max_length, options)
    model = PatchClassifier(
        keras.layers.Dense(width),
        build_blocks(attention, width=width, layers=layers, **settings),
        max_length=max_length,
        width=width,
        classes=classes,
    )
    model(symbolic_tokens(max_length, patch_width))
    return model
