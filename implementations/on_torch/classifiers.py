"""Classifiers of texts and of images: an encoder between an embedding and a linear head.

    logits = head(mean over real tokens of encoder(embedding(tokens) + positions))

The mean, not a special token, so that the head sees the same thing whatever the variant can reach.
Positions are learned unless `positions` says otherwise.
"""

from typing import Unpack

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from implementations.on_torch.absolute_positions import build_positions
from implementations.on_torch.dense import Dense, Table
from implementations.on_torch.encoder import Encoder, EncoderBlock, build_blocks
from implementations.on_torch.layer import Attention, AttentionSettings


class Classifier(Encoder):
    """What all classifiers share: an embedding, positions, blocks and a linear head."""

    def __init__(
        self,
        blocks: list[EncoderBlock],
        width: int,
        *,
        embedding: nn.Module,
        positions: nn.Module,
        classes: int,
        normalisation: str = "pre",
    ) -> None:
        super().__init__(blocks, width, normalisation)
        self.embedding = embedding
        self.positions = positions
        self.head = Dense(width, classes)


class TextClassifier(Classifier):
    """Token numbers to logits; number 0 is padding."""

    def forward(
        self, tokens: Int[Tensor, "batch time"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Logits; `padding` is True where a real token stands, taken from the tokens when not given.

        Raises ValueError for texts longer than `max_length`. A text without a token gets the head's bias.
        """
        return self.from_embedded(self.embedding(tokens), tokens != 0 if padding is None else padding)

    def from_embedded(
        self, embedded: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits from vectors in the place of the tokens' own: what attacks and explanations vary."""
        encoded = self.encode(self.positions(embedded), padding)
        weights = padding.to(encoded.dtype)[..., None]
        mean = (encoded * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
        logits: Tensor = self.head(mean)
        return logits


class PatchClassifier(Classifier):
    """Flattened image patches to logits."""

    def forward(self, patches: Float[Tensor, "batch time patch_width"]) -> Float[Tensor, "batch classes"]:
        """Logits, every patch being real. Raises ValueError for more than `max_length` patches."""
        encoded = self.encode(self.positions(self.embedding(patches)))
        logits: Tensor = self.head(encoded.mean(dim=1))
        return logits


def build_text_classifier(
    attention: Attention,
    *,
    width: int,
    vocabulary: int,
    classes: int,
    layers: int = 2,
    expansion: float = 4.0,
    normalisation: str = "pre",
    **settings: Unpack[AttentionSettings],
) -> TextClassifier:
    """The classifier ``model(tokens, padding) -> logits``; `settings` as for `build_layer`."""
    return TextClassifier(
        build_blocks(
            attention,
            width=width,
            layers=layers,
            expansion=expansion,
            normalisation=normalisation,
            **settings,
        ),
        width,
        embedding=Table(vocabulary, width),
        positions=build_positions(settings.get("positions", "learned"), settings["max_length"], width),
        classes=classes,
        normalisation=normalisation,
    )


def build_patch_classifier(
    attention: Attention,
    *,
    width: int,
    patch_width: int,
    classes: int,
    layers: int = 2,
    expansion: float = 4.0,
    normalisation: str = "pre",
    **settings: Unpack[AttentionSettings],
) -> PatchClassifier:
    """The classifier ``model(patches) -> logits``; `settings` as for `build_layer`."""
    return PatchClassifier(
        build_blocks(
            attention,
            width=width,
            layers=layers,
            expansion=expansion,
            normalisation=normalisation,
            **settings,
        ),
        width,
        embedding=Dense(patch_width, width),
        positions=build_positions(settings.get("positions", "learned"), settings["max_length"], width),
        classes=classes,
        normalisation=normalisation,
    )
