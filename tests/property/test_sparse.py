"""Sliding-window, block-sparse and strided attention: definitions, decoding, padding, cost and gradients.

Layers have width 7 and 3 heads of 6; lengths go past several blocks and are mostly primes.
"""

import importlib

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from implementations.block_pattern import ABSENT, BlockPattern, blocks_seen
from implementations.catalog import VARIANTS
from implementations.definitions import block_sparse as block_sparse_by_hand
from implementations.on_torch.decoding import live_tensors
from implementations.on_torch.layer import build_layer
from implementations.on_torch.partial_softmax import attend_to_part, merged
from implementations.on_torch.weights import export_weights

WIDTH, HEADS, HEAD_WIDTH = 7, 3, 6
CASES = [
    ("sliding_window", {"window": 5}),
    ("sliding_window", {"window": 5, "sinks": 2}),
    ("sliding_window", {"window": 1, "sinks": 3}),
    ("sliding_window", {"window": 20, "sinks": 17}),
    ("strided", {"stride": 0}),
    ("strided", {"stride": 3}),
    ("strided", {"stride": 11}),
    ("block_sparse", {"block": 2}),
    ("block_sparse", {"block": 3, "global_blocks": 1, "random_blocks": 2, "seed": 5}),
    ("block_sparse", {"block": 5, "global_blocks": 0, "random_blocks": 1, "window_blocks": 1}),
]
IDS = [f"{name} {' '.join(f'{key}={value}' for key, value in options.items())}" for name, options in CASES]
every = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
either = pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])


def layer_of(name: str, options: dict, *, causal: bool, length: int, positions: str = "none"):
    row = next(one for one in VARIANTS if one.name == name)
    module, attention = row.targets["torch"].split(":")
    layer = build_layer(
        getattr(importlib.import_module(module), attention),
        width=WIDTH,
        heads=HEADS,
        head_width=HEAD_WIDTH,
        causal=causal,
        max_length=length,
        options=options,
        positions=positions,
    ).double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return layer


def tokens(length: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, length, WIDTH, dtype=torch.float64, generator=generator)


def gaps(length: int) -> Tensor:
    """Random gaps in the first sequence; nothing but padding in the second."""
    real = torch.rand(2, length, generator=torch.Generator().manual_seed(length)) < 0.5
    real[1] = False
    return real


def defined(name: str, options: dict, layer, given: Tensor, padding: Tensor | None, causal: bool):
    row = next(one for one in VARIANTS if one.name == name)
    return importlib.import_module(row.definition.split(":")[0]).layer(
        given.numpy(),
        context=None,
        padding=None if padding is None else padding.numpy(),
        causal=causal,
        weights=export_weights(layer),
        heads=HEADS,
        options=options,
    )


@every
@either
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 13, 18, 31, 67, 131])  # 3, 4, 18: all but one are sinks
def test_it_is_what_its_definition_says(name, options, causal, padded, length) -> None:
    layer = layer_of(name, options, causal=causal, length=length)
    padding = gaps(length) if padded else None
    with torch.no_grad():
        out = layer(tokens(length), padding=padding).numpy()
    expected = defined(name, options, layer, tokens(length), padding, causal)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "options"), [("sliding_window", {"window": 300}), ("strided", {})])
@either
def test_default_sizes_are_what_their_definition_says(name, options, causal) -> None:
    layer = layer_of(name, options, causal=causal, length=331)
    with torch.no_grad():
        out = layer(tokens(331)).numpy()
    np.testing.assert_allclose(out, defined(name, options, layer, tokens(331), None, causal), atol=1e-10)


@every
@pytest.mark.parametrize("positions", ["none", "rotary"])
@pytest.mark.parametrize("known", [0, 1, 17, 40])
def test_step_by_step_is_the_whole(name, options, positions, known) -> None:
    layer = layer_of(name, options, causal=True, length=47, positions=positions)
    given = tokens(47)
    with torch.no_grad():
        whole = layer(given)
        answers, state = [], layer.initial_state(2)
        if known:
            first, state = layer.prefill(given[:, :known])
            answers.append(first)
        for place in range(known, 47):
            answer, state = layer.step(given[:, place : place + 1], state)
            answers.append(answer)
    torch.testing.assert_close(torch.cat(answers, dim=1), whole, rtol=0, atol=1e-10)


