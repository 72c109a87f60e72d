"""Retention, gated linear attention and the gated delta rule on torch: chunks, steps and definition agree.

Layers have width 7 and 3 heads of 5 (an odd width, whose last channel retention cannot turn); lengths go
past the chunks of 64 and 128.
"""

import importlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from implementations.families.recurrent import VARIANTS
from implementations.on_torch import gated_delta
from implementations.on_torch.decayed_product import decayed_product
from implementations.on_torch.decoding import live_tensors
from implementations.on_torch.delta_product import delta_product
from implementations.on_torch.gated_delta import GatedDelta
from implementations.on_torch.gated_linear import GatedLinear
from implementations.on_torch.recurrent_layer import RecurrentLayer
from implementations.on_torch.retention import Retention, retain
from implementations.on_torch.weights import export_weights

ROWS = {row.name: row for row in VARIANTS}
KINDS = {"retention": Retention, "gated_linear": GatedLinear, "gated_delta": GatedDelta}
CASES = [
    ("retention", {}),
    ("gated_linear", {"rank": 3}),
    ("gated_delta", {}),
    ("gated_delta", {"convolution": 3}),
]
WIDTH, HEADS, HEAD_WIDTH, BATCH = 7, 3, 5, 2
every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=lambda part: str(part))


def layer_of(name: str, options: dict[str, int], dtype: torch.dtype = torch.float64) -> RecurrentLayer:
    layer = KINDS[name](WIDTH, HEADS, head_width=HEAD_WIDTH, causal=True, **options).to(dtype)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return layer


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gaps(length: int) -> Tensor:
    """Gaps and padding in front in the first sequence, nothing real in the second."""
    real = torch.rand(BATCH, length, generator=torch.Generator().manual_seed(3)) < 0.6
    real[0, 0], real[0, -1] = False, True
    real[1] = False
    return real


def definition(name: str) -> Callable[..., np.ndarray]:
    module, attribute = ROWS[name].definition.split(":")
    return getattr(importlib.import_module(module), attribute)


@every_case
@pytest.mark.parametrize("length", [1, 2, 13, 64, 131, 257])
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_the_layer_is_its_definition(name, options, length, padded) -> None:
    layer, tokens = layer_of(name, options), draw(BATCH, length, WIDTH)
    padding = gaps(length) if padded else None
    expected = definition(name)(
        tokens.numpy(),
        context=None,
        padding=None if padding is None else padding.numpy(),
        causal=True,
        weights=export_weights(layer),
        heads=HEADS,
        options=options,
    )
    with torch.no_grad():
        got = layer(tokens, padding=padding).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)
    assert length == 1 or np.abs(expected).max() > 0.1


@every_case
def test_a_context_of_the_same_length_is_seen_up_to_the_query(name, options) -> None:
    layer, tokens, context = layer_of(name, options), draw(BATCH, 71, WIDTH), draw(BATCH, 71, WIDTH, seed=5)
    expected = definition(name)(
        tokens.numpy(),
        context=context.numpy(),
        padding=None,
        causal=True,
        weights=export_weights(layer),
        heads=HEADS,
        options=options,
    )
    np.testing.assert_allclose(layer(tokens, context).detach().numpy(), expected, rtol=0, atol=1e-11)


@every_case
@pytest.mark.parametrize("prompt", [0, 1, 7, 67, 131])
def test_token_by_token_and_after_a_prompt_is_the_whole(name, options, prompt) -> None:
    layer, tokens = layer_of(name, options), draw(BATCH, 137, WIDTH)
    with torch.no_grad():
        whole = layer(tokens)
        start, state = (
            layer.prefill(tokens[:, :prompt]) if prompt else (whole[:, :0], layer.initial_state(BATCH))
        )
        answers = [start]
        for place in range(prompt, 137):
            answer, state = layer.step(tokens[:, place : place + 1], state)
            answers.append(answer)
    torch.testing.assert_close(torch.cat(answers, dim=1), whole, rtol=0, atol=1e-11)


@every_case
def test_the_state_is_as_large_as_claimed_whatever_the_length(name, options) -> None:
    layer = layer_of(name, options)
    names = ROWS[name].options | options | {"heads": HEADS, "head_width": HEAD_WIDTH, "max": max}
    claimed = eval(ROWS[name].state, {"__builtins__": {}}, names)
    _, after_prompt = layer.prefill(draw(BATCH, 131, WIDTH))
    _, after_step = layer.step(draw(BATCH, 1, WIDTH), after_prompt)
    for state in (layer.initial_state(BATCH), after_prompt, after_step):
        tensors = live_tensors(state)
        assert sum(tensor.numel() for tensor in tensors) == BATCH * claimed
        assert sum(tensor.untyped_storage().nbytes() for tensor in tensors) == BATCH * claimed * 8


