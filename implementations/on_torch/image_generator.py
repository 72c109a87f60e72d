"""The image generator in PyTorch: the twin of the Keras original, with any attention in place of its own.

Encoder layer:  a = norm1(attention(x, x) + x);  out = norm2(contract(relu(expand(a))) + x)
Decoder layer:  a = norm1(attention(x, x) + x);  c = norm2(attention(a, encoded) + x);
                out = norm3(contract(relu(expand(c))) + x)
Output:         sigmoid(head(decoded)), three colours in 0 to 1 for each decoder token

Faithful on purpose: every residual comes from the layer's input x, a head is as wide as a token, there
are no positions and no mask (so shuffled decoder tokens give a shuffled image), norms have an epsilon of
1e-3, and weights start from Keras's distributions. With softmax at width 64, 4 heads and 2 + 2 layers it
holds 432,963 parameters.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bench.schema import Options
from implementations.on_torch.dense import Dense
from implementations.on_torch.layer import Attention, AttentionSettings, build_layer

NORM_EPSILON = 1e-3
COLOURS = 3


class GeneratorEncoderLayer(nn.Module):
    """Self-attention and a feed-forward part of the tokens' own width."""

    def __init__(self, attention: nn.Module, width: int) -> None:
        super().__init__()
        self.attention = attention
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.expand = Dense(width, width)
        self.contract = Dense(width, width)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPSILON)

    def forward(self, tokens: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch time width"]:
        attended = self.norm1(self.attention(tokens) + tokens)
        result: Tensor = self.norm2(self.contract(torch.relu(self.expand(attended))) + tokens)
        return result


class GeneratorDecoderLayer(nn.Module):
    """Self-attention, attention to the encoded tokens, and a feed-forward part."""

    def __init__(self, self_attention: nn.Module, cross_attention: nn.Module, width: int) -> None:
        super().__init__()
        self.self_attention = self_attention
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.cross_attention = cross_attention
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.expand = Dense(width, width)
        self.contract = Dense(width, width)
        self.norm3 = nn.LayerNorm(width, eps=NORM_EPSILON)

    def forward(
        self, tokens: Float[Tensor, "batch time width"], encoded: Float[Tensor, "batch source width"]
    ) -> Float[Tensor, "batch time width"]:
        attended = self.norm1(self.self_attention(tokens) + tokens)
        crossed = self.norm2(self.cross_attention(attended, encoded) + tokens)
        result: Tensor = self.norm3(self.contract(torch.relu(self.expand(crossed))) + tokens)
        return result


class ImageGenerator(nn.Module):
    """Encoder layers, decoder layers and a head to colours."""

    def __init__(
        self, encoder: list[GeneratorEncoderLayer], decoder: list[GeneratorDecoderLayer], width: int
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)
        self.head = Dense(width, COLOURS)

    def forward(
        self,
        encoder_tokens: Float[Tensor, "batch source width"],
        decoder_tokens: Float[Tensor, "batch time width"],
    ) -> Float[Tensor, "batch time colours"]:
        """One colour in 0 to 1 for each decoder token; both inputs are embedded already."""
        encoded, decoded = encoder_tokens, decoder_tokens
        for layer in self.encoder:
            encoded = layer(encoded)
        for layer in self.decoder:
            decoded = layer(decoded, encoded)
        return torch.sigmoid(self.head(decoded))


def build_image_generator(
    attention: Attention,
    *,
    width: int = 64,
    heads: int = 4,
    causal: bool = False,
    max_length: int = 1024,
    options: Options | None = None,
    encoder_layers: int = 2,
    decoder_layers: int = 2,
) -> ImageGenerator:
    """The generator ``model(encoder_tokens, decoder_tokens) -> [batch, time, 3]``.

    `max_length` covers both inputs. Raises ValueError when asked to be causal.
    """
    if causal:
        raise ValueError("the image generator lets every token see all others: causal must be False")
    settings = AttentionSettings(heads=heads, causal=False, max_length=max_length, options=options or {})

    def make_attention() -> nn.Module:
        return build_layer(attention, width=width, head_width=width, **settings)

    encoder = [GeneratorEncoderLayer(make_attention(), width) for _ in range(encoder_layers)]
    decoder = [
        GeneratorDecoderLayer(make_attention(), make_attention(), width) for _ in range(decoder_layers)
    ]
    return ImageGenerator(encoder, decoder, width)
