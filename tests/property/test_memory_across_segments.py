"""A Transformer-XL language model on torch: how far it remembers, and with which gradient."""

import pytest
import torch
from torch import Tensor, nn

from implementations.on_torch.transformer_xl import TransformerXL
from implementations.on_torch.transformer_xl_model import build_transformer_xl_lm

BATCH, TIME, MAX_LENGTH, HEADS, WIDTH, VOCABULARY = 2, 11, 13, 3, 30, 31
SETTINGS = {"width": WIDTH, "heads": HEADS, "max_length": MAX_LENGTH, "options": {}}


def randomised(model: nn.Module) -> nn.Module:
    """In float64, with weights that are neither zero nor the same in two places."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.double().parameters():
            weight.normal_(0.0, 0.4, generator=generator)
    return model


def reader(**own: object) -> nn.Module:
    settings = SETTINGS | {"causal": True, "vocabulary": VOCABULARY} | own
    return randomised(build_transformer_xl_lm(TransformerXL, **settings))


def numbers(*shape: int, seed: int = 2) -> Tensor:
    return torch.randint(1, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def test_segments_with_a_long_memory_are_the_whole_text() -> None:
    model, tokens = reader(memory_length=TIME), numbers(BATCH, TIME)
    with torch.no_grad():
        whole = model(tokens)
        answers, memory = [], None
        for first, last in ((0, 3), (3, 8), (8, TIME)):
            logits, memory = model.read(tokens[:, first:last], memory)
            answers.append(logits)
    assert [part.shape for part in memory] == [(BATCH, TIME, WIDTH)] * 2
    torch.testing.assert_close(torch.cat(answers, dim=1), whole)


@pytest.mark.parametrize("layers", [1, 2])
def test_memory_reaches_its_length_a_layer_further(layers: int) -> None:
    """A segment of one token: with a memory of m tokens a layer it sees layers * m tokens back."""
    model, tokens, length = reader(memory_length=3, layers=layers), numbers(BATCH, TIME), 3

    def last(tokens: Tensor) -> Tensor:
        memory = None
        for place in range(TIME):
            logits, memory = model.read(tokens[:, place : place + 1], memory)
        assert all(part.shape == (BATCH, length, WIDTH) for part in memory)
        return logits

    with torch.no_grad():
        expected = last(tokens)
        for back in range(1, TIME):
            changed = tokens.clone()
            changed[:, TIME - 1 - back] = 1 + changed[:, TIME - 1 - back] % (VOCABULARY - 1)
            moved = (last(changed) - expected).abs().max()
            assert (moved > 1e-6) == (back <= layers * length), back


def test_no_gradient_reaches_what_is_remembered() -> None:
    model = reader()
    _, memory = model.read(numbers(BATCH, 3))
    assert all(not part.requires_grad for part in memory)
    logits, _ = model.read(numbers(BATCH, 5), memory)
    assert logits.requires_grad
    torch.testing.assert_close(model(numbers(BATCH, 5), memory), logits)


def test_a_reader_decodes_as_it_reads() -> None:
    model, tokens = reader(), numbers(BATCH, TIME)
    with torch.no_grad():
        last, state = model.prefill(tokens[:, :5])
        answers = [last]
        for place in range(5, TIME):
            logits, state = model.step(tokens[:, place], state)
            answers.append(logits)
        torch.testing.assert_close(torch.stack(answers, dim=1), model(tokens)[:, 4:])
    with pytest.raises(ValueError, match="needs relative positions, got 'learned'"):
        reader(positions="learned")
    with pytest.raises(ValueError, match="memory_length must be at least 1 token, got 0"):
        reader(memory_length=0)