@every_case
def test_what_stands_at_padded_places_changes_nothing_forward_or_backward(name, options) -> None:
    layer, padding = layer_of(name, options), gaps(71)
    padding[1, 5] = True

    def run(tokens: Tensor) -> tuple[Tensor, Tensor]:
        tokens.requires_grad_()
        out = layer(tokens, padding=padding)[padding]
        (gradient,) = torch.autograd.grad(out.square().sum(), tokens)
        return out, gradient

    tokens = draw(BATCH, 71, WIDTH)
    changed = torch.where(padding[..., None], tokens, 1e4 * draw(BATCH, 71, WIDTH, seed=7))
    (out, gradient), (same_out, same_gradient) = run(tokens), run(changed)
    assert torch.equal(same_out, out)
    assert torch.equal(same_gradient, gradient)
    assert gradient[padding].abs().amax(dim=-1).min() > 0
    assert gradient[~padding].abs().max() == 0


@pytest.mark.parametrize(("name", "options"), CASES[1:3], ids=lambda part: str(part))
def test_where_decay_is_by_content_padding_is_as_if_not_there(name, options) -> None:
    layer, tokens, padding = layer_of(name, options), draw(BATCH, 71, WIDTH), gaps(71)[:1].expand(BATCH, -1)
    without = tokens[:, padding[0]]
    torch.testing.assert_close(
        layer(tokens, padding=padding)[:, padding[0]], layer(without), rtol=0, atol=1e-12
    )


@every_case
def test_a_query_that_sees_nothing_is_answered_by_the_output_bias_with_finite_gradients(
    name, options
) -> None:
    layer = layer_of(name, options)
    tokens = draw(BATCH, 131, WIDTH).requires_grad_()
    padding = gaps(131)
    first = int(padding[0].int().argmax())
    out = layer(tokens, padding=padding)
    assert torch.equal(out[1], layer.output.bias.expand(131, -1))
    assert torch.equal(out[0, :first], layer.output.bias.expand(first, -1))
    assert not torch.equal(out[0, first], layer.output.bias)
    out[1].square().sum().backward()
    assert tokens.grad is not None
    assert tokens.grad.abs().max() == 0
    assert all(weight.grad.isfinite().all() for weight in layer.parameters() if weight.grad is not None)


def unit(part: Tensor) -> Tensor:
    return part / part.norm(dim=-1, keepdim=True)


def arguments(product: Callable[..., tuple[Tensor, Tensor]], length: int) -> tuple[Tensor, ...]:
    query, key, value = (draw(BATCH, HEADS, length, HEAD_WIDTH, seed=seed) for seed in (1, 2, 3))
    if product is retain:
        return query, key, value
    if product is decayed_product:
        return query, key, value, draw(BATCH, HEADS, length, HEAD_WIDTH, seed=4).sigmoid()
    strength, decay = (draw(BATCH, HEADS, length, seed=seed) for seed in (4, 5))
    return unit(query), unit(key), value, strength.sigmoid(), -decay.exp()


every_product = pytest.mark.parametrize("product", [retain, decayed_product, delta_product])


@every_product
@pytest.mark.parametrize("length", [1, 13, 64, 131])
def test_the_chunk_changes_neither_mixture_nor_state(product, length) -> None:
    parts = arguments(product, length)
    mixed, state = product(*parts, chunk=256)
    for chunk in (1, 2, 16, 64):
        again, same_state = product(*parts, chunk=chunk)
        torch.testing.assert_close(again, mixed, rtol=0, atol=1e-12)
        torch.testing.assert_close(same_state, state, rtol=0, atol=1e-12)


@every_product
def test_gradients_are_those_of_finite_differences_across_chunks(product) -> None:
    parts = tuple(
        part[:1, :2, ..., :7, :3] if part.dim() == 4 else part[:1, :2] for part in arguments(product, 7)
    )
    parts = tuple(part.clone().requires_grad_() for part in parts)
    assert torch.autograd.gradcheck(lambda *given: product(*given, chunk=2), parts)


@pytest.mark.parametrize("emptied", [-30.0, -1e4])
def test_a_token_that_empties_the_state_costs_no_digits_of_what_follows(emptied) -> None:
    length = 61
    log_decay = torch.full((BATCH, HEADS, length), -1e-2, dtype=torch.float64)
    log_decay[:, :, 7::11] = emptied
    query, key, value, strength, _ = arguments(delta_product, length)
    channels = log_decay[..., None].expand(-1, -1, -1, HEAD_WIDTH).exp()
    for product, parts in (
        (delta_product, (query, key, value, strength, log_decay)),
        (decayed_product, (query, key, value, channels)),
    ):
        exact, single = product(*parts)[0], product(*(part.float() for part in parts))[0]
        assert (single - exact).abs().max() < 2e-6 * exact.abs().max()


