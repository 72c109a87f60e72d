"""Keys that content chooses: each variant against its definition, step by step, its gradients, its size."""

import importlib
import math

import numpy as np
import pytest
import torch
from simpleeval import simple_eval
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from implementations.families.chosen import VARIANTS
from implementations.on_torch.decoding import live_tensors
from implementations.on_torch.hashing_places import buckets_of
from implementations.on_torch.hashing_rounds import attend_in_rounds
from implementations.on_torch.layer import build_layer
from implementations.on_torch.weights import export_weights

ROWS = {row.name: row for row in VARIANTS}
WIDTH, HEADS, HEAD_WIDTH = 7, 3, 5
LENGTHS = [1, 2, 13, 43]
CASES = {
    "top_k, 3": ("top_k", {"kept": 3}),
    "top_k, 41": ("top_k", {"kept": 41}),
    "hashing, small chunks": ("hashing", {"hashes": 2, "buckets": 4, "size": 3, "seed": 1}),
    "hashing, one round": ("hashing", {"hashes": 1, "buckets": 6, "size": 5, "seed": 2}),
    "hashing, large chunks": ("hashing", {"hashes": 3, "buckets": 2, "size": 17, "seed": 3}),
    "native_sparse, overlapping": ("native_sparse", ROWS["native_sparse"].small),
    "native_sparse, apart": (
        "native_sparse",
        {
            "compression_block": 4,
            "compression_stride": 4,
            "selection_block": 8,
            "selected": 4,
            "window": 7,
        },
    ),
    "native_sparse, wide": (
        "native_sparse",
        {
            "compression_block": 6,
            "compression_stride": 2,
            "selection_block": 8,
            "selected": 5,
            "window": 19,
        },
    ),
}
every_case = pytest.mark.parametrize(("name", "options"), CASES.values(), ids=CASES.keys())
both_forms = pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])


def load(target: str):
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


def made(name: str, options, *, causal: bool) -> torch.nn.Module:
    layer = build_layer(
        load(ROWS[name].targets["torch"]),
        width=WIDTH,
        heads=HEADS,
        head_width=HEAD_WIDTH,
        causal=causal,
        max_length=300,
        options=options,
    ).double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return layer


def tokens(length: int, seed: int = 1, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, WIDTH, dtype=torch.float64, generator=generator)


def padding_of(length: int) -> Tensor:
    """Gaps in the first sequence, padding in front and behind in the second."""
    real = torch.rand(2, length, generator=torch.Generator().manual_seed(length)) < 0.6
    real[1] = (torch.arange(length) >= length // 3) & (torch.arange(length) < max(1, length - 2))
    return real


def defined(name: str, options, layer, given, *, context=None, padding=None, causal=False) -> np.ndarray:
    return load(ROWS[name].definition)(
        given.numpy(),
        context=None if context is None else context.numpy(),
        padding=None if padding is None else padding.numpy(),
        causal=causal,
        weights=export_weights(layer),
        heads=HEADS,
        options=options,
    )


@every_case
@both_forms
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_a_variant_is_its_definition(name, options, causal, padded) -> None:
    layer = made(name, options, causal=causal)
    for length in LENGTHS:
        padding = padding_of(length) if padded else None
        with torch.no_grad():
            out = layer(tokens(length), padding=padding).numpy()
        expected = defined(name, options, layer, tokens(length), padding=padding, causal=causal)
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-10, err_msg=f"length {length}")


@every_case
@both_forms
def test_one_sequence_of_a_length_that_blocks_divide(name, options, causal) -> None:
    layer, given = made(name, options, causal=causal), tokens(24, batch=1)
    with torch.no_grad():
        out = layer(given).numpy()
    expected = defined(name, options, layer, given, causal=causal)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("source", [1, 11, 31])
def test_top_k_attends_to_another_sequence(source) -> None:
    layer, context = made("top_k", {"kept": 3}, causal=False), tokens(source, 3)
    for padding in (None, padding_of(source)):
        with torch.no_grad():
            out = layer(tokens(13), context, padding).numpy()
        expected = defined("top_k", {"kept": 3}, layer, tokens(13), context=context, padding=padding)
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-10)


@every_case
@pytest.mark.parametrize("prompt", [0, 1, 11])
def test_step_by_step_is_the_whole_sequence(name, options, prompt) -> None:
    layer, given = made(name, options, causal=True), tokens(29)
    with torch.no_grad():
        whole = layer(given)
        state = layer.initial_state(2)
        if prompt:
            answer, state = layer.prefill(given[:, :prompt])
            torch.testing.assert_close(answer, whole[:, :prompt])
        for place in range(prompt, 29):
            answer, state = layer.step(given[:, place : place + 1], state)
            torch.testing.assert_close(answer, whole[:, place : place + 1], rtol=1e-9, atol=1e-9)


