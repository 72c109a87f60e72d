"""A masked language model, shaped as BERT is: logits of the words that were hidden.

    logits_t = table . norm(gelu(transform(final_norm(blocks(table[tokens] + positions))_t))) + bias

Paper: Devlin and others 2019, BERT, arXiv:1810.04805, section 3.1 and its released code: the head is a
linear map, a GELU, a norm and the table of tokens, and is taken at the hidden positions alone. Departures:
no segments and no prediction of the next sentence. Embedding, positions, blocks and final norm have the
names of `classifiers.TextClassifier`, so that a classifier can start from them.
"""

from typing import Unpack

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.absolute_positions import build_positions
from implementations.on_torch.dense import Dense, Table
from implementations.on_torch.encoder import Encoder, EncoderBlock, build_blocks
from implementations.on_torch.layer import Attention, AttentionSettings


class MaskedLanguageModel(Encoder):
    """Token numbers to logits of the words that stood there; number 0 is padding."""

    def __init__(
        self,
        blocks: list[EncoderBlock],
        width: int,
        *,
        vocabulary: int,
        positions: nn.Module,
        normalisation: str = "pre",
    ) -> None:
        super().__init__(blocks, width, normalisation)
        self.embedding = Table(vocabulary, width)
        self.positions = positions
        self.transform = Dense(width, width)
        self.transform_norm = nn.LayerNorm(width)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        padding: Bool[Tensor, "batch time"] | None = None,
        places: Int[Tensor, "batch hidden"] | None = None,
    ) -> Float[Tensor, "batch asked vocabulary"]:
        """Logits at `places`, or at every position; `padding` is True where a real token stands, taken from
        the tokens when not given.

        Raises ValueError for texts longer than `max_length`.
        """
        real = tokens != 0 if padding is None else padding
        encoded = self.encode(self.positions(self.embedding(tokens)), real)
        if places is not None:
            encoded = encoded.gather(1, places[..., None].expand(-1, -1, encoded.shape[-1]))
        told = self.transform_norm(functional.gelu(self.transform(encoded)))
        return functional.linear(told, self.embedding.weight, self.output_bias)


def build_masked_lm(
    attention: Attention,
    *,
    width: int,
    vocabulary: int,
    layers: int = 2,
    expansion: float = 4.0,
    normalisation: str = "pre",
    **settings: Unpack[AttentionSettings],
) -> MaskedLanguageModel:
    """The model ``model(tokens, padding, places) -> logits``; `settings` as for `build_layer`."""
    blocks = build_blocks(
        attention, width=width, layers=layers, expansion=expansion, normalisation=normalisation, **settings
    )
    return MaskedLanguageModel(
        blocks,
        width,
        vocabulary=vocabulary,
        positions=build_positions(settings.get("positions", "learned"), settings["max_length"], width),
        normalisation=normalisation,
    )
