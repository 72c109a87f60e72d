"""A Transformer encoder: the model that variants are compared in.

    x = x + attention(norm(x));  x = x + contract(gelu(expand(norm(x)))), and a norm after the last block

Pre-norm blocks (Xiong and others 2020, arXiv:2002.04745), because they train without a learning-rate
warm-up. No dropout; the GELU is the exact one and the norms' epsilon 1e-5, as in the Keras twin.
"""

from typing import Unpack

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.dense import Dense
from implementations.on_torch.layer import Attention, AttentionSettings, build_layer

NORM_EPSILON = 1e-5


class EncoderBlock(nn.Module):
    """Attention and a feed-forward part, each after its own norm and added to what came in."""

    def __init__(self, attention: nn.Module, width: int, expansion: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attention = attention
        self.feed_forward_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.expand = Dense(width, expansion * width)
        self.contract = Dense(expansion * width, width)

    def forward(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        tokens = tokens + self.attention(self.attention_norm(tokens), padding=padding)
        expanded = functional.gelu(self.expand(self.feed_forward_norm(tokens)))
        result: Tensor = tokens + self.contract(expanded)
        return result


class Encoder(nn.Module):
    """Blocks one after the other and a final norm; no positions: whoever embeds the tokens adds them."""

    def __init__(self, blocks: list[EncoderBlock], width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.final_norm = nn.LayerNorm(width, eps=NORM_EPSILON)

    def encode(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """The encoded tokens; `padding` is True where a real token stands."""
        for block in self.blocks:
            tokens = block(tokens, padding)
        encoded: Tensor = self.final_norm(tokens)
        return encoded


class TokenEncoder(Encoder):
    """An encoder as a model of its own: tokens in, tokens out."""

    def forward(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """The encoded tokens; `padding` is True where a real token stands."""
        return self.encode(tokens, padding)


def build_blocks(
    attention: Attention,
    *,
    width: int,
    layers: int = 2,
    expansion: int = 4,
    **settings: Unpack[AttentionSettings],
) -> list[EncoderBlock]:
    """`layers` blocks, each with an attention layer of its own; `settings` as for `build_layer`."""
    return [
        EncoderBlock(build_layer(attention, width=width, **settings), width, expansion) for _ in range(layers)
    ]


def build_encoder(
    attention: Attention,
    *,
    width: int,
    layers: int = 2,
    expansion: int = 4,
    **settings: Unpack[AttentionSettings],
) -> TokenEncoder:
    """The encoder ``model(tokens[, padding]) -> [batch, time, width]``; `settings` as for `build_layer`."""
    return TokenEncoder(
        build_blocks(attention, width=width, layers=layers, expansion=expansion, **settings), width
    )