@every_case
@pytest.mark.parametrize("length", [3, 13, 283])
def test_the_state_is_as_large_as_declared(name, options, length) -> None:
    layer = made(name, options, causal=True)
    with torch.no_grad():
        _, state = layer.prefill(tokens(length, batch=1))
    names = {**ROWS[name].options, **options, "n": length, "heads": HEADS, "head_width": HEAD_WIDTH}
    functions = {"max": max, "blocks": lambda n: 256 * math.ceil(n / 256)}
    declared = simple_eval(ROWS[name].state, names=names, functions=functions)
    assert sum(tensor.numel() for tensor in live_tensors(state)) == declared


@every_case
@both_forms
@pytest.mark.parametrize("length", [3, 19])
def test_gradients_are_those_of_finite_differences(name, options, causal, length) -> None:
    layer, padding = made(name, options, causal=causal), padding_of(length)

    def loss(given: Tensor, *weights: Tensor) -> Tensor:
        return layer(given, padding=padding).square().mean()

    given = tokens(length).requires_grad_(True)
    assert torch.autograd.gradcheck(loss, (given, *layer.parameters()), fast_mode=True, atol=1e-6)


@every_case
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_the_future_changes_nothing_before_it_whatever_it_is(name, options, padded) -> None:
    layer, given = made(name, options, causal=True), tokens(61)
    padding = padding_of(61) if padded else None
    with torch.no_grad():
        before = layer(given, padding=padding)
        for cut in range(1, 61, 7):
            changed = given.clone()
            changed[:, cut:] = 3 * tokens(61, cut)[:, cut:]
            other = padding
            if padding is not None:
                other = padding.clone()
                other[:, cut:] = ~other[:, cut:]
            after = layer(changed, padding=other)
            torch.testing.assert_close(after[:, :cut], before[:, :cut], rtol=0, atol=1e-12)


@every_case
@both_forms
@pytest.mark.parametrize("size", [0.0, 1e2, 1e4])
@pytest.mark.parametrize("length", [1, 67])
def test_extremes_stay_finite(name, options, causal, size, length) -> None:
    layer = made(name, options, causal=causal).float()
    extreme = (size * tokens(length).sign()).float().requires_grad_(True)
    out = layer(extreme, padding=torch.arange(length).expand(2, -1) < max(1, length - 2))
    assert out.isfinite().all()
    out.sum().backward()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()


@every_case
@both_forms
def test_bfloat16_comes_out_as_it_went_in(name, options, causal) -> None:
    layer = made(name, options, causal=causal).bfloat16()
    given = tokens(31).bfloat16().requires_grad_(True)
    out = layer(given)
    out.sum().backward()
    assert out.dtype == torch.bfloat16
    assert out.isfinite().all()
    assert given.grad is not None
    assert given.grad.isfinite().all()


