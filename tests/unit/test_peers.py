"""Public packages' own attention: that each runs, is the function its row says, and where it is not.

A package that is not installed skips its tests. The last part holds what was found wrong in a package: a
test there fails when a release mends it, and then what we say about it has to change.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import torch
from torch import nn

from bench.candidates import missing
from bench.schema import Variant
from implementations.catalog import VARIANTS
from implementations.definitions import softmax
from implementations.on_torch.layer import build_layer
from implementations.on_torch.weights import export_weights, import_weights

ROWS = {row.name: row for row in VARIANTS if row.peer_of}
ON_TORCH = [name for name, row in ROWS.items() if "torch" in row.targets]
ON_KERAS = [name for name, row in ROWS.items() if "keras" in row.targets]
BATCH, HEADS, WIDTH, LENGTH = 2, 3, 15, 13
MAPS = ("query", "key", "value", "output")
LUCIDRAINS = dict(zip(MAPS, ("layer.to_q", "layer.to_k", "layer.to_v", "layer.to_out"), strict=True))

Arrays = dict[str, np.ndarray]


def load(target: str) -> Any:
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


def row_of(name: str) -> Variant:
    row = ROWS[name]
    pip_name, module = row.package
    if module and missing([module]):
        pytest.skip(f"install {pip_name}")
    return row


def build(
    name: str, *, causal: bool = False, length: int = LENGTH, width: int = WIDTH, **options: Any
) -> Any:
    """The peer as a layer of three heads, under small options unless others are given."""
    row = row_of(name)
    torch.manual_seed(5)
    settings = {**row.options, **row.small, **options}
    return build_layer(
        load(row.targets["torch"]),
        width=width,
        heads=HEADS,
        causal=causal,
        max_length=length,
        options=settings,
    )


def tokens(length: int = LENGTH, seed: int = 1, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(BATCH, length, width, generator=torch.Generator().manual_seed(seed))


def padding_of(length: int = LENGTH) -> torch.Tensor:
    """The last four tokens of the second sequence are no real ones."""
    real = torch.ones(BATCH, length, dtype=torch.bool)
    real[1, -4:] = False
    return real


def answer(layer: nn.Module, *inputs: torch.Tensor | None) -> torch.Tensor:
    torch.manual_seed(7)  # what draws hashes at each call draws the same
    with torch.no_grad():
        return layer(*inputs)


def in_our_names(layer: nn.Module, names: dict[str, str]) -> Arrays:
    """The peer's four maps under our names, biases of zero where it has none."""
    theirs = export_weights(layer)
    ours: Arrays = {}
    for name, place in names.items():
        kernel = theirs[f"{place}.kernel"]
        ours[f"{name}.kernel"] = kernel
        ours[f"{name}.bias"] = theirs.get(f"{place}.bias", np.zeros(kernel.shape[1]))
    return ours


def random_weights(layer: nn.Module) -> None:
    """Biases start at zero in many packages, where no test would see one that is missing."""
    generator = np.random.default_rng(17)
    weights = {
        name: generator.normal(scale=0.4, size=array.shape).astype("float32")
        for name, array in export_weights(layer).items()
    }
    import_weights(layer, weights)


def by_softmax(
    weights: Arrays, query: torch.Tensor, context: Any = None, padding: Any = None, *, causal: bool = False
) -> np.ndarray:
    """Our definition of softmax attention, written out in float64."""
    return softmax.layer(
        query.numpy(),
        context=None if context is None else context.numpy(),
        padding=None if padding is None else padding.numpy(),
        causal=causal,
        weights=weights,
        heads=HEADS,
        options={},
    )


def close(got: torch.Tensor, expected: Any, tolerance: float = 2e-5) -> None:
    expected = np.asarray(expected)
    assert np.abs(expected).max() > 1e-2, "an output near zero would agree with anything"
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


# Rows


def test_every_row_names_a_peer_of_ours_and_its_package() -> None:
    for row in ROWS.values():
        assert row.family == "peer"
        assert not row.featured and not row.definition and not row.state
        assert row.package[0] or row.name.startswith(("torch-", "keras-")), f"{row.name} names no package"
        assert set(row.targets) | set(row.unsupported) == {"torch", "keras"}


