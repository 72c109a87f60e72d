"""Multi-query, grouped-query and latent attention against their definitions, and their small caches."""

import math

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from implementations.definitions import grouped_query as grouped_definition
from implementations.definitions import latent as latent_definition
from implementations.families.fewer_keys import VARIANTS
from implementations.on_torch.decoding import live_tensors
from implementations.on_torch.grouped_query import GroupedQuery, MultiQuery
from implementations.on_torch.latent import Latent
from implementations.on_torch.weights import export_weights

WIDTH, HEADS, HEAD_WIDTH = 11, 6, 4
LATENT = {"rank": 7, "rope_width": 2, "query_rank": 5}
CASES = {
    "multi_query": (MultiQuery, {}, grouped_definition.layer),
    "two groups": (GroupedQuery, {"key_heads": 2}, grouped_definition.layer),
    "three groups": (GroupedQuery, {"key_heads": 3}, grouped_definition.layer),
    "chosen groups": (GroupedQuery, {}, grouped_definition.layer),
    "latent": (Latent, LATENT, latent_definition.layer),
    "latent, queries whole": (Latent, LATENT | {"query_rank": 0}, latent_definition.layer),
}


def layer_of(name: str, *, causal: bool = False, heads: int = HEADS, **settings) -> torch.nn.Module:
    kind, options, _ = CASES[name]
    layer = kind(WIDTH, heads, head_width=HEAD_WIDTH, causal=causal, **options, **settings).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return layer


def tokens_of(length: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, length, WIDTH, dtype=torch.float64, generator=generator)