class LargestTensor(TorchDispatchMode):
    """Watches every operation and remembers the most entries that any of its outputs had."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = (leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor))
        self.entries = max(self.entries, *sizes, 0)
        return out


@pytest.mark.parametrize(
    ("name", "options", "entries"),
    [
        ("top_k", {"kept": 5}, lambda n: 256 * 3 * n),
        ("hashing", {"hashes": 2, "buckets": 4, "size": 11}, lambda n: 2 * 11 * 3 * 1.1 * n),
        # Selected pairs with their tiles' rests, or the scores of the compressed blocks if those are more.
        ("native_sparse", {"selected": 3, "window": 61}, lambda n: 3 * max(4 * 64 * n, 1.1 * n * n / 16)),
    ],
    ids=["top_k", "hashing", "native_sparse"],
)
@both_forms
def test_no_tensor_holds_all_scores(name, options, entries, causal) -> None:
    length = 1531
    layer, given = made(name, options, causal=causal), tokens(length, batch=1).requires_grad_(True)
    with LargestTensor() as seen:
        layer(given, padding=torch.arange(length)[None] < length - 7).sum().backward()
    assert seen.entries <= entries(length)
    assert seen.entries < length * length


def test_equal_scores_are_all_kept() -> None:
    attend = load(ROWS["top_k"].targets["torch"])
    scores = torch.tensor([1.0, 3.0, 2.0, 2.0, 2.0, 0.0], dtype=torch.float64)
    key = torch.outer(scores, torch.eye(6, dtype=torch.float64)[0])[None, None]
    query = math.sqrt(6) * torch.ones_like(key[:, :, :1])
    weights = attend(query, key, torch.eye(6, dtype=torch.float64)[None, None], kept=2)[0, 0, 0]
    expected = torch.tensor([0, math.e, 1, 1, 1, 0], dtype=torch.float64)
    torch.testing.assert_close(weights, expected / expected.sum())


def test_top_k_of_many_is_softmax() -> None:
    given = tokens(31)
    layer, softmax = made("top_k", {"kept": 31}, causal=True), made("top_k", {"kept": 10**6}, causal=True)
    torch.testing.assert_close(layer(given), softmax(given))


def test_a_token_alone_in_its_buckets_answers_itself() -> None:
    layer = made("hashing", {"hashes": 2, "buckets": 4, "size": 3}, causal=True)
    given = tokens(1)
    itself = layer.output(layer.value(given))
    torch.testing.assert_close(layer(given), itself)


def hashed(length: int, size: int, directions: int, *, causal: bool) -> tuple[np.ndarray, list[list[int]]]:
    """Who sees whom in one round, and the real tokens of each bucket in order of position."""
    generator = torch.Generator().manual_seed(length)
    query = torch.randn(1, 1, length, length, dtype=torch.float64, generator=generator)
    rotations = torch.randn(1, length, directions, dtype=torch.float64, generator=generator)
    real = torch.rand(1, length, generator=generator) < 0.8
    key, value = torch.nn.functional.normalize(query, dim=-1), torch.eye(length, dtype=torch.float64)
    weights = attend_in_rounds(query, key, value.expand_as(key), rotations, real, causal=causal, size=size)
    buckets = buckets_of(key, rotations)[0, 0, 0].masked_fill(~real[0], -1)
    members = [(buckets == bucket).nonzero()[:, 0].tolist() for bucket in range(2 * directions)]
    return (weights[0, 0] > 0).numpy(), members


# Codes in 8 bits, up to their last, in 16 bits, up to their last, and in 32.
sizes_of_codes = pytest.mark.parametrize(
    ("length", "size", "directions"),
    [(29, 5, 2), (151, 7, 2), (401, 2, 10), (401, 401, 50), (401, 401, 100)],
)


@sizes_of_codes
def test_a_causal_token_sees_those_of_its_bucket_before_it(length, size, directions) -> None:
    seen, buckets = hashed(length, size, directions, causal=True)
    expected = np.zeros_like(seen)
    for members in buckets:
        for rank, token in enumerate(members):
            expected[token, members[max(0, rank - size) : rank] or [token]] = True
    np.testing.assert_array_equal(seen, expected)


@sizes_of_codes
def test_chunks_are_those_of_the_sorted_order(length, size, directions) -> None:
    seen, buckets = hashed(length, size, directions, causal=False)
    expected = np.zeros_like(seen)
    ordered = [(token, number) for number, members in enumerate(buckets) for token in members]
    for place, (token, bucket) in enumerate(ordered):
        first = max(0, place // size - 1) * size
        around = ordered[first : (place // size + 1) * size]
        others = [other for other, its in around if its == bucket and other != token]
        expected[token, others or [token]] = True
    np.testing.assert_array_equal(seen, expected)


@both_forms
@pytest.mark.parametrize("length", [13, 15])
def test_what_is_not_a_number_stays_in_its_sequence(causal, length) -> None:
    layer = made("hashing", {"hashes": 2, "buckets": 4, "size": 5}, causal=causal)
    given = tokens(length, batch=3)
    given[1, 7] = torch.nan
    given.requires_grad_(True)
    out = layer(given)
    out.square().sum().backward()
    assert given.grad is not None
    for sequences in (out.detach(), given.grad):
        assert sequences[::2].isfinite().all()
        assert not sequences[1].isfinite().all()


def test_rotations_follow_their_seed_and_nothing_else() -> None:
    torch.manual_seed(1)
    first = made("hashing", {"seed": 3}, causal=False)
    torch.manual_seed(2)
    assert torch.equal(made("hashing", {"seed": 3}, causal=False).rotations, first.rotations)
    assert not torch.equal(made("hashing", {"seed": 4}, causal=False).rotations, first.rotations)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("top_k", {"kept": 0}, "kept must be at least 1 key, got 0"),
        ("hashing", {"buckets": 3}, "even number of buckets"),
        ("hashing", {"size": 0}, "size of at least 1"),
        ("native_sparse", {"compression_stride": 5}, "a stride that divides both"),
        ("native_sparse", {"compression_block": 128}, "up to the selection_block"),
        ("native_sparse", {"selected": 2}, "selected must be at least 3 blocks"),
    ],
)
def test_what_makes_no_sense_is_refused(name, options, reason) -> None:
    with pytest.raises(ValueError, match=reason):
        made(name, options, causal=False)(tokens(5))


@pytest.mark.parametrize("name", ["hashing", "native_sparse"])
def test_a_context_of_another_length_is_refused(name) -> None:
    with pytest.raises(ValueError, match="needs as many keys as queries, got 7 queries and 11 keys"):
        made(name, {}, causal=False)(tokens(7), tokens(11))