@every
@pytest.mark.parametrize("length", [1, 13, 257])
def test_the_state_is_as_large_as_claimed(name, options, length) -> None:
    row = next(one for one in VARIANTS if one.name == name)
    layer = layer_of(name, options, causal=True, length=length)
    _, state = layer.prefill(tokens(length))
    claimed = eval(
        row.state,
        {"n": length, "heads": HEADS, "head_width": HEAD_WIDTH, "blocks": lambda n: -(-n // 256) * 256},
        dict(row.options) | options,
    )
    tensors = live_tensors(state)
    assert sum(tensor.numel() for tensor in tensors) == 2 * claimed
    stored = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    assert sum(stored.values()) == 2 * 8 * claimed, "a view would keep more alive than it shows"


@every
@either
def test_gradients_are_those_of_finite_differences(name, options, causal) -> None:
    layer = layer_of(name, options, causal=causal, length=23)
    real = gaps(23)
    given = tokens(23).requires_grad_(True)

    def loss(given: Tensor, *weights: Tensor) -> Tensor:
        return layer(given, padding=real).square().mean()

    assert torch.autograd.gradcheck(loss, (given, *layer.parameters()), fast_mode=True, atol=1e-6)


@every
@either
def test_what_is_not_in_the_pattern_has_no_gradient(name, options, causal) -> None:
    """The gradient's zeros are the pattern: `definition` tells which tokens a query may depend on."""
    length = 37
    layer = layer_of(name, options, causal=causal, length=length)
    pattern = _pattern(name, options, length, causal)
    given = tokens(length).requires_grad_(True)
    out = layer(given)
    for place in (0, 7, 19, length - 1):
        (gradient,) = torch.autograd.grad(out[0, place].square().sum(), given, retain_graph=True)
        found = (gradient[0] != 0).any(dim=-1).numpy()
        np.testing.assert_array_equal(found, pattern[place], err_msg=str(place))


def _pattern(name: str, options: dict, length: int, causal: bool) -> np.ndarray:
    module = importlib.import_module(f"implementations.definitions.{name}")
    if name == "sliding_window":
        seen = module.neighbourhood(length, causal=causal, **options)
    elif name == "strided":
        seen = module.union_of_both(length, options["stride"] or round(length**0.5))
    else:
        seen = module.tokens_seen(length, **options)
    return seen & np.tri(length, dtype=bool) if causal else seen


@every
@either
@pytest.mark.parametrize("size", [0.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_huge_scores_and_zeros_stay_finite(name, options, causal, size, dtype) -> None:
    layer = layer_of(name, options, causal=causal, length=43).to(dtype)
    extreme = (size * tokens(43).sign()).to(dtype).requires_grad_(True)
    out = layer(extreme, padding=gaps(43))
    out[gaps(43)].float().sum().backward()  # a padded token is still a query of its own
    assert out.isfinite().all()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()
    assert (extreme.grad[~gaps(43)] == 0).all()


@every
@either
def test_bfloat16_is_near_the_definition(name, options, causal) -> None:
    layer = layer_of(name, options, causal=causal, length=67)
    expected = layer(tokens(67))
    rounded = layer.to(torch.bfloat16)(tokens(67).to(torch.bfloat16)).double()
    assert (rounded - expected).abs().max() < 0.03 * expected.abs().max()


class LargestTensor(TorchDispatchMode):
    """Watches every operation and remembers the most entries that any of its outputs had."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.entries = max(self.entries, leaf.numel())
        return out


def largest(name: str, options: dict, length: int, causal: bool, padded: bool) -> int:
    layer = layer_of(name, options, causal=causal, length=length)
    given = tokens(length)[:1].requires_grad_(True)
    padding = gaps(length)[:1] if padded else None
    with LargestTensor() as seen, sdpa_kernel(SDPBackend.MATH):
        layer(given, padding=padding).sum().backward()
    return seen.entries


@pytest.mark.parametrize(
    ("name", "options", "growth"),
    [
        ("sliding_window", {"window": 31, "sinks": 3}, 2),
        ("block_sparse", {"block": 7, "global_blocks": 1}, 2),
        ("strided", {}, 2**1.5),
    ],
)
@either
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_no_tensor_grows_with_the_square_of_the_length(name, options, growth, causal, padded) -> None:
    once, twice = (largest(name, options, length, causal, padded) for length in (1021, 2042))
    assert once < 1021 * 1021
    assert twice < 1.1 * growth * once


def test_parts_merge_to_the_whole_softmax() -> None:
    generator = torch.Generator().manual_seed(3)
    query, key, value = torch.randn(3, 2, 13, 5, dtype=torch.float64, generator=generator)
    first = torch.rand(13, 13, generator=generator) < 0.5
    first[4], first[5] = True, False  # one query has all its keys in one part, one in the other
    score = 1e3 * query
    parts = [attend_to_part(score, key, value, hidden) for hidden in (first, ~first)]
    expected = torch.softmax(score @ key.mT / 5**0.5, dim=-1) @ value
    torch.testing.assert_close(merged(*parts), expected, rtol=0, atol=1e-12)


@either
@pytest.mark.parametrize(("window", "shared", "drawn"), [(3, 2, 3), (1, 0, 1), (5, 1, 7)])
def test_the_block_pattern_is_the_one_defined(causal, window, shared, drawn) -> None:
    pattern = BlockPattern(window_blocks=window, global_blocks=shared, random_blocks=drawn, seed=11)
    by_hand = block_sparse_by_hand.tokens_seen(
        37, block=1, window_blocks=window, global_blocks=shared, random_blocks=drawn, seed=11
    )
    for block, row in enumerate(blocks_seen(pattern, 37, causal=causal), start=shared):
        expected = [j for j in range(37) if by_hand[block, j] and (j <= block or not causal)]
        assert sorted(row[row != ABSENT]) == expected
        assert row[0] == block


def test_random_blocks_follow_the_seed_and_not_the_length() -> None:
    long = blocks_seen(BlockPattern(seed=1), 64, causal=True)
    np.testing.assert_array_equal(blocks_seen(BlockPattern(seed=1), 29, causal=True), long[:27])
    assert (blocks_seen(BlockPattern(seed=2), 64, causal=True) != long).any()
    kept = (long[30:] != ABSENT).sum(axis=1)
    assert kept.max() == 2 + 2 + 3, "itself, one before, two global and three drawn"
    assert kept.mean() > 5, "of three drawn blocks about two are in the past"


def test_what_cannot_be_is_refused_with_the_reason() -> None:
    for name, options, message in (
        ("sliding_window", {"window": 0}, "window must be at least 1 token, got 0"),
        ("sliding_window", {"sinks": -1}, "sinks must be at least 0 tokens, got -1"),
        ("strided", {"stride": -1}, "got stride -1"),
        ("block_sparse", {"block": 0}, "block must be at least 1 token, got 0"),
        ("block_sparse", {"window_blocks": 4}, "window_blocks must be odd, .* got 4"),
        ("block_sparse", {"random_blocks": -2}, "random_blocks must be at least 0, got -2"),
    ):
        with pytest.raises(ValueError, match=message):
            layer_of(name, options, causal=False, length=7)
    with pytest.raises(ValueError, match="stride 0 and max_length 0"):
        layer_of("strided", {}, causal=False, length=0)


@pytest.mark.parametrize("name", ["sliding_window", "strided", "block_sparse"])
def test_a_context_of_another_length_is_refused(name) -> None:
    layer = layer_of(name, {}, causal=False, length=13)
    with pytest.raises(ValueError, match="as many keys as queries, got 7 queries and 11 keys"):
        layer(tokens(7), tokens(11))
    with pytest.raises(NotImplementedError, match="only when it is causal"):
        layer.initial_state(1)
