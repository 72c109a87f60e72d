"""An image classifier over patches, shaped as the Vision Transformer is.

    logits = head(mean over patches of encoder(embedding(patches of the image) + positions))

Cost: that of the encoder at n = (image / patch)^2 tokens. Paper: Dosovitskiy and others 2021,
arXiv:2010.11929, section 3.1. Departure: the mean over patches where the paper prepends a class token;
its appendix D.3 finds both as good, and the mean works whatever a variant can reach, causal ones included.
"""

from collections.abc import Callable
from typing import Any

import keras
from jaxtyping import Float
from keras import ops

from implementations.on_keras.absolute_positions import build_positions
from implementations.on_keras.classifiers import Classifier
from implementations.on_keras.encoder import build_blocks
from implementations.on_keras.keras_types import Tensor


class VisionClassifier(Classifier):
    """Images of ``image x image`` pixels to logits; `patch` is a patch's side in pixels."""

    def __init__(self, *parts: Any, image: int, patch: int, channels: int, **settings: Any) -> None:
        super().__init__(*parts, **settings)
        self.patch = patch
        self.image_shape = (image, image, channels)

    def call(self, image: Float[Tensor, "batch rows columns channels"]) -> Float[Tensor, "batch classes"]:
        """One row of logits an image. Raises ValueError for an image of another shape."""
        if tuple(image.shape[1:]) != self.image_shape:
            raise ValueError(
                f"image must have shape [batch, *{list(self.image_shape)}], got {list(image.shape)}"
            )
        encoded = self.encode(self.positions(self.embedding(patches_of(image, self.patch))))
        return self.head(ops.mean(encoded, axis=1))


def patches_of(
    image: Float[Tensor, "batch rows columns channels"], patch: int
) -> Float[Tensor, "batch time patch_width"]:
    """The patches row by row, each as ``patch * patch * channels`` numbers, its rows first."""
    rows, columns, channels = image.shape[1:]
    down, across = rows // patch, columns // patch
    tiles = ops.swapaxes(ops.reshape(image, (-1, down, patch, across, patch, channels)), 2, 3)
    return ops.reshape(tiles, (-1, down * across, patch * patch * channels))


def patch_count(image: int, patch: int, max_length: int) -> int:
    """How many patches tile a square image; raises ValueError where they do not, or are too many."""
    if patch < 1 or image < 1 or image % patch:
        raise ValueError(f"patch must divide image (sides in pixels), got patch {patch}, image {image}")
    count = (image // patch) ** 2
    if count > max_length:
        raise ValueError(
            f"max_length must be at least the {count} patches of an image, got {max_length}; "
            "build the model with a larger max_length or patch"
        )
    return count


def build_vision_classifier(
    attention: type | Callable[..., Any],
    *,
    width: int,
    max_length: int,
    image: int,
    patch: int,
    channels: int = 3,
    classes: int,
    layers: int = 2,
    expansion: float = 4.0,
    positions: str = "learned",
    normalisation: str = "pre",
    **settings: Any,
) -> VisionClassifier:
    """The classifier ``model(image [batch, image, image, channels]) -> logits``, with its weights made.

    Sides are in pixels; `settings` (`heads`, `causal`, `options`, …) as for `build_layer`. Positions are
    learned by default, a row for each patch. Raises ValueError for more than `max_length` patches.
    """
    count = patch_count(image, patch, max_length)
    settings |= {"width": width, "max_length": count, "positions": positions}
    model = VisionClassifier(
        build_blocks(attention, layers=layers, expansion=expansion, normalisation=normalisation, **settings),
        embedding=keras.layers.Dense(width),
        positions=build_positions(positions, count, width),
        classes=classes,
        normalisation=normalisation,
        image=image,
        patch=patch,
        channels=channels,
    )
    model(keras.KerasTensor((None, image, image, channels)))
    return model
