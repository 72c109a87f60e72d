"""The models' axes on torch: positions and norms are what they say; an image becomes its patches."""

import math

import pytest
import torch
from torch import Tensor, nn

from bench.schema import NORMALISATIONS, POSITIONS
from implementations.on_torch import softmax
from implementations.on_torch.absolute_positions import build_positions
from implementations.on_torch.classifiers import build_text_classifier
from implementations.on_torch.encoder import build_encoder
from implementations.on_torch.vision_classifier import build_vision_classifier
from implementations.on_torch.weights import export_weights

BATCH, TIME, MAX_LENGTH, HEADS, WIDTH, VOCABULARY = 2, 11, 13, 3, 30, 31
SETTINGS = {"width": WIDTH, "heads": HEADS, "max_length": MAX_LENGTH, "options": {}}


def randomised(model: nn.Module) -> nn.Module:
    """In float64, with weights that are neither zero nor the same in two places."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.double().parameters():
            weight.normal_(0.0, 0.4, generator=generator)
    return model


def numbers(*shape: int, seed: int = 2) -> Tensor:
    return torch.randint(1, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("positions", POSITIONS)
def test_order_is_seen_through_positions_only(positions: str) -> None:
    model = randomised(
        build_text_classifier(
            softmax.attend, causal=False, vocabulary=VOCABULARY, classes=5, positions=positions, **SETTINGS
        )
    )
    tokens = numbers(BATCH, TIME)
    with torch.no_grad():
        difference = (model(tokens.flip(1)) - model(tokens)).abs().max()
    # ALiBi and T5 without causality are told the distances, which stay when the text is turned round,
    # but those of T5 have a sign.
    assert (difference < 1e-9) == (positions in ("none", "alibi"))
    swapped = tokens[:, [1, 0, *range(2, TIME)]]
    with torch.no_grad():
        moved = (model(swapped) - model(tokens)).abs().max()
    assert (moved < 1e-9) == (positions == "none")


@pytest.mark.parametrize("width", [5, 6])
def test_sinusoids_are_the_papers(width: int) -> None:
    added = build_positions("sinusoidal", 7, width)(torch.zeros(1, 3, width), 2)
    for place in range(3):
        for channel in range(width):
            angle = (place + 2) / 10_000 ** (channel // 2 * 2 / width)
            expected = math.cos(angle) if channel % 2 else math.sin(angle)
            assert added[0, place, channel].item() == pytest.approx(expected, abs=1e-6)


def by_hand(norm: nn.Module, tokens: Tensor, *, centred: bool) -> Tensor:
    moved = tokens - tokens.mean(dim=-1, keepdim=True) if centred else tokens
    scaled = moved / (moved.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * norm.weight
    return scaled + norm.bias if centred else scaled


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_blocks_normalise_where_and_how_they_say(normalisation: str) -> None:
    settings = SETTINGS | {"causal": False, "layers": 2, "normalisation": normalisation}
    model = randomised(build_encoder(softmax.attend, **settings))
    tokens = torch.randn(BATCH, TIME, WIDTH, dtype=torch.float64)

    def norm(module: nn.Module, tokens: Tensor) -> Tensor:
        return by_hand(module, tokens, centred=normalisation != "rms")

    def feed_forward(block: nn.Module, tokens: Tensor) -> Tensor:
        return block.contract(nn.functional.gelu(block.expand(tokens)))

    expected = tokens
    for block in model.blocks:
        assert (block.attention.query_norm is not None) == (normalisation == "qk")
        if normalisation == "post":
            expected = norm(block.attention_norm, expected + block.attention(expected))
            expected = norm(block.feed_forward_norm, expected + feed_forward(block, expected))
        else:
            expected = expected + block.attention(norm(block.attention_norm, expected))
            expected = expected + feed_forward(block, norm(block.feed_forward_norm, expected))
    if normalisation != "post":
        expected = norm(model.final_norm, expected)
    torch.testing.assert_close(model(tokens), expected)
    final = [name for name in export_weights(model) if name.startswith("final_norm")]
    assert len(final) == {"pre": 2, "qk": 2, "rms": 1, "post": 0}[normalisation]


def test_an_image_is_cut_into_its_patches() -> None:
    settings = SETTINGS | {
        "causal": False,
        "max_length": 6,
        "image": 10,
        "patch": 5,
        "channels": 2,
        "classes": 7,
    }
    model = randomised(build_vision_classifier(softmax.attend, **settings))
    image = torch.randn(BATCH, 10, 10, 2, dtype=torch.float64)
    corners = ((0, 0), (0, 5), (5, 0), (5, 5))
    patches = [image[:, row : row + 5, column : column + 5].reshape(BATCH, -1) for row, column in corners]
    embedded = torch.stack(patches, dim=1) @ model.embedding.weight.T + model.embedding.bias
    assert model.positions.weight.shape == (4, WIDTH)
    expected = model.head(model.encode(embedded + model.positions.weight).mean(dim=1))
    torch.testing.assert_close(model(image), expected)
    with pytest.raises(
        ValueError, match=r"image must have shape \[batch, \*\[10, 10, 2\]\], got \[2, 10, 5, 2\]"
    ):
        model(image[:, :, :5])
    with pytest.raises(ValueError, match=r"patch must divide image .*, got patch 3, image 10"):
        build_vision_classifier(softmax.attend, **(settings | {"patch": 3}))
    with pytest.raises(ValueError, match="max_length must be at least the 4 patches of an image, got 3"):
        build_vision_classifier(softmax.attend, **(settings | {"max_length": 3}))
