"""Low rank and kernels on torch: each layer against its definition, step by step, its cost, extremes."""

import importlib

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from implementations.catalog import VARIANTS
from implementations.on_torch import linear, sdpa
from implementations.on_torch.causal_product import chunk_by_chunk, chunks_at_once
from implementations.on_torch.cosformer import Cosformer
from implementations.on_torch.decoding import live_tensors
from implementations.on_torch.layer import build_layer
from implementations.on_torch.nystrom import Nystrom, pseudo_inverse
from implementations.on_torch.weights import export_weights

BATCH, WIDTH, HEADS, HEAD_WIDTH, LONGEST = 2, 7, 3, 5, 293
ROWS = {row.name: row for row in VARIANTS if row.family == "low rank and kernels"}
CAUSAL = [name for name, row in ROWS.items() if row.causal]
FORMS = [(name, causal) for name, row in ROWS.items() for causal in (False, True)[: 1 + row.causal]]


def layer_of(name: str, *, causal: bool = False, dtype=torch.float64, scale: float = 0.5, **own):
    """A layer of random weights and the definition's answer for it."""
    row = ROWS[name]
    module, kind = row.targets["torch"].split(":")
    settings = {"width": WIDTH, "heads": HEADS, "head_width": HEAD_WIDTH, "max_length": LONGEST}
    options = dict(row.options) | dict(row.small) | own.pop("options", {})
    kernel = getattr(importlib.import_module(module), kind)
    layer = build_layer(kernel, **settings | {"causal": causal, "options": options} | own).to(dtype)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, scale, generator=generator)
    layer.own_options = options
    return layer


def defined(name: str, layer, tokens, *, context=None, padding=None, causal=False) -> np.ndarray:
    module, kind = ROWS[name].definition.split(":")
    arrays = (None if one is None else one.detach().numpy() for one in (context, padding))
    context, padding = arrays
    return getattr(importlib.import_module(module), kind)(
        tokens.detach().numpy(),
        context=context,
        padding=padding,
        causal=causal,
        weights=export_weights(layer),
        heads=HEADS,
        options=layer.own_options,
    )


def drawn(*shape: int, seed: int = 1, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def padding_of(length: int, kind: str) -> torch.Tensor | None:
    if kind == "none":
        return None
    real = torch.rand(BATCH, length, generator=torch.Generator().manual_seed(length)) < 0.6
    if kind == "one sequence all padding":
        real[1] = False
    return real


@pytest.mark.parametrize(("name", "causal"), FORMS)
@pytest.mark.parametrize("length", [1, 2, 5, 13, 64, 131])
@pytest.mark.parametrize("kind", ["none", "gaps", "one sequence all padding"])
def test_a_layer_is_its_definition(name, causal, length, kind) -> None:
    layer, tokens, padding = (
        layer_of(name, causal=causal),
        drawn(BATCH, length, WIDTH),
        padding_of(length, kind),
    )
    out = layer(tokens, None, padding).detach().numpy()
    expected = defined(name, layer, tokens, padding=padding, causal=causal)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.cross_attention])
@pytest.mark.parametrize("source", [1, 11, 67])
@pytest.mark.parametrize("kind", ["none", "gaps", "one sequence all padding"])
def test_a_context_of_another_length_is_attended_to_as_defined_and_can_be_remembered(
    name, source, kind
) -> None:
    layer, tokens, context = layer_of(name), drawn(BATCH, 13, WIDTH), drawn(BATCH, source, WIDTH, seed=3)
    padding = padding_of(source, kind)
    out = layer(tokens, context, padding)
    expected = defined(name, layer, tokens, context=context, padding=padding)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=0, atol=1e-9)
    memory = layer.remember(context, padding)
    pieces = [layer.recall(tokens[:, first : first + 5], memory, first) for first in (0, 5, 10)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), out)
    kept = sum(part.numel() for part in memory[:2])
    assert kept == sum(part.numel() for part in layer.remember(context[:, :1])[:2]), (
        "the length must not show"
    )


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("positions", ["none", "rotary"])
def test_step_by_step_is_the_whole_and_goes_on_after_a_prefill(name, positions) -> None:
    layer = layer_of(name, causal=True, positions=positions, head_width=4)
    tokens = drawn(BATCH, 67, WIDTH)
    with torch.no_grad():
        whole, state = layer(tokens), layer.initial_state(BATCH)
        for place in range(67):
            answer, state = layer.step(tokens[:, place : place + 1], state)
            torch.testing.assert_close(answer, whole[:, place : place + 1])
        answers, prefilled = layer.prefill(tokens[:, :61])
        torch.testing.assert_close(answers, whole[:, :61])
        for place in range(61, 67):
            answer, prefilled = layer.step(tokens[:, place : place + 1], prefilled)
            torch.testing.assert_close(answer, whole[:, place : place + 1])


