"""Sigmoid, differential, sparsemax, entmax and talking heads are what their definitions say."""

import importlib
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from implementations.families.scores import VARIANTS
from implementations.on_torch import entmax, query_blocks, sigmoid, sparsemax
from implementations.on_torch.decoding import live_tensors
from implementations.on_torch.layer import build_layer
from implementations.on_torch.weights import export_weights

BATCH, WIDTH, HEADS = 2, 11, 3
ROWS = {row.name: row for row in VARIANTS}
IN_BLOCKS = {"sigmoid": sigmoid.attend, "sparsemax": sparsemax.attend, "entmax": entmax.attend}
LINEAR = [name for name in ROWS if name != "talking_heads"]
every = pytest.mark.parametrize("name", ROWS)
both = pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of five queries, so that short sequences cross several and end within one."""
    monkeypatch.setattr(query_blocks, "FEWEST_QUERIES", 5)
    monkeypatch.setattr(query_blocks, "MOST_QUERIES", 5)


def loaded(target: str) -> Callable[..., object]:
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


def layer_of(
    name: str, *, causal: bool, head_width: int = 7, scale: float = 0.5, **settings
) -> torch.nn.Module:
    layer = build_layer(
        loaded(ROWS[name].targets["torch"]),
        **(
            {"width": WIDTH, "heads": HEADS, "causal": causal, "max_length": 31, "options": {}}
            | {"head_width": head_width}
            | settings
        ),
    ).double()
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


def defined(name: str, layer: torch.nn.Module, query, context=None, padding=None, causal=False, **options):
    arrays = [None if part is None else part.numpy() for part in (query, context, padding)]
    return loaded(ROWS[name].definition)(
        arrays[0],
        context=arrays[1],
        padding=arrays[2],
        causal=causal,
        weights=export_weights(layer),
        heads=HEADS,
        options=options,
    )


@every
@both
@pytest.mark.parametrize("length", [1, 2, 5, 13, 31])
@pytest.mark.parametrize("kind", ["none", "gaps", "all of one"])
def test_a_layer_is_its_definition(name, causal, length, kind) -> None:
    layer, padding = layer_of(name, causal=causal), padding_of(length, kind)
    with torch.no_grad():
        got = layer(tokens(length), padding=padding).numpy()
    expected = defined(name, layer, tokens(length), padding=padding, causal=causal)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


@every
@pytest.mark.parametrize("kind", ["none", "gaps"])
def test_attention_to_a_context_is_its_definition(name, kind) -> None:
    layer, padding = layer_of(name, causal=False), padding_of(17, kind)
    with torch.no_grad():
        got = layer(tokens(13), tokens(17, 3), padding).numpy()
    expected = defined(name, layer, tokens(13), tokens(17, 3), padding)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_the_depth_settles_how_much_is_subtracted_at_first(depth) -> None:
    layer = layer_of("differential", causal=True, options={"depth": depth})
    with torch.no_grad():
        got = layer(tokens(13)).numpy()
        layer.second_query.zero_()
        layer.first_query.zero_()
    expected_start = {1: 0.2, 2: 0.355509, 7: 0.700821}[depth]
    assert float(layer.subtracted().detach()) == pytest.approx(expected_start, abs=1e-6)
    again = layer_of("differential", causal=True, options={"depth": depth})
    expected = defined("differential", again, tokens(13), causal=True, depth=depth)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["differential", "talking_heads", "sigmoid"])
@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5"])
def test_relative_positions_depend_on_distance_and_change_the_answer(name, positions) -> None:
    plain = layer_of(name, causal=False, head_width=8)
    layer = layer_of(name, causal=False, head_width=8, positions=positions)
    with torch.no_grad():
        one = layer(tokens(13))
        # A prefix that is padded moves the rest along and must not matter.
        moved = torch.cat((tokens(5, 9), tokens(13)), dim=1)
        real = torch.ones(BATCH, 18, dtype=torch.bool)
        real[:, :5] = False
        torch.testing.assert_close(layer(moved, padding=real)[:, 5:], one)
        assert (plain(tokens(13)) - one).abs().max() > 1e-3


@every
def test_step_by_step_and_after_a_prompt_is_the_whole(name) -> None:
    layer = layer_of(name, causal=True)
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


@every
@pytest.mark.parametrize("length", [1, 256, 257])
def test_the_state_is_as_large_as_claimed(name, length) -> None:
    layer = layer_of(name, causal=True)
    with torch.no_grad():
        _, state = layer.prefill(tokens(length)[:1])
    names = {"heads": HEADS, "head_width": 7, "ceil": math.ceil, "blocks": lambda n: 256 * math.ceil(n / 256)}
    claimed = eval(ROWS[name].state, names | {"n": length})
    assert sum(tensor.numel() for tensor in live_tensors(state)) == claimed


@every
@both
def test_gradients_are_those_of_finite_differences(name, causal) -> None:
    layer = layer_of(name, causal=causal, head_width=4, scale=0.3)
    padding = padding_of(7, "all of one")
    query = tokens(7).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, *_: layer(x, padding=padding), (query, *layer.parameters()), fast_mode=True
    )


@pytest.mark.parametrize("name", IN_BLOCKS)
def test_the_gradient_of_a_bias_is_that_of_finite_differences(name) -> None:
    query, key, value = (tokens(7, seed)[:, None, :, :5].contiguous().requires_grad_() for seed in (1, 2, 3))
    bias = torch.randn(1, 1, 7, 7, dtype=torch.float64, requires_grad=True)
    attend = IN_BLOCKS[name]
    assert torch.autograd.gradcheck(
        lambda *parts: attend(*parts[:3], causal=True, bias=parts[3]), (query, key, value, bias)
    )


class LargestTensor(TorchDispatchMode):
    """The most entries of any output of any operation."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.entries = max(self.entries, leaf.numel())
        return out


