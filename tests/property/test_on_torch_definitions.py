"""Each torch variant against its definition, written out in NumPy with 64-bit floats and no shortcut."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from implementations.on_torch import linear, sdpa, sliding_window, softmax
from implementations.on_torch.linformer import Linformer
from implementations.on_torch.performer import Performer, orthogonal_features

BATCH, HEADS, HEAD_WIDTH = 2, 3, 5
LENGTHS = st.sampled_from([1, 2, 7, 17, 31, 127, 128, 131, 257])
some = settings(max_examples=25, deadline=None)


def arrays(length: int, source: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return tuple(random.normal(size=(BATCH, HEADS, n, HEAD_WIDTH)) for n in (length, source, source))


def padding_of(kind: str, source: int, seed: int) -> np.ndarray:
    if kind == "none":
        return np.ones((BATCH, source), dtype=bool)
    real = np.random.default_rng(seed).random((BATCH, source)) < 0.5
    real[1] = kind == "gaps"
    return real


def visible(length: int, source: int, padding: np.ndarray, causal: bool) -> np.ndarray:
    seen = np.broadcast_to(padding[:, None, None, :], (BATCH, 1, length, source))
    return seen & np.tri(length, source, dtype=bool) if causal else seen


def weighted_mean(weights: np.ndarray, value: np.ndarray) -> np.ndarray:
    total = weights.sum(-1, keepdims=True)
    return weights @ value / np.where(total > 0, total, 1)


def softmax_by_hand(query, key, value, seen) -> np.ndarray:
    scores = np.where(seen, query @ key.swapaxes(-1, -2) / np.sqrt(HEAD_WIDTH), -np.inf)
    largest = scores.max(-1, keepdims=True)
    return weighted_mean(np.exp(scores - np.where(np.isfinite(largest), largest, 0)), value)


def run(kernel, parts, *, causal, padding, kind, dtype=torch.float64, **options) -> np.ndarray:
    given_padding = None if kind == "none" else torch.tensor(padding)
    tensors = [torch.tensor(part, dtype=dtype) for part in parts]
    return kernel(*tensors, causal=causal, padding=given_padding, **options).double().numpy()


cases = {
    "length": LENGTHS,
    "source": LENGTHS,
    "causal": st.booleans(),
    "kind": st.sampled_from(["none", "gaps", "one row all padding"]),
    "seed": st.integers(0, 999),
}


@pytest.mark.parametrize("kernel", [softmax.attend, sdpa.attend], ids=["softmax", "sdpa"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@some
@given(**cases)
def test_exact_variants_are_softmax_attention(
    kernel, dtype, tolerance, length, source, causal, kind, seed
) -> None:
    source = length if causal else source
    parts, padding = arrays(length, source, seed), padding_of(kind, source, seed)
    expected = softmax_by_hand(*parts, visible(length, source, padding, causal))
    out = run(kernel, parts, causal=causal, padding=padding, kind=kind, dtype=dtype)
    np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance)


@some
@given(window=st.sampled_from([1, 2, 3, 5, 16, 17, 61, 64, 129, 256, 1000]), **cases)
def test_sliding_window_is_softmax_attention_within_the_window(
    window, length, source, causal, kind, seed
) -> None:
    parts, padding = arrays(length, length, seed), padding_of(kind, length, seed)
    distance = np.arange(length)[:, None] - np.arange(length)
    near = (distance >= 0) & (distance < window) if causal else abs(distance) <= window // 2
    expected = softmax_by_hand(*parts, visible(length, length, padding, causal) & near)
    out = run(sliding_window.attend, parts, causal=causal, padding=padding, kind=kind, window=window)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)


@some
@given(**cases)
def test_linear_is_its_quadratic_definition(length, source, causal, kind, seed) -> None:
    source = length if causal else source
    (query, key, value), padding = arrays(length, source, seed), padding_of(kind, source, seed)
    query_features, key_features = (np.where(x > 0, x + 1, np.exp(x)) for x in (query, key))
    weights = query_features @ key_features.swapaxes(-1, -2) * visible(length, source, padding, causal)
    out = run(linear.attend, (query, key, value), causal=causal, padding=padding, kind=kind)
    np.testing.assert_allclose(out, weighted_mean(weights, value), rtol=0, atol=1e-10)


def performer(causal: bool, features: int, seed: int = 0) -> Performer:
    layer = Performer(7, HEADS, head_width=HEAD_WIDTH, causal=causal, features=features, seed=seed)
    return layer.double()


@some
@given(**cases)
def test_performer_is_its_definition_with_the_same_features(length, source, causal, kind, seed) -> None:
    source = length if causal else source
    (query, key, value), padding = arrays(length, source, seed), padding_of(kind, source, seed)
    layer = performer(causal, 11)
    columns = layer.features.numpy()
    query_features, key_features = (
        np.exp(y @ columns - (y**2).sum(-1, keepdims=True) / 2) / np.sqrt(11)
        for y in (query / HEAD_WIDTH**0.25, key / HEAD_WIDTH**0.25)
    )
    weights = query_features @ key_features.swapaxes(-1, -2) * visible(length, source, padding, causal)
    out = layer.mix(
        *map(torch.tensor, (query, key, value)),
        None if kind == "none" else torch.tensor(padding),
        causal=causal,
    ).numpy()
    np.testing.assert_allclose(out, weighted_mean(weights, value), rtol=0, atol=1e-9)


@pytest.mark.parametrize("causal", [False, True])
def test_performer_nears_softmax_as_features_grow(causal) -> None:
    length = 131
    query, key, value = arrays(length, length, 1)
    parts = (query / 2, key / 2, value)
    expected = softmax_by_hand(*parts, visible(length, length, padding_of("none", length, 0), causal))

    def error(features: int) -> float:
        outs = [
            performer(causal, features, seed).mix(*map(torch.tensor, parts), None, causal=causal)
            for seed in range(3)
        ]
        return float(np.mean([np.abs(out.numpy() - expected).mean() for out in outs]))

    few, many = error(16), error(4096)
    assert many < few / 6
    assert many < 0.03


def test_a_future_key_of_huge_features_does_not_drown_the_past() -> None:
    layer = performer(True, 11)
    layer.features.mul_(60)
    random = torch.Generator().manual_seed(1)
    value = torch.randn(BATCH, HEADS, 7, HEAD_WIDTH, dtype=torch.float64, generator=random)
    query = key = torch.zeros_like(value)
    loud = key.clone()
    loud[:, :, -1] = layer.features[:, 0] * HEAD_WIDTH**0.25  # exponent |column|^2 / 2, thousands
    means = value.cumsum(dim=2) / torch.arange(1, 8)[:, None]
    torch.testing.assert_close(layer.mix(query, key, value, None, causal=layer.causal), means)
    out = layer.mix(query, loud, value, None, causal=layer.causal)
    assert out.isfinite().all()
    torch.testing.assert_close(out[:, :, :-1], means[:, :, :-1])


def test_random_features_are_orthogonal_and_as_long_as_gaussians() -> None:
    columns = orthogonal_features(13, 31, seed=3).double()
    groups = columns[:, :13], columns[:, 13:26], columns[:, 26:]
    for group in groups:
        angles = group.t() @ group
        torch.testing.assert_close(angles, torch.diag(angles.diagonal()), rtol=0, atol=1e-5)
    squares = orthogonal_features(13, 13 * 300, seed=4).square().sum(dim=0)
    assert squares.mean() == pytest.approx(13, rel=0.02)
    assert squares.var() == pytest.approx(26, rel=0.1)
    assert orthogonal_features(13, 13 * 300, seed=4).mean() == pytest.approx(0, abs=0.02)


def test_random_features_follow_their_own_seed_only() -> None:
    torch.manual_seed(1)
    first = performer(False, 11, seed=3)
    torch.manual_seed(1)
    other = performer(False, 11, seed=4)
    assert not torch.equal(first.features, other.features)
    assert torch.equal(first.query.weight, other.query.weight)
    torch.manual_seed(2)
    assert torch.equal(performer(False, 11, seed=3).features, first.features)


@some
@given(
    length=LENGTHS,
    source=st.sampled_from([1, 2, 7, 31]),
    kind=st.sampled_from(["none", "gaps", "one row all padding"]),
    seed=st.integers(0, 999),
)
def test_linformer_is_its_definition(length, source, kind, seed) -> None:
    layer = Linformer(7, HEADS, head_width=HEAD_WIDTH, max_length=31, landmarks=11).double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(seed))
    random = np.random.default_rng(seed)
    query, context = random.normal(size=(BATCH, length, 7)), random.normal(size=(BATCH, source, 7))
    padding = padding_of(kind, source, seed)
    given_padding = None if kind == "none" else torch.tensor(padding)
    with torch.no_grad():
        out = layer(torch.tensor(query), torch.tensor(context), given_padding).numpy()

    def project(name: str, x: np.ndarray) -> np.ndarray:
        linear_map = getattr(layer, name)
        y = x @ linear_map.weight.detach().numpy().T + linear_map.bias.detach().numpy()
        return y.reshape(BATCH, -1, HEADS, HEAD_WIDTH).swapaxes(1, 2)

    rows = {name: getattr(layer, name).detach().numpy()[:source] for name in ("key_map", "value_map")}
    real = padding[:, None, :, None]
    landmarks_key = rows["key_map"].T @ (project("key", context) * real)
    landmarks_value = rows["value_map"].T @ (project("value", context) * real)
    any_real = np.broadcast_to(padding.any(-1)[:, None, None, None], (BATCH, 1, length, 11))
    mixed = softmax_by_hand(project("query", query), landmarks_key, landmarks_value, any_real)
    joined = mixed.swapaxes(1, 2).reshape(BATCH, length, HEADS * HEAD_WIDTH)
    expected = joined @ layer.output.weight.detach().numpy().T + layer.output.bias.detach().numpy()
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-10)


def test_what_a_variant_cannot_do_is_refused_with_the_reason() -> None:
    with pytest.raises(NotImplementedError, match="each landmark mixes tokens of all positions"):
        Linformer(15, 3, causal=True, max_length=7)
    with pytest.raises(ValueError, match="got max_length None"):
        Linformer(15, 3)
    with pytest.raises(ValueError, match="at most max_length = 7 tokens, got 11"):
        Linformer(15, 3, max_length=7, landmarks=5)(torch.zeros(2, 11, 15))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Performer(15, 3, features=0)
    query, context = torch.zeros(2, 3, 7, 5), torch.zeros(2, 3, 11, 5)
    with pytest.raises(ValueError, match="as many keys as queries"):
        sliding_window.attend(query, context, context)
    with pytest.raises(ValueError, match="window must be at least 1 token, got 0"):
        sliding_window.attend(query, query, query, window=0)