@pytest.mark.parametrize("name", CAUSAL)
def test_the_state_has_the_claimed_size_whatever_the_length(name) -> None:
    from simpleeval import simple_eval

    layer = layer_of(name, causal=True)
    names = {"heads": HEADS, "head_width": HEAD_WIDTH, **layer.own_options}
    claimed = simple_eval(ROWS[name].state, names=names)
    for length in (1, 131):
        _, state = layer.prefill(drawn(BATCH, length, WIDTH))
        assert sum(tensor.numel() for tensor in live_tensors(state)) == BATCH * claimed
        assert state.length == length


@pytest.mark.parametrize(("name", "causal"), FORMS)
@pytest.mark.parametrize("padded", [False, True])
def test_gradients_are_those_of_finite_differences(name, causal, padded) -> None:
    layer, length = layer_of(name, causal=causal), 11
    tokens = drawn(BATCH, length, WIDTH).requires_grad_()
    padding = padding_of(length, "one sequence all padding") if padded else None
    assert torch.autograd.gradcheck(lambda x: layer(x, None, padding), (tokens,), fast_mode=True)


@pytest.mark.parametrize("chunk", [1, 2, 3, 64, 1000])
@pytest.mark.parametrize("form", [chunk_by_chunk, chunks_at_once])
@pytest.mark.parametrize("length", [1, 7, 64, 131])
def test_the_causal_mean_is_its_quadratic_definition_whatever_the_chunk(form, chunk, length) -> None:
    query, key = drawn(2, BATCH, HEADS, length, 11).abs()
    query, key, value = (
        part.requires_grad_() for part in (query, key, drawn(BATCH, HEADS, length, 5, seed=4))
    )
    products = (query @ key.mT).tril()
    expected = products @ value / products.sum(-1, keepdim=True)
    cotangent = drawn(BATCH, HEADS, length, 5, seed=5)
    out = form(query, key, value, chunk)
    torch.testing.assert_close(out, expected)
    for got, wanted in zip(
        torch.autograd.grad((out * cotangent).sum(), (query, key, value)),
        torch.autograd.grad((expected * cotangent).sum(), (query, key, value)),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted)


def test_a_row_without_any_common_feature_is_zero_with_finite_gradients() -> None:
    for form in (chunk_by_chunk, chunks_at_once):
        query, key, value = (
            drawn(BATCH, HEADS, 13, 5, seed=seed).abs().requires_grad_() for seed in (1, 2, 3)
        )
        hidden = torch.arange(13)[:, None] >= 4  # the first four keys have no feature at all
        out = form(query, key * hidden, value, 3)
        assert torch.equal(out[:, :, :4], torch.zeros_like(out[:, :, :4]))
        out.sum().backward()
        for part in (query, key, value):
            assert part.grad.isfinite().all()
        assert not key.grad[:, :, :4].any()


def test_half_precision_sums_go_on_growing() -> None:
    ones = torch.ones(1, 1, 1031, 3, dtype=torch.bfloat16)
    value = torch.arange(1031).remainder(2).to(torch.bfloat16)[None, None, :, None].expand(1, 1, -1, 3)
    mean = chunk_by_chunk(ones, ones, value.contiguous(), 1)
    assert mean.dtype == torch.bfloat16
    torch.testing.assert_close(mean[0, 0, -1].float(), torch.full((3,), 0.5), rtol=0, atol=4e-3)


@pytest.mark.parametrize(("name", "causal"), FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1e2, 1e4])
def test_answers_and_gradients_are_finite_for_inputs_of_any_size(name, causal, dtype, size) -> None:
    layer = layer_of(name, causal=causal, dtype=dtype)
    tokens = (drawn(BATCH, 67, WIDTH) * size).to(dtype).requires_grad_()
    out = layer(tokens)
    assert out.dtype == dtype
    out.sum().backward()
    assert out.isfinite().all()
    assert tokens.grad.isfinite().all()


@pytest.mark.parametrize("causal", [False, True])
def test_performer_is_finite_at_logits_of_ten_thousand(causal) -> None:
    layer = layer_of("performer", causal=causal, dtype=torch.float32)
    directions = torch.nn.functional.normalize(
        drawn(BATCH, HEADS, 67, HEAD_WIDTH, dtype=torch.float32), dim=-1
    )
    tokens = directions * (1e4 * HEAD_WIDTH**0.5) ** 0.5
    for query in (tokens, -tokens):
        query = query.clone().requires_grad_()
        out = layer.mix(query, tokens, tokens, None, causal=causal)
        out.sum().backward()
        assert out.isfinite().all()
        assert query.grad.isfinite().all()