SAME_SIZE = {
    "x-transformers-grouped-query": {"kv_heads": 2},
    "x-transformers-top-k": {"sparse_topk": "kept"},
    "local-attention": {"window": "window"},
    "performer-pytorch": {"features": "features"},
    "nystrom-attention": {"landmarks": "landmarks", "residual": False},
    "linformer-package": {"landmarks": "landmarks"},
    "reformer-pytorch": {"bucket": "size", "hashes": "hashes"},
    "keras-group-query-attention": {"key_heads": 2},
}


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.options])
def test_a_peer_works_at_the_sizes_of_ours(name: str) -> None:
    """Each option of a peer is that of ours, or a number that ours has by itself (two heads of keys)."""
    ours = {row.name: row for row in VARIANTS}[ROWS[name].peer_of].options
    expected = {option: ours.get(same, same) for option, same in SAME_SIZE[name].items()}
    assert ROWS[name].options == expected


@pytest.mark.parametrize("name", ON_TORCH)
@pytest.mark.parametrize("causal", [False, True])
def test_a_peer_runs_forward_and_backward(name: str, causal: bool) -> None:
    row = row_of(name)
    if not row.causal if causal else row.causal_only:
        with pytest.raises(NotImplementedError, match="causal"):
            build(name, causal=causal)(tokens())
        return
    layer = build(name, causal=causal)
    inputs = tokens().requires_grad_()
    output = layer(inputs)
    assert output.shape == inputs.shape
    output.square().sum().backward()
    assert inputs.grad is not None and torch.isfinite(inputs.grad).all() and inputs.grad.abs().max() > 0
    for parameter_name, parameter in layer.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("name", ON_TORCH)
def test_cross_attention_is_there_where_it_is_claimed(name: str) -> None:
    row = row_of(name)
    layer = build(name, causal=row.causal_only, length=17)
    if row.cross_attention:
        assert layer(tokens(), tokens(17, seed=2)).shape == (BATCH, LENGTH, WIDTH)
    else:
        with pytest.raises((NotImplementedError, ValueError)):
            layer(tokens(), tokens(17, seed=2))


@pytest.mark.parametrize("name", ON_TORCH)
def test_weights_cross_as_named_arrays(name: str) -> None:
    layer = build(name, causal=row_of(name).causal_only)
    weights = export_weights(layer)
    assert sum(array.size for array in weights.values()) >= sum(p.numel() for p in layer.parameters())
    random_weights(layer)
    changed = answer(layer, tokens())
    import_weights(layer, weights)
    assert (answer(layer, tokens()) - changed).abs().max() > 1e-3


