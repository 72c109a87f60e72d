"""Transformer-XL is what its definition says, with and without a memory."""

import math

import numpy as np
import pytest
import torch

from implementations.definitions import transformer_xl as definition
from implementations.families.long_context import TRANSFORMER_XL
from implementations.on_torch.decoding import live_tensors
from implementations.on_torch.transformer_xl import TransformerXL, sinusoids
from implementations.on_torch.weights import export_weights

BATCH, WIDTH, HEADS, HEAD_WIDTH = 2, 11, 3, 5
both = pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])


def layer_of(*, causal: bool, head_width: int = HEAD_WIDTH, scale: float = 0.5) -> TransformerXL:
    layer = TransformerXL(WIDTH, HEADS, causal=causal, head_width=head_width).double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, scale, generator=generator)
    return layer


def tokens(length: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, length, WIDTH, dtype=torch.float64, generator=generator)


def padding_of(length: int, kind: str) -> torch.Tensor | None:
    if kind == "none":
        return None
    real = torch.rand(BATCH, length, generator=torch.Generator().manual_seed(length)) < 0.6
    real[0, : length // 3] = False  # the first causal queries see nothing
    if kind == "all of one":
        real[1] = False
    return real


@both
@pytest.mark.parametrize("length", [1, 2, 5, 13])
@pytest.mark.parametrize("kind", ["none", "gaps", "all of one"])
def test_a_layer_is_its_definition(causal, length, kind) -> None:
    layer, padding = layer_of(causal=causal), padding_of(length, kind)
    with torch.no_grad():
        got = layer(tokens(length), padding=padding).numpy()
    expected = definition.layer(
        tokens(length).numpy(),
        context=None,
        padding=None if padding is None else padding.numpy(),
        causal=causal,
        weights=export_weights(layer),
        heads=HEADS,
        options={},
    )
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


@both
@pytest.mark.parametrize(("length", "past"), [(1, 7), (7, 1), (7, 5), (5, 0)])
def test_a_layer_with_memory_is_its_definition(causal, length, past) -> None:
    layer = layer_of(causal=causal)
    with torch.no_grad():
        got = layer.with_memory(tokens(length), tokens(past, 3)).numpy()
    expected = definition.with_memory(
        tokens(length).numpy(),
        tokens(past, 3).numpy(),
        causal=causal,
        weights=export_weights(layer),
        heads=HEADS,
    )
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


def test_segments_with_all_their_past_as_memory_are_the_whole() -> None:
    layer, sequence = layer_of(causal=True), tokens(13)
    with torch.no_grad():
        parts = [layer.with_memory(sequence[:, i : i + 4], sequence[:, :i]) for i in range(0, 13, 4)]
        torch.testing.assert_close(torch.cat(parts, dim=1), layer(sequence))


def test_no_gradient_reaches_a_memory_that_its_caller_detached() -> None:
    layer, memory = layer_of(causal=True), tokens(7, 3).requires_grad_()
    layer.with_memory(tokens(5), memory).sum().backward()
    assert memory.grad is not None
    assert memory.grad.abs().max() > 1e-3
    memory.grad = None
    layer.with_memory(tokens(5), memory.detach()).sum().backward()
    assert memory.grad is None


@both
def test_only_distances_count(causal) -> None:
    """A padded prefix moves every token along and changes no answer."""
    layer, real = layer_of(causal=causal), torch.ones(BATCH, 18, dtype=torch.bool)
    real[:, :5] = False
    moved = torch.cat((tokens(5, 9), tokens(13)), dim=1)
    with torch.no_grad():
        one, other = layer(tokens(13)), layer(moved, padding=real)[:, 5:]
        torch.testing.assert_close(other, one)
        turned = layer(tokens(13).flip(1)).flip(1)
    assert (turned - one).abs().max() > 1e-3


def test_step_by_step_and_after_a_prompt_is_the_whole() -> None:
    layer = layer_of(causal=True)
    with torch.no_grad():
        whole = layer(tokens(13))
        for prompt in (0, 1, 7):
            state, answers = layer.initial_state(BATCH), []
            if prompt:
                answer, state = layer.prefill(tokens(13)[:, :prompt])
                answers.append(answer)
            for place in range(prompt, 13):
                answer, state = layer.step(tokens(13)[:, place : place + 1], state)
                answers.append(answer)
            torch.testing.assert_close(torch.cat(answers, dim=1), whole)


def test_steps_go_on_where_the_storage_grows() -> None:
    layer, sequence = layer_of(causal=True), tokens(259)
    with torch.no_grad():
        _, state = layer.prefill(sequence[:, :254])
        answers = []
        for place in range(254, 259):
            answer, state = layer.step(sequence[:, place : place + 1], state)
            answers.append(answer)
        torch.testing.assert_close(torch.cat(answers, dim=1), layer(sequence)[:, 254:])


@pytest.mark.parametrize("length", [1, 256, 257])
def test_the_state_is_as_large_as_claimed(length) -> None:
    with torch.no_grad():
        _, state = layer_of(causal=True).prefill(tokens(length)[:1])
    names = {"heads": HEADS, "head_width": HEAD_WIDTH, "blocks": lambda n: 256 * math.ceil(n / 256)}
    assert sum(t.numel() for t in live_tensors(state)) == eval(TRANSFORMER_XL.state, names | {"n": length})


@both
def test_gradients_are_those_of_finite_differences(causal) -> None:
    layer, padding = layer_of(causal=causal, head_width=2, scale=0.3), padding_of(5, "all of one")
    query, weights = tokens(5).requires_grad_(), tuple(layer.parameters())
    assert torch.autograd.gradcheck(
        lambda x, *_: layer(x, padding=padding), (query, *weights), fast_mode=True
    )
    assert torch.autograd.gradcheck(lambda x: layer.with_memory(x[:, 2:], x[:, :2]), (query,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@both
def test_extremes_stay_finite(causal, dtype) -> None:
    layer = layer_of(causal=causal).to(dtype)
    for scale in (0.0, 1.0, 100.0):
        query = (tokens(13) * scale).to(dtype).requires_grad_()
        answer = layer(query, padding=padding_of(13, "all of one"))
        answer.sum().backward()
        assert answer.dtype == dtype
        assert answer.isfinite().all()
        assert query.grad is not None
        assert query.grad.isfinite().all()


def test_sinusoids_have_their_wavelengths() -> None:
    waves = sinusoids(torch.tensor([0, 1, -1, 100]), 7)
    torch.testing.assert_close(waves[0], torch.tensor([0.0] * 4 + [1.0] * 3, dtype=torch.float64))
    torch.testing.assert_close(waves[1, :4], -waves[2, :4])
    assert waves[3, 1].item() == pytest.approx(math.sin(100 / 10_000 ** (2 / 7)))


def test_a_context_of_another_length_is_refused() -> None:
    for causal, reason in ((False, "transformer-xl"), (True, "causal")):
        with pytest.raises(ValueError, match=f"{reason} attention needs as many keys as queries, got 7"):
            layer_of(causal=causal)(tokens(7), tokens(5))
    with pytest.raises(NotImplementedError, match="build it with causal=True"):
        layer_of(causal=False).initial_state(2)