@pytest.mark.parametrize("name", IN_BLOCKS)
@both
def test_no_tensor_grows_with_the_square_of_the_length(name, causal, monkeypatch) -> None:
    monkeypatch.setattr(query_blocks, "MOST_QUERIES", 7)
    layer, found = layer_of(name, causal=causal, heads=1), {}
    for length in (211, 422):
        query = tokens(length)[:1].requires_grad_()
        with LargestTensor() as seen:
            layer(query, padding=torch.rand(1, length) < 0.7).sum().backward()
        found[length] = seen.entries
    assert found[211] < 211 * 211 / 2
    assert found[422] < 2.2 * found[211]


@both
def test_differential_attention_builds_no_scores_where_the_kernel_is_fused(causal) -> None:
    layer = layer_of("differential", causal=causal)
    padding = torch.rand(1, 503) < 0.7
    with LargestTensor() as seen, sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        layer(tokens(503)[:1].requires_grad_(), padding=padding).sum().backward()
    assert seen.entries < 503 * 503 / 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@every
@both
def test_extremes_stay_finite(name, causal, dtype) -> None:
    layer = layer_of(name, causal=causal).to(dtype)
    for scale in (0.0, 1.0, 100.0):
        query = (tokens(13) * scale).to(dtype).requires_grad_()
        answer = layer(query, padding=padding_of(13, "all of one"))
        answer.sum().backward()
        assert answer.dtype == dtype
        assert answer.isfinite().all()
        assert query.grad is not None
        assert query.grad.isfinite().all()


@pytest.mark.parametrize("name", IN_BLOCKS)
def test_scores_of_ten_thousand_choose_one_key(name) -> None:
    value = torch.randn(1, 1, 7, 5)
    query, key = torch.full((1, 1, 3, 5), 1e4), torch.zeros(1, 1, 7, 5)
    key[:, :, 4] = 1.0
    key[:, :, :4] = -1.0
    key[:, :, 5:] = -1.0
    expected = value[:, :, 4:5].expand(1, 1, 3, 5)
    torch.testing.assert_close(IN_BLOCKS[name](query, key, value), expected)


@pytest.mark.parametrize("name", ["sparsemax", "entmax"])
def test_weights_sum_to_one_and_some_are_exactly_zero(name) -> None:
    """With unit vectors as values the answer is the weights."""
    query, key = (torch.randn(1, 1, 31, 31, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    weights = IN_BLOCKS[name](3 * query, key, torch.eye(31)[None, None])
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 1, 31))
    assert (weights >= 0).all()
    assert ((weights == 0).sum(dim=-1) >= 5).all()


def test_sigmoid_weights_do_not_sum_to_one() -> None:
    query = torch.randn(1, 1, 31, 31, generator=torch.Generator().manual_seed(1))
    sums = IN_BLOCKS["sigmoid"](3 * query, query, torch.eye(31)[None, None]).sum(dim=-1)
    assert (sums - 1).abs().min() > 1e-3


def test_talking_heads_start_as_softmax_attention() -> None:
    settings = {"width": 15, "heads": HEADS, "causal": True, "max_length": 13, "options": {}}
    torch.manual_seed(1)
    layer = build_layer(loaded(ROWS["talking_heads"].targets["torch"]), **settings)
    from implementations.on_torch import softmax

    plain = build_layer(softmax.attend, **settings)
    plain.load_state_dict({name: layer.state_dict()[name] for name in plain.state_dict()})
    query = torch.randn(2, 13, 15)
    torch.testing.assert_close(layer(query), plain(query))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="depth must be at least 1, the first layer, got 0"):
        layer_of("differential", causal=False, options={"depth": 0})
    query, context = torch.zeros(2, 3, 7, 5), torch.zeros(2, 3, 11, 5)
    for attend in IN_BLOCKS.values():
        with pytest.raises(ValueError, match="causal attention needs as many keys as queries"):
            attend(query, context, context, causal=True)