class LargestTensor(TorchDispatchMode):
    """Watches every operation and remembers the most entries that any of its outputs had."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        self.entries = max(self.entries, *sizes, 0)
        return out


def largest(layer, length: int, padded: bool) -> int:
    tokens = drawn(1, length, WIDTH).requires_grad_()
    padding = torch.rand(1, length) < 0.7 if padded else None
    with LargestTensor() as seen, sdpa_kernel(SDPBackend.MATH):
        layer(tokens, padding=padding).sum().backward()
    return seen.entries


@pytest.mark.parametrize(("name", "causal"), FORMS)
@pytest.mark.parametrize("padded", [False, True])
def test_no_tensor_grows_with_the_square_of_the_length(name, causal, padded) -> None:
    once, twice = (
        largest(layer_of(name, causal=causal, max_length=length), length, padded) for length in (1021, 2042)
    )
    assert once < 1021 * 128
    assert twice < 2.2 * once


def test_nystrom_with_a_landmark_a_token_is_softmax_attention_once_the_inverse_is_found() -> None:
    query, key, value = (drawn(BATCH, HEADS, 61, HEAD_WIDTH, seed=seed) for seed in (1, 2, 3))
    layer = layer_of("nystrom", options={"landmarks": 61, "iterations": 40})
    expected = sdpa.attend(query / 3, key, value)
    few = Nystrom(WIDTH, HEADS, head_width=HEAD_WIDTH, landmarks=61).mix(
        query / 3, key, value, None, causal=False
    )
    many = layer.mix(query / 3, key, value, None, causal=False)
    assert (many - expected).norm() < (few - expected).norm() / 3


def test_the_pseudo_inverse_is_moore_and_penrose_s() -> None:
    weights = drawn(BATCH, HEADS, 13, 13).mul(3).softmax(dim=-1)
    expected = torch.linalg.pinv(weights)
    torch.testing.assert_close(pseudo_inverse(weights, 30), expected, rtol=1e-8, atol=1e-8)
    assert (pseudo_inverse(weights, 2) - expected).norm() > 1e-3 * expected.norm()
    assert torch.equal(pseudo_inverse(torch.zeros(3, 3), 6), torch.zeros(3, 3))


@pytest.mark.parametrize("length", [1, 5, 13])
def test_nystrom_s_convolution_is_its_definition_and_hides_padding(length) -> None:
    layer, tokens = layer_of("nystrom", options={"convolution": 3}), drawn(BATCH, length, WIDTH)
    real = torch.ones(BATCH, length, dtype=torch.bool)
    real[1, : length // 3] = False
    expected = defined("nystrom", layer, tokens, padding=real)
    np.testing.assert_allclose(layer(tokens, None, real).detach().numpy(), expected, rtol=0, atol=1e-9)


def test_nystrom_answers_for_a_sequence_as_for_its_real_tokens_alone() -> None:
    layer, tokens = layer_of("nystrom", options={"landmarks": 31}), drawn(1, 23, WIDTH)
    padding = torch.arange(31)[None] < 23
    padded = torch.cat((tokens, drawn(1, 8, WIDTH, seed=9)), dim=1)
    torch.testing.assert_close(layer(padded, None, padding)[:, :23], layer(tokens))


def test_cosformer_weighs_near_tokens_more_and_counts_from_its_largest_length() -> None:
    near, far = (Cosformer(4, 1, max_length=length) for length in (11, 1009))
    ones = torch.ones(1, 1, 11, 4)
    value = torch.arange(11.0)[None, None, :, None].expand(1, 1, -1, 4)
    means = [layer.mix(ones, ones, value, None, causal=False)[0, 0, 0, 0] for layer in (near, far)]
    weights = torch.cos(torch.pi / 2 * torch.arange(11.0) / 11)
    assert means[0] == pytest.approx(float((weights * torch.arange(11.0)).sum() / weights.sum()), rel=1e-5)
    assert means[1] == pytest.approx(5.0, rel=1e-3)


def test_what_these_variants_cannot_do_is_refused_with_the_reason() -> None:
    tokens = torch.zeros(2, 11, 15)
    with pytest.raises(NotImplementedError, match="the mean of a segment"):
        Nystrom(15, 3, causal=True)
    for call in (lambda: Nystrom(15, 3)(tokens, tokens), lambda: Nystrom(15, 3).remember(tokens)):
        with pytest.raises(NotImplementedError, match="its own tokens only"):
            call()
    with pytest.raises(ValueError, match="at least 1, got 0 and 6"):
        Nystrom(15, 3, landmarks=0)
    with pytest.raises(ValueError, match="odd number of tokens, or 0, got 4"):
        Nystrom(15, 3, convolution=4)
    with pytest.raises(ValueError, match="got None"):
        Cosformer(15, 3)
    with pytest.raises(ValueError, match="at most max_length = 7 tokens, got 11"):
        Cosformer(15, 3, max_length=7)(tokens)
    with pytest.raises(ValueError, match="at most max_length = 1 tokens, got 2"):
        layer = Cosformer(15, 3, max_length=1, causal=True)
        layer.step(tokens[:, :1], layer.step(tokens[:, :1], layer.initial_state(2))[1])
    with pytest.raises(NotImplementedError, match="only when it is causal"):
        linear.Linear(15, 3).initial_state(2)
