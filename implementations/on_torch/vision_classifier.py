"""An image classifier over patches, shaped as the Vision Transformer is.

    logits = head(mean over patches of encoder(embedding(patches of the image) + positions))

Cost: that of the encoder at n = (image / patch)^2 tokens. Paper: Dosovitskiy and others 2021,
arXiv:2010.11929, section 3.1. Departure: the mean over patches where the paper prepends a class token;
its appendix D.3 finds both as good, and the mean works whatever a variant can reach, causal ones included.
"""

from typing import Unpack

from jaxtyping import Float
from torch import Tensor

from implementations.on_torch.absolute_positions import build_positions
from implementations.on_torch.classifiers import Classifier
from implementations.on_torch.dense import Dense
from implementations.on_torch.encoder import build_blocks
from implementations.on_torch.layer import Attention, AttentionSettings


class PatchEmbedding(Dense):
    """Square images to embedded patches; `image` and `patch` are sides in pixels.

    Raises ValueError where patches do not tile the image.
    """

    def __init__(self, image: int, patch: int, channels: int, width: int) -> None:
        if patch < 1 or image < 1 or image % patch:
            raise ValueError(f"patch must divide image (sides in pixels), got patch {patch}, image {image}")
        super().__init__(patch * patch * channels, width)
        self.patch = patch
        self.count = (image // patch) ** 2
        self.shape = [image, image, channels]

    def forward(
        self, image: Float[Tensor, "batch rows columns channels"]
    ) -> Float[Tensor, "batch time width"]:
        """One token a patch, row by row. Raises ValueError for an image of another shape."""
        if list(image.shape[1:]) != self.shape:
            raise ValueError(f"image must have shape [batch, *{self.shape}], got {list(image.shape)}")
        return super().forward(patches_of(image, self.patch))


def patches_of(
    image: Float[Tensor, "batch rows columns channels"], patch: int
) -> Float[Tensor, "batch time patch_width"]:
    """The patches row by row, each as ``patch * patch * channels`` numbers, its rows first."""
    batch, rows, columns, channels = image.shape
    tiles = image.reshape(batch, rows // patch, patch, columns // patch, patch, channels)
    return tiles.transpose(2, 3).reshape(batch, -1, patch * patch * channels)


class VisionClassifier(Classifier):
    """Images to logits."""

    def forward(self, image: Float[Tensor, "batch rows columns channels"]) -> Float[Tensor, "batch classes"]:
        """One row of logits an image. Raises ValueError for an image of another shape."""
        encoded = self.encode(self.positions(self.embedding(image)))
        logits: Tensor = self.head(encoded.mean(dim=1))
        return logits


def build_vision_classifier(
    attention: Attention,
    *,
    width: int,
    image: int,
    patch: int,
    channels: int = 3,
    classes: int,
    layers: int = 2,
    expansion: float = 4.0,
    normalisation: str = "pre",
    **settings: Unpack[AttentionSettings],
) -> VisionClassifier:
    """The classifier ``model(image [batch, image, image, channels]) -> logits``; sides are in pixels.

    `settings` as for `build_layer`. Positions are learned by default, a row for each patch. Raises
    ValueError when an image has more than `max_length` patches.
    """
    embedding = PatchEmbedding(image, patch, channels, width)
    if embedding.count > settings["max_length"]:
        raise ValueError(
            f"max_length must be at least the {embedding.count} patches of an image, "
            f"got {settings['max_length']}; build the model with a larger max_length or patch"
        )
    settings["max_length"] = embedding.count
    return VisionClassifier(
        build_blocks(
            attention,
            width=width,
            layers=layers,
            expansion=expansion,
            normalisation=normalisation,
            **settings,
        ),
        width,
        embedding=embedding,
        positions=build_positions(settings.get("positions", "learned"), embedding.count, width),
        classes=classes,
        normalisation=normalisation,
    )