# The same function as ours


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["x-transformers", "x-transformers-written-out"])
def test_x_transformers_is_softmax(name: str, causal: bool, padded: bool) -> None:
    layer = build(name, causal=causal)
    padding = padding_of() if padded else None
    expected = by_softmax(in_our_names(layer, LUCIDRAINS), tokens(), None, padding, causal=causal)
    if padding is not None:  # it answers padded queries by zeros
        expected[~padding.numpy()] = 0.0
    close(answer(layer, tokens(), None, padding), expected)
    if not causal:
        context, hidden = tokens(17, seed=2), padding_of(17) if padded else None
        expected = by_softmax(in_our_names(layer, LUCIDRAINS), tokens(), context, hidden)
        close(answer(layer, tokens(), context, hidden), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_x_transformers_shares_key_heads_by_turns_not_by_neighbours(causal: bool) -> None:
    layer = build("x-transformers-multi-query", causal=causal)
    weights = in_our_names(layer, LUCIDRAINS)
    for name in ("key.kernel", "value.kernel", "key.bias", "value.bias"):
        weights[name] = np.concatenate([weights[name]] * HEADS, axis=-1)
    close(answer(layer, tokens()), by_softmax(weights, tokens(), causal=causal))
    grouped = build_layer(
        load(row_of("x-transformers-grouped-query").targets["torch"]),
        width=20,
        heads=4,
        causal=causal,
        max_length=LENGTH,
        options={"kv_heads": 2},
    )
    weights = in_our_names(grouped, LUCIDRAINS)
    for name in ("key.kernel", "value.kernel", "key.bias", "value.bias"):
        weights[name] = np.concatenate([weights[name]] * 2, axis=-1)
    query = tokens(width=20)
    expected = softmax.layer(
        query.numpy(), context=None, padding=None, causal=causal, weights=weights, heads=4, options={}
    )
    close(answer(grouped, query), expected)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_torch_multihead_attention_is_softmax(causal: bool, padded: bool) -> None:
    layer = build("torch-multihead-attention", causal=causal)
    random_weights(layer)
    theirs = {name: array.numpy() for name, array in layer.state_dict().items()}
    weights: Arrays = {}
    kernels = np.split(theirs["layer.in_proj_weight"], 3), np.split(theirs["layer.in_proj_bias"], 3)
    for name, kernel, bias in zip(MAPS, *kernels, strict=False):
        weights |= {f"{name}.kernel": kernel.T, f"{name}.bias": bias}
    weights |= {
        "output.kernel": theirs["layer.out_proj.weight"].T,
        "output.bias": theirs["layer.out_proj.bias"],
    }
    padding = padding_of() if padded else None
    expected = by_softmax(weights, tokens(), None, padding, causal=causal)
    close(answer(layer, tokens(), None, padding), expected)
    close(layer.eval()(tokens(), None, padding), expected)


@pytest.mark.parametrize("length", [13, 16, 41])
def test_local_attention_is_our_sliding_window_causal_with_one_key_more(length: int) -> None:
    from implementations.on_torch.sliding_window import attend

    layer = build("local-attention", causal=True, window=4)
    close(answer(layer, tokens(length)), _windowed(layer, attend, tokens(length), causal=True, window=5))


@pytest.mark.parametrize("length", [16, 40])
def test_local_attention_is_our_sliding_window_at_whole_buckets(length: int) -> None:
    from implementations.on_torch.sliding_window import attend

    layer = build("local-attention", window=8)
    close(answer(layer, tokens(length)), _windowed(layer, attend, tokens(length), causal=False, window=8))


def _windowed(layer: Any, attend: Any, query: torch.Tensor, *, causal: bool, window: int) -> torch.Tensor:
    names = {"layer.to_qkv": 3, "layer.to_out": 1}
    qkv, out = (export_weights(layer)[f"{name}.kernel"] for name in names)
    weights = dict(zip((f"{name}.kernel" for name in MAPS), (*np.split(qkv, 3, axis=1), out), strict=True))
    weights |= {f"{name}.bias": np.zeros(WIDTH, "float32") for name in MAPS}
    ours = build_layer(
        attend, width=WIDTH, heads=HEADS, causal=causal, max_length=99, options={"window": window}
    )
    import_weights(ours, weights)
    return answer(ours, query)


def heads_of(layer: Any, query: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Queries, keys and values of a layer with maps `to_q`, `to_k` and `to_v`, by heads, in float64."""
    parts = (projection(query) for projection in (layer.to_q, layer.to_k, layer.to_v))
    return tuple(p.detach().double().unflatten(-1, (HEADS, -1)).transpose(1, 2) for p in parts)


def joined(layer: Any, mixed: torch.Tensor) -> torch.Tensor:
    return layer.to_out(mixed.transpose(1, 2).flatten(2).float()).detach()


@pytest.mark.parametrize("causal", [False, True])
def test_performer_pytorch_is_favor_up_to_its_epsilon(causal: bool) -> None:
    layer = build("performer-pytorch", causal=causal).layer
    query, key, value = heads_of(layer, tokens())
    matrix = layer.fast_attention.projection_matrix.double()

    def features(part: torch.Tensor) -> torch.Tensor:
        scaled = part * part.shape[-1] ** -0.25
        return (scaled @ matrix.T - scaled.square().sum(-1, keepdim=True) / 2).exp()

    weights = features(query) @ features(key).transpose(-2, -1)
    weights = weights.tril() if causal else weights
    expected = joined(layer, weights / weights.sum(-1, keepdim=True) @ value)
    close(answer(layer, tokens()), expected, 2e-2)


@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_transformer_is_linear_with_softmax_features(causal: bool) -> None:
    layer = build("linear-attention-transformer", causal=causal).layer
    query, key, value = heads_of(layer, tokens())
    if causal:
        weights = (query.softmax(-1) @ key.exp().transpose(-2, -1)).tril()
        expected = weights / weights.sum(-1, keepdim=True) @ value
    else:
        expected = query.softmax(-1) @ key.softmax(-2).transpose(-2, -1) @ value / (WIDTH / HEADS) ** 0.5
    close(answer(layer, tokens()), joined(layer, expected))


def test_nystrom_attention_is_the_papers_equation_at_whole_landmarks() -> None:
    layer = build("nystrom-attention", landmarks=4).layer
    qkv = layer.to_qkv(tokens(12)).detach().double().chunk(3, dim=-1)
    query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in qkv)
    query = query * query.shape[-1] ** -0.5
    few_queries, few_keys = (part.unflatten(2, (4, 3)).mean(3) for part in (query, key))
    first, middle, last = (
        (a @ b.transpose(-2, -1)).softmax(-1)
        for a, b in ((query, few_keys), (few_queries, few_keys), (few_queries, key))
    )
    inverse = _iterated_inverse(middle)
    close(answer(layer, tokens(12)), joined(layer, first @ inverse @ (last @ value)))


def _iterated_inverse(matrix: torch.Tensor, steps: int = 6) -> torch.Tensor:
    """Razavi's iteration as in arXiv:2102.03902, equation 11, from the package's own start."""
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    inverse = matrix.transpose(-2, -1) / (matrix.sum(-1).max() * matrix.sum(-2).max())
    for _ in range(steps):
        product = matrix @ inverse
        inverse = inverse @ (13 * eye - product @ (15 * eye - product @ (7 * eye - product))) / 4
    return inverse


def test_linformer_is_ours_on_the_same_weights() -> None:
    layer = build("linformer-package")
    ours = build_layer(
        load("implementations.on_torch.linformer:Linformer"),
        width=WIDTH,
        heads=HEADS,
        causal=False,
        max_length=LENGTH,
        options={"landmarks": 5},
    )
    weights = in_our_names(layer, LUCIDRAINS)
    theirs = export_weights(layer)
    import_weights(ours, weights | {"key_map": theirs["layer.proj_k"], "value_map": theirs["layer.proj_v"]})
    for length in (LENGTH, 11):
        close(answer(layer, tokens(length)), answer(ours, tokens(length)))
    close(answer(layer, tokens(7), tokens(11)), answer(ours, tokens(7), tokens(11)))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["entmax-sparsemax", "entmax-entmax15"])
def test_entmax_is_ours_on_the_same_weights(name: str, causal: bool, padded: bool) -> None:
    layer = build(name, causal=causal)
    module = ROWS[name].peer_of
    ours = build_layer(
        load(f"implementations.on_torch.{module}:attend"),
        width=WIDTH,
        heads=HEADS,
        causal=causal,
        max_length=LENGTH,
        options={},
    )
    random_weights(layer)
    ours.load_state_dict(layer.state_dict())
    padding = padding_of() if padded else None
    if padding is not None:
        padding[0] = False
    close(answer(layer, tokens(), None, padding), answer(ours, tokens(), None, padding))


@pytest.mark.parametrize("length", [1, 13, 67, 131])
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("fla-linear", "linear:attend"),
        ("fla-retention", "retention:Retention"),
        ("fla-retention-parallel", "retention:Retention"),
        ("fla-gated-linear", "gated_linear:GatedLinear"),
        ("fla-gated-delta", "gated_delta:GatedDelta"),
    ],
)
def test_flash_linear_attention_is_ours_on_the_same_weights(name: str, target: str, length: int) -> None:
    layer = build(name, causal=True)
    random_weights(layer)
    ours = build_layer(
        load(f"implementations.on_torch.{target}"),
        width=WIDTH,
        heads=HEADS,
        causal=True,
        max_length=length,
        options={},
    )
    ours.load_state_dict(layer.state_dict())
    close(answer(layer, tokens(length)), answer(ours, tokens(length)), 1e-4)
    if name not in ("fla-linear",):
        close(answer(layer, tokens(), None, padding_of()), answer(ours, tokens(), None, padding_of()), 1e-4)


def test_a_missing_package_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    from implementations.on_torch.peers import flash_linear_attention

    flash_linear_attention.naive.cache_clear()
    monkeypatch.setattr(flash_linear_attention.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="install flash-linear-attention"):
        flash_linear_attention.naive("gla")


# What was found wrong in them


def moved_by_the_future(layer: nn.Module, length: int, first: int) -> float:
    """How far the answers before `first` move when the tokens from there on are others."""
    before, later = tokens(length), tokens(length)
    later[:, first:] = 3 * tokens(length, seed=2)[:, first:]
    return float((answer(layer, before) - answer(layer, later))[:, :first].abs().max())


@pytest.mark.parametrize("name", [name for name in ON_TORCH if ROWS[name].causal])
def test_only_two_causal_peers_see_the_future(name: str) -> None:
    length = 41
    moved = moved_by_the_future(build(name, causal=True, length=length), length, 31)
    if name in ("performer-pytorch", "reformer-pytorch"):
        assert moved > 1e-2, f"{name} no longer sees the future: say so"
    else:
        assert moved < 1e-6


def moved_by_hidden(layer: nn.Module) -> float:
    """How far the answers to real tokens move when the padded ones are others."""
    padding = padding_of()
    first, second = tokens(), tokens()
    second[~padding] = 5 * tokens(seed=2)[~padding]
    return float(
        (answer(layer, first, None, padding) - answer(layer, second, None, padding))[padding].abs().max()
    )


@pytest.mark.parametrize("name", ON_TORCH)
def test_what_each_peer_makes_of_padding(name: str) -> None:
    layer = build(name, causal=row_of(name).causal_only)
    if name in ("linformer-package", "fla-linear"):
        with pytest.raises(NotImplementedError, match="takes no padding"):
            moved_by_hidden(layer)
    elif name in ("performer-pytorch", "reformer-pytorch"):
        assert moved_by_hidden(layer) > 1e-2, f"{name} honours padding now: say so"
    else:
        assert moved_by_hidden(layer) < 1e-6


def test_linformer_passes_over_a_mask_without_a_word() -> None:
    layer = build("linformer-package").layer
    assert torch.equal(layer(tokens()), layer(tokens(), mask=padding_of()))


def test_nystrom_attention_mixes_sequences_of_a_batch_and_attends_to_its_own_padding() -> None:
    layer = build("nystrom-attention")
    other = tokens(16)
    other[1] *= 9
    assert (answer(layer, tokens(16)) - answer(layer, other))[0].abs().max() > 1e-4
    every = torch.ones(BATCH, LENGTH, dtype=torch.bool)
    assert (answer(layer, tokens()) - answer(layer, tokens(), None, every)).abs().max() > 1e-2


def test_local_attention_attends_to_its_own_padding_unless_it_is_causal() -> None:
    every = torch.ones(BATCH, LENGTH, dtype=torch.bool)
    layer = build("local-attention", window=8)
    assert (answer(layer, tokens()) - answer(layer, tokens(), None, every)).abs().max() > 1e-2
    layer = build("local-attention", causal=True)
    assert (answer(layer, tokens()) - answer(layer, tokens(), None, every)).abs().max() < 1e-6


def test_reformer_answers_the_same_tokens_in_two_ways() -> None:
    layer = build("reformer-pytorch").eval()
    assert (layer(tokens()) - layer(tokens())).abs().max() > 1e-2


def test_linear_attention_transformer_overflows_where_keys_are_large_and_causal() -> None:
    layer = build("linear-attention-transformer", causal=True)
    assert not torch.isfinite(answer(layer, 1e4 * tokens())).all()


# Keras


def keras_layer(name: str, *, causal: bool, heads: int = HEADS) -> Any:
    row = row_of(name)
    build_keras = load("implementations.on_keras.layer:build_layer")
    return build_keras(
        load(row.targets["keras"]),
        width=5 * heads,
        heads=heads,
        causal=causal,
        max_length=LENGTH,
        options={**row.options, **row.small},
    )


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ON_KERAS)
def test_keras_own_layers_are_softmax_over_their_heads(name: str, causal: bool, padded: bool) -> None:
    weights_of = importlib.import_module("implementations.on_keras.weights")
    layer = keras_layer(name, causal=causal)
    generator = np.random.default_rng(17)
    weights = {
        key: generator.normal(scale=0.4, size=array.shape).astype("float32")
        for key, array in weights_of.export_weights(layer).items()
    }
    weights_of.import_weights(layer, weights)
    repeated = {
        key: np.concatenate([array] * (WIDTH // array.shape[-1]), axis=-1) for key, array in weights.items()
    }
    padding = padding_of() if padded else None
    inputs = (tokens().numpy(), None, None if padding is None else padding.numpy())
    got = torch.from_numpy(np.array(layer(*inputs)))
    close(got, by_softmax(repeated, tokens(), None, padding, causal=causal))


@pytest.mark.parametrize("name", ON_KERAS)
def test_keras_own_layers_run_backward(name: str) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    layer = keras_layer(name, causal=True)
    with tensorflow.GradientTape() as tape:
        loss = tensorflow.reduce_sum(layer(tokens().numpy()) ** 2)
    gradients = tape.gradient(loss, [variable.value for variable in layer.trainable_variables])
    assert len(gradients) == 8
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_keras_takes_no_flash_attention_on_a_cpu() -> None:
    keras = pytest.importorskip("keras")
    layer = keras.layers.MultiHeadAttention(HEADS, 5, flash_attention=True)
    with pytest.raises((ValueError, RuntimeError), match="lash attention is not supported"):
        layer(tokens().numpy(), tokens().numpy())