def padding_of(source: int) -> torch.Tensor:
    padding = torch.ones(3, source, dtype=torch.bool)
    padding[0] = False
    padding[1, : source // 3] = False
    padding[1, source // 2] = False
    return padding


def assert_is_its_definition(name, layer, tokens, context, padding, causal) -> None:
    _, options, definition = CASES[name]
    with torch.no_grad():
        out = layer(tokens, context, padding).numpy()
    arrays = (None if one is None else one.numpy() for one in (context, padding))
    want = definition(
        tokens.numpy(),
        **dict(zip(("context", "padding"), arrays, strict=True)),
        causal=causal,
        weights=export_weights(layer),
        heads=HEADS,
        options=options,
    )
    np.testing.assert_allclose(out, want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("length", [1, 2, 13, 31])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_each_is_its_definition(name, length, causal, padded) -> None:
    layer = layer_of(name, causal=causal)
    padding = padding_of(length) if padded else None
    assert_is_its_definition(name, layer, tokens_of(length), None, padding, causal)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("length", "source"), [(13, 7), (1, 13), (7, 1)])
@pytest.mark.parametrize("padded", [False, True])
def test_each_attends_to_a_context(name, length, source, padded) -> None:
    padding = padding_of(source) if padded else None
    layer, tokens, context = layer_of(name), tokens_of(length), tokens_of(source, seed=2)
    assert_is_its_definition(name, layer, tokens, context, padding, False)
    with torch.no_grad():
        again = layer.recall(tokens[:, -1:], layer.remember(context, padding), length - 1)
        torch.testing.assert_close(again, layer(tokens, context, padding)[:, -1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("prompt", [0, 1, 11])
def test_a_prompt_and_steps_are_the_whole(name, prompt) -> None:
    layer, tokens = layer_of(name, causal=True), tokens_of(19)
    with torch.no_grad():
        whole = layer(tokens)
        answer, state = layer.prefill(tokens[:, :prompt]) if prompt else (None, layer.initial_state(3))
        answers = [answer] if prompt else []
        for place in range(prompt, 19):
            answer, state = layer.step(tokens[:, place : place + 1], state)
            answers.append(answer)
    torch.testing.assert_close(torch.cat(answers, dim=1), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5"])
def test_groups_hold_relative_positions_in_steps_as_in_the_whole(positions) -> None:
    layer, tokens = layer_of("two groups", causal=True, positions=positions, qk_norm=True), tokens_of(13)
    with torch.no_grad():
        whole = layer(tokens)
        _, state = layer.prefill(tokens[:, :12])
        last, _ = layer.step(tokens[:, 12:], state)
    torch.testing.assert_close(last, whole[:, 12:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [13, 300])
@pytest.mark.parametrize("name", CASES)
def test_the_state_is_as_small_as_claimed(name, length) -> None:
    kind, options, _ = CASES[name]
    row = next(row for row in VARIANTS if row.targets["torch"].endswith(f":{kind.__name__}"))
    with torch.no_grad():
        _, state = layer_of(name, causal=True).prefill(tokens_of(length)[:1])
    names = {**row.options, **options, "heads": HEADS, "head_width": HEAD_WIDTH, "n": length}
    claimed = eval(row.state, {"blocks": lambda n: 256 * math.ceil(n / 256)}, names)
    assert sum(tensor.numel() for tensor in live_tensors(state)) == claimed


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("causal", [False, True])
def test_gradients_are_finite_differences(name, causal) -> None:
    layer = layer_of(name, causal=causal)
    padding, tokens = padding_of(5), tokens_of(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda tokens: layer(tokens, None, padding), (tokens,), fast_mode=True)
    names = [name for name, _ in layer.named_parameters()]

    def by_weights(*weights):
        arguments = (tokens.detach(), None, padding)
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), arguments)

    assert torch.autograd.gradcheck(by_weights, tuple(layer.parameters()), fast_mode=True)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_huge_and_zero_tokens_stay_finite(name, dtype) -> None:
    for causal in (False, True):
        layer = layer_of(name, causal=causal).to(dtype)
        for size in (0.0, 1e4):
            tokens = (size * tokens_of(13)).to(dtype).requires_grad_()
            out = layer(tokens, None, padding_of(13))
            assert out.isfinite().all()
            torch.testing.assert_close(out[0], layer.output.bias.expand_as(out[0]), rtol=0, atol=0)
            assert torch.autograd.grad(out.sum(), tokens)[0].isfinite().all()


@pytest.mark.parametrize("name", ["multi_query", "two groups"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_the_fused_kernel_serves_shared_keys(name, causal, padded) -> None:
    layer = layer_of(name, causal=causal)
    with torch.no_grad(), sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        layer(tokens_of(13), None, padding_of(13) if padded else None)


@pytest.mark.parametrize("key_heads", [1, 2])
@pytest.mark.parametrize(("causal", "padded"), [(False, False), (True, False), (True, True), (False, True)])
def test_keys_are_repeated_for_idle_threads_and_nothing_else_changes(key_heads, causal, padded) -> None:
    layer = GroupedQuery(WIDTH, HEADS, head_width=HEAD_WIDTH, key_heads=key_heads, causal=causal).double()
    padding = padding_of(13)[1:2] if padded else None
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 4):
            torch.set_num_threads(count)
            tokens = tokens_of(13)[:1].requires_grad_()
            torch.autograd.backward(layer(tokens, None, padding).square().sum())
            found.append(tokens.grad)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


def test_a_latent_step_builds_no_keys_and_no_values() -> None:
    layer, tokens = layer_of("latent", causal=True), tokens_of(7)
    with torch.no_grad():
        _, state = layer.prefill(tokens[:, :6])

    def refuse(module, inputs):
        raise AssertionError("keys or values were built")

    for up in (layer.key, layer.value):
        up.register_forward_pre_hook(refuse)
    layer.step(tokens[:, 6:], state)
    with pytest.raises(AssertionError, match="were built"):
        layer(tokens)


def test_latent_attention_sees_distances_only() -> None:
    layer, tokens = layer_of("latent"), tokens_of(7)
    with torch.no_grad():
        parts = [layer._queries(tokens, first) for first in (0, 5)]
        keys = [layer._remembered(tokens, None, first)[0] for first in (0, 5)]
        scores = [query @ key.transpose(-2, -1) for query, key in zip(parts, keys, strict=True)]
    torch.testing.assert_close(scores[0], scores[1], rtol=0, atol=1e-10)
    assert (parts[0] - parts[1]).abs().max() > 0.1


def test_what_cannot_be_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="key_heads must divide heads, got 2 key heads for 3 heads"):
        GroupedQuery(WIDTH, 3, head_width=5, key_heads=2)
    with pytest.raises(ValueError, match="got 7 key heads for 6 heads"):
        GroupedQuery(WIDTH, 6, head_width=5, key_heads=7)
    with pytest.raises(ValueError, match="even rope_width of at least 2, got 7, 0 and 3"):
        Latent(WIDTH, 3, head_width=5, rank=7, rope_width=3)
    with pytest.raises(NotImplementedError, match="its latents are normalised instead"):
        Latent(WIDTH, 3, head_width=5, qk_norm=True)
    for positions in ("rotary", "alibi", "t5"):
        with pytest.raises(NotImplementedError, match=f"takes no {positions} positions"):
            Latent(WIDTH, 3, head_width=5, positions=positions)
    with pytest.raises(NotImplementedError, match="build it with causal=True"):
        Latent(WIDTH, 3, head_width=5).initial_state(2)
    assert [GroupedQuery(WIDTH, heads, head_width=5).key_heads for heads in (3, 6, 7)] == [1, 2, 1]