class LargestTensor(TorchDispatchMode):
    """Remembers the most entries that any operation's output had."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        self.entries = max(self.entries, *sizes, 0)
        return out


@every_case
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_no_tensor_grows_with_the_square_of_the_length(name, options, padded) -> None:
    def largest(length: int) -> int:
        tokens = draw(1, length, WIDTH).requires_grad_()
        with LargestTensor() as seen:
            layer_of(name, options)(tokens, padding=gaps(length)[:1] if padded else None).sum().backward()
        return seen.entries

    once, twice = largest(2039), largest(2 * 2039)
    assert once < 2039 * 2039 / 2
    assert twice < 2.2 * once


@every_case
@pytest.mark.parametrize("size", [0.0, 1e4])
def test_answers_and_gradients_stay_finite_at_the_extremes(name, options, size) -> None:
    layer = layer_of(name, options, torch.float32)
    tokens = (size * draw(BATCH, 131, WIDTH)).float().requires_grad_()
    out = layer(tokens)
    out.sum().backward()
    assert out.isfinite().all()
    assert tokens.grad is not None
    assert tokens.grad.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in layer.parameters())


@every_case
def test_every_weight_has_a_gradient_even_from_one_token(name, options) -> None:
    layer = layer_of(name, options)
    layer(draw(BATCH, 1, WIDTH)).sum().backward()
    assert [path for path, weight in layer.named_parameters() if weight.grad is None] == []


@every_case
def test_in_bfloat16_sums_are_held_in_float32_and_answers_stay_near(name, options) -> None:
    rough, tokens = layer_of(name, options, torch.bfloat16), draw(BATCH, 131, WIDTH).bfloat16()
    fine = layer_of(name, options)
    fine.load_state_dict({key: weight.double() for key, weight in rough.state_dict().items()})
    with torch.no_grad():
        out, state = rough.prefill(tokens)
        expected = fine(tokens.double())
        _, state = rough.step(tokens[:, :1], state)
    assert out.dtype == torch.bfloat16
    assert state.sums.dtype == torch.float32
    assert (out - expected).abs().mean() < 0.02 * expected.abs().mean() + 0.02


def test_a_fresh_delta_rule_fades_within_the_bounds_of_mamba2() -> None:
    torch.manual_seed(1)
    layer = GatedDelta(4096, 1024, causal=True, head_width=1, convolution=4)
    steps = torch.nn.functional.softplus(layer.decay.bias)
    rates = layer.decay_rate.exp()
    for found, (low, high) in ((steps, gated_delta.STEPS), (rates, gated_delta.RATES)):
        assert low * 0.999 <= found.min() < low * 1.2
        assert high * 0.8 < found.max() <= high * 1.001
    assert steps.log().mean().item() == pytest.approx(np.log(1e-2), abs=0.2)
    assert 0.45 < layer.query_taps.abs().max() <= 0.5


@every_case
def test_no_form_but_the_causal_one_and_no_foreign_context(name, options) -> None:
    kind = KINDS[name]
    with pytest.raises(NotImplementedError, match=rf"{kind.__name__} is recurrent in one direction"):
        kind(WIDTH, HEADS, head_width=HEAD_WIDTH, **options)
    with pytest.raises(NotImplementedError, match="takes no rotary positions"):
        kind(WIDTH, HEADS, head_width=HEAD_WIDTH, causal=True, positions="rotary", **options)
    layer = layer_of(name, options)
    with pytest.raises(ValueError, match="needs as many keys as queries, got 7 queries and 11 keys"):
        layer(draw(BATCH, 7, WIDTH), draw(BATCH, 11, WIDTH))
    with pytest.raises(NotImplementedError, match="remembers no context"):
        layer.remember(draw(BATCH, 11, WIDTH))


def test_options_and_chunks_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        GatedLinear(WIDTH, HEADS, head_width=HEAD_WIDTH, causal=True, rank=0)
    with pytest.raises(ValueError, match=r"convolution must be 0 .* got -1"):
        GatedDelta(WIDTH, HEADS, head_width=HEAD_WIDTH, causal=True, convolution=-1)
    with pytest.raises(ValueError, match="chunk must be 1 to 1024 tokens, got 2048"):
        retain(*arguments(retain, 7), chunk=2048)
