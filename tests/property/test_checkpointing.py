"""Gradient checkpointing on torch: the same gradients, with every block computed a second time."""

import pytest
import torch
from torch import Tensor, nn

from implementations.on_torch import sdpa, softmax
from implementations.on_torch.checkpointing import set_checkpointing
from implementations.on_torch.encoder import build_encoder
from implementations.on_torch.encoder_decoder import build_encoder_decoder
from implementations.on_torch.image_generator import build_image_generator
from implementations.on_torch.language_model import build_causal_lm
from implementations.on_torch.projected import AttentionLayer
from implementations.on_torch.transformer_xl import TransformerXL
from implementations.on_torch.transformer_xl_model import build_transformer_xl_lm
from implementations.on_torch.weights import export_weights

BATCH, TIME, SOURCE, MAX_LENGTH, HEADS, WIDTH, VOCABULARY = 2, 11, 7, 13, 3, 30, 31
SETTINGS = {"width": WIDTH, "heads": HEADS, "max_length": MAX_LENGTH, "options": {}}
OF_NUMBERS = SETTINGS | {"causal": True, "vocabulary": VOCABULARY}


def randomised(model: nn.Module) -> nn.Module:
    """In float64, with weights that are neither zero nor the same in two places."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.double().parameters():
            weight.normal_(0.0, 0.4, generator=generator)
    return model


def numbers(*shape: int, seed: int = 2) -> Tensor:
    return torch.randint(1, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def noise(length: int) -> Tensor:
    return torch.randn(BATCH, length, WIDTH, dtype=torch.float64)


def reader_and_memory() -> tuple[nn.Module, tuple[object, ...]]:
    model = randomised(build_transformer_xl_lm(TransformerXL, **OF_NUMBERS))
    return model, (numbers(BATCH, TIME), model.read(numbers(BATCH, SOURCE))[1])


CHECKPOINTED = {
    "encoder": lambda: (build_encoder(softmax.attend, causal=False, **SETTINGS), (noise(TIME),)),
    "causal_lm": lambda: (build_causal_lm(softmax.attend, **OF_NUMBERS), (numbers(BATCH, TIME),)),
    "encoder_decoder": lambda: (
        build_encoder_decoder(softmax.attend, **OF_NUMBERS),
        (numbers(BATCH, SOURCE), numbers(BATCH, TIME)),
    ),
    "transformer_xl_lm": reader_and_memory,
    "image_generator": lambda: (
        build_image_generator(sdpa.attend, width=WIDTH, heads=HEADS),
        (noise(SOURCE), noise(TIME)),
    ),
}


@pytest.mark.parametrize("architecture", CHECKPOINTED)
def test_checkpointing_changes_no_gradient_and_computes_blocks_again(architecture: str) -> None:
    model, inputs = CHECKPOINTED[architecture]()
    randomised(model)
    calls: list[int] = []
    layers = [module for module in model.modules() if isinstance(module, AttentionLayer)]
    for layer in layers:
        layer.query.register_forward_hook(lambda *_: calls.append(1))

    def trained() -> tuple[Tensor, list[Tensor], int]:
        calls.clear()
        model.zero_grad()
        output = model(*inputs)
        output.square().sum().backward()
        return output.detach(), [weight.grad.clone() for weight in model.parameters()], len(calls)

    output, gradients, plain = trained()
    names = list(export_weights(model))
    set_checkpointing(model, True)
    again, same, twice = trained()
    assert (plain, twice) == (len(layers), 2 * len(layers))
    torch.testing.assert_close(again, output)
    torch.testing.assert_close(same, gradients)
    assert list(export_weights(model)) == names
    with torch.no_grad():
        calls.clear()
        torch.testing.assert_close(model(*inputs), output)
    assert len(calls) == len(layers)
    set_checkpointing(model, False)
    assert trained()[2] == len(layers)


def test_there_is_nothing_to_checkpoint_without_blocks() -> None:
    with pytest.raises(ValueError, match="Linear has no blocks to checkpoint"):
        set_checkpointing(nn.Linear(3, 5), True)
