"""The torch models: the layer around a user's attention, the encoder, the classifiers, the generator."""

import importlib

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from implementations.catalog import VARIANTS
from implementations.on_torch import linear, sdpa, softmax
from implementations.on_torch.classifiers import build_patch_classifier, build_text_classifier
from implementations.on_torch.encoder import build_encoder
from implementations.on_torch.image_generator import build_image_generator
from implementations.on_torch.layer import build_layer
from implementations.on_torch.performer import Performer
from implementations.on_torch.weights import export_weights, import_weights

SETTINGS = {"heads": 3, "causal": False, "max_length": 13, "options": {}}


def parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def randomised(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.4, generator=generator)
    return model


def mean_of_values(query: Tensor, key: Tensor, value: Tensor, *, causal=False, padding=None) -> Tensor:
    """A user's kernel, without options or shapes in its signature."""
    return value.mean(dim=2, keepdim=True).expand_as(query)


class Doubling(nn.Module):
    """A user's layer that knows no head_width."""

    def __init__(self, width: int, heads: int, *, causal: bool = False, max_length: int = 1) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((width,), 2.0))

    def forward(self, query: Tensor, context: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        return self.gain * query


def test_a_users_bare_kernel_is_projected_and_gets_no_options() -> None:
    layer = build_layer(mean_of_values, width=6, **SETTINGS)
    tokens = torch.randn(2, 7, 6)
    expected = layer.output(layer.value(tokens).mean(dim=1, keepdim=True)).expand(2, 7, 6)
    torch.testing.assert_close(layer(tokens), expected)


def test_a_kernels_options_reach_it() -> None:
    seen = {}

    def kernel(query, key, value, *, causal=False, padding=None, **options):
        seen.update(options, causal=causal, padding=padding)
        return query

    padding = torch.ones(2, 7, dtype=torch.bool)
    settings = SETTINGS | {"causal": True, "options": {"window": 5}}
    build_layer(kernel, width=6, **settings)(torch.randn(2, 7, 6), padding=padding)
    assert seen == {"window": 5, "causal": True, "padding": padding}


def test_a_users_class_works_where_no_head_width_is_set() -> None:
    layer = build_layer(Doubling, width=7, **SETTINGS)
    assert torch.equal(layer(torch.ones(2, 3, 7)), torch.full((2, 3, 7), 2.0))
    with pytest.raises(TypeError, match="Doubling takes no head_width, which this model sets to 7"):
        build_layer(Doubling, width=7, head_width=7, **SETTINGS)


@pytest.fixture
def no_shape_checks():
    """Turns off the shapes of the signatures, so that the layer's own errors are what a user sees."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.usefixtures("no_shape_checks")
def test_wrong_shapes_are_named() -> None:
    layer = build_layer(softmax.attend, width=6, **SETTINGS)
    tokens, context = torch.zeros(2, 7, 6), torch.zeros(2, 11, 6)
    with pytest.raises(ValueError, match="heads must divide width, got width 7 and heads 3"):
        build_layer(softmax.attend, width=7, **SETTINGS)
    with pytest.raises(ValueError, match=r"query must have shape \[batch, length, 6\], got \[2, 7, 5\]"):
        layer(torch.zeros(2, 7, 5))
    with pytest.raises(ValueError, match=r"context must have shape \[batch, length, 6\], got \[11, 6\]"):
        layer(tokens, context[0])
    with pytest.raises(ValueError, match=r"= \[2, 11\], got torch.bool of shape \[2, 7\]"):
        layer(tokens, context, torch.ones(2, 7, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"padding must be bool of shape .*, got torch.float32 of"):
        layer(tokens, context, torch.ones(2, 11))


def test_a_new_layer_starts_as_keras_dense_layers_do() -> None:
    layer = build_layer(softmax.attend, width=60, head_width=31, **SETTINGS)
    limit = (6 / (60 + 3 * 31)) ** 0.5
    for linear_map in (layer.query, layer.key, layer.value, layer.output):
        assert 0.98 * limit < linear_map.weight.abs().max() <= limit
        assert (linear_map.bias == 0).all()


def test_the_encoder_is_pre_norm_blocks_and_a_norm() -> None:
    model = randomised(build_encoder(linear.attend, width=6, layers=2, expansion=5.0, **SETTINGS))
    tokens = torch.randn(2, 7, 6)
    padding = torch.tensor([[True] * 5 + [False] * 2, [True] * 7])

    def normed(norm: nn.LayerNorm, values: Tensor) -> Tensor:
        variance, mean = torch.var_mean(values, dim=-1, keepdim=True, correction=0)
        return (values - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias

    expected = tokens
    for block in model.blocks:
        expected = expected + block.attention(normed(block.attention_norm, expected), padding=padding)
        hidden = block.expand(normed(block.feed_forward_norm, expected))
        assert hidden.shape == (2, 7, 30)
        expected = expected + block.contract(hidden * (1 + torch.erf(hidden / 2**0.5)) / 2)
    torch.testing.assert_close(model(tokens, padding), normed(model.final_norm, expected))


def test_a_text_classifier_does_not_see_its_padding() -> None:
    settings = {"width": 6, "vocabulary": 31, "classes": 5, "layers": 2, **SETTINGS}
    model = randomised(build_text_classifier(softmax.attend, **settings))
    tokens = torch.tensor([[3, 5, 7, 11, 0, 0, 0], [2, 3, 5, 7, 11, 13, 17]])
    logits = model(tokens, tokens != 0)
    assert logits.shape == (2, 5)
    torch.testing.assert_close(model(tokens), logits)
    torch.testing.assert_close(model(tokens[:1, :4]), logits[:1])
    others = torch.where(tokens == 0, 29, tokens)
    torch.testing.assert_close(model(others, tokens != 0), logits)
    assert (model(others) - logits)[0].abs().max() > 1e-3


def test_a_classifier_tells_the_order_of_its_tokens() -> None:
    model = randomised(build_text_classifier(softmax.attend, width=6, vocabulary=31, classes=5, **SETTINGS))
    tokens = torch.tensor([[3, 5, 7, 11]])
    assert (model(tokens.flip(1)) - model(tokens)).abs().max() > 1e-3


def test_a_text_without_a_token_gets_the_heads_bias() -> None:
    model = randomised(build_text_classifier(softmax.attend, width=6, vocabulary=31, classes=5, **SETTINGS))
    assert torch.equal(model(torch.zeros(2, 7, dtype=torch.long)), model.head.bias.expand(2, 5))


def test_a_patch_classifier_is_the_mean_of_its_encoded_patches() -> None:
    settings = {"width": 6, "patch_width": 11, "classes": 5, **SETTINGS}
    model = randomised(build_patch_classifier(softmax.attend, **settings))
    patches = torch.randn(2, 7, 11)
    embedded = model.embedding(patches) + model.positions.weight[:7]
    torch.testing.assert_close(model(patches), model.head(model.encode(embedded).mean(dim=1)))


def test_too_long_a_sequence_is_refused() -> None:
    model = build_patch_classifier(softmax.attend, width=6, patch_width=11, classes=5, **SETTINGS)
    with pytest.raises(ValueError, match="at most max_length = 13 positions, got 17"):
        model(torch.zeros(2, 17, 11))


def test_the_generator_has_the_documents_parameters() -> None:
    assert parameters(build_image_generator(softmax.attend)) == 432_963


def generator_by_hand(weights: dict[str, np.ndarray], sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The document's generator in NumPy, from the layout of exported weights; 3 heads as wide as a token."""

    def dense(name: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{name}.kernel"] + weights[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3)
        return scaled * weights[f"{name}.scale"] + weights[f"{name}.offset"]

    def attention(name: str, x: np.ndarray, context: np.ndarray) -> np.ndarray:
        def heads(part: str, tokens: np.ndarray) -> np.ndarray:
            return dense(f"{name}.{part}", tokens).reshape(2, tokens.shape[1], 3, 7).swapaxes(1, 2)

        scores = heads("query", x) @ heads("key", context).swapaxes(-1, -2) / np.sqrt(7)
        shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        joined = (shares @ heads("value", context)).swapaxes(1, 2).reshape(2, x.shape[1], 21)
        return dense(f"{name}.output", joined)

    def feed_forward(name: str, x: np.ndarray) -> np.ndarray:
        return dense(f"{name}.contract", np.maximum(dense(f"{name}.expand", x), 0))

    for name in ("encoder.0", "encoder.1"):
        a = norm(f"{name}.norm1", attention(f"{name}.attention", sources, sources) + sources)
        sources = norm(f"{name}.norm2", feed_forward(name, a) + sources)
    for name in ("decoder.0", "decoder.1"):
        a = norm(f"{name}.norm1", attention(f"{name}.self_attention", targets, targets) + targets)
        c = norm(f"{name}.norm2", attention(f"{name}.cross_attention", a, sources) + targets)
        targets = norm(f"{name}.norm3", feed_forward(name, c) + targets)
    return 1 / (1 + np.exp(-dense("head", targets)))


@pytest.mark.parametrize("kernel", [softmax.attend, sdpa.attend])
def test_the_generator_computes_what_the_document_says(kernel) -> None:
    model = randomised(build_image_generator(kernel, width=7, heads=3)).double()
    random = np.random.default_rng(1)
    sources, targets = random.normal(size=(2, 11, 7)), random.normal(size=(2, 13, 7))
    with torch.no_grad():
        out = model(torch.tensor(sources), torch.tensor(targets)).numpy()
    assert out.shape == (2, 13, 3)
    expected = generator_by_hand(export_weights(model), sources, targets)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)


def test_shuffled_decoder_tokens_give_a_shuffled_image() -> None:
    model = randomised(build_image_generator(softmax.attend, width=7, heads=3))
    sources, targets = torch.randn(2, 11, 7), torch.randn(2, 13, 7)
    order = torch.randperm(13)
    shuffled = model(sources, targets[:, order])
    torch.testing.assert_close(shuffled, model(sources, targets)[:, order])
    torch.testing.assert_close(model(sources.flip(1), targets[:, order]), shuffled)


def test_the_generator_refuses_to_be_causal() -> None:
    with pytest.raises(ValueError, match="causal must be False"):
        build_image_generator(softmax.attend, causal=True)


CROSSING = [row for row in VARIANTS if row.cross_attention and row.trainable and not row.peer_of]


# FlexAttention has no gradient here, and a mean over all keys none for whatever made its queries.
TRAINED = [row for row in CROSSING if row.name not in ("flex", "uniform")]


@pytest.mark.parametrize("row", TRAINED, ids=lambda row: row.name)
def test_the_generator_takes_every_variant_with_cross_attention(row) -> None:
    module, name = row.targets["torch"].split(":")
    attention = getattr(importlib.import_module(module), name)
    options = {**row.options, **row.small}
    model = build_image_generator(attention, width=7, heads=2, max_length=13, options=options)
    loss = model(torch.randn(2, 11, 7), torch.randn(2, 13, 7)).square().mean()
    loss.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_the_same_seed_builds_the_same_model() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append(export_weights(build_image_generator(Performer, width=7, heads=3)))
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_equal_weights_make_equal_models() -> None:
    first, second = (build_image_generator(softmax.attend, width=7, heads=3) for _ in range(2))
    sources, targets = torch.randn(2, 11, 7), torch.randn(2, 13, 7)
    assert not torch.equal(first(sources, targets), second(sources, targets))
    import_weights(second, export_weights(first))
    assert torch.equal(first(sources, targets), second(sources, targets))
