"""Weights as named arrays: the documented names and shapes, a round trip, and what does not fit."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from implementations.on_torch import softmax
from implementations.on_torch.classifiers import build_patch_classifier, build_text_classifier
from implementations.on_torch.encoder import build_encoder
from implementations.on_torch.image_generator import build_image_generator
from implementations.on_torch.layer import build_layer
from implementations.on_torch.linformer import Linformer
from implementations.on_torch.performer import Performer
from implementations.on_torch.weights import export_weights, import_weights

SETTINGS = {"width": 6, "heads": 3, "causal": False, "max_length": 13, "options": {}}
ATTENTION = {
    **{f"{name}.kernel": (6, 15) for name in ("query", "key", "value")},
    **{f"{name}.bias": (15,) for name in ("query", "key", "value")},
    "output.kernel": (15, 6),
    "output.bias": (6,),
}


class Convolved(nn.Module):
    """A user's layer with tensors of kinds that the layout does not know."""

    def __init__(self, width: int, heads: int, *, causal: bool = False, max_length: int = 1) -> None:
        super().__init__()
        self.mixing = nn.Conv1d(width, width, 5, padding=2)
        self.gain = nn.Parameter(torch.randn(width))
        self.register_buffer("kept", torch.randn(2, 3))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, query: Tensor, context: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        return self.gain * self.mixing(query.transpose(1, 2)).transpose(1, 2)


MODELS = {
    "layer": lambda: build_layer(softmax.attend, head_width=5, **SETTINGS),
    "performer": lambda: build_layer(Performer, **SETTINGS | {"options": {"features": 11}}),
    "linformer": lambda: build_layer(Linformer, **SETTINGS | {"options": {"landmarks": 11}}),
    "own layer": lambda: build_layer(Convolved, **SETTINGS),
    "encoder": lambda: build_encoder(Convolved, **SETTINGS),
    "text": lambda: build_text_classifier(softmax.attend, vocabulary=31, classes=5, **SETTINGS),
    "patches": lambda: build_patch_classifier(softmax.attend, patch_width=11, classes=5, **SETTINGS),
    "generator": lambda: build_image_generator(softmax.attend, width=7, heads=3),
}


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in export_weights(model).items()}


def test_a_layers_names_and_shapes_are_those_of_the_layout() -> None:
    assert shapes(MODELS["layer"]()) == ATTENTION
    assert shapes(MODELS["performer"]())["features"] == (2, 11)
    assert shapes(MODELS["linformer"]())["key_map"] == shapes(MODELS["linformer"]())["value_map"] == (13, 11)


def test_a_kernel_is_the_matrix_that_tokens_are_multiplied_with() -> None:
    layer = MODELS["layer"]()
    weights = export_weights(layer)
    tokens = torch.randn(2, 7, 6)
    expected = tokens.numpy() @ weights["query.kernel"] + weights["query.bias"]
    np.testing.assert_allclose(layer.query(tokens).detach().numpy(), expected, atol=1e-5)


def test_a_users_tensors_keep_their_names() -> None:
    expected = {"mixing.weight": (6, 6, 5), "mixing.bias": (6,), "gain": (6,), "kept": (2, 3)}
    assert shapes(MODELS["own layer"]()) == expected


def test_models_name_their_parts_as_documented() -> None:
    found = shapes(MODELS["text"]())
    block = {
        "attention_norm.scale": (6,),
        "attention_norm.offset": (6,),
        "feed_forward_norm.scale": (6,),
        "feed_forward_norm.offset": (6,),
        "expand.kernel": (6, 24),
        "expand.bias": (24,),
        "contract.kernel": (24, 6),
        "contract.bias": (6,),
        **{f"attention.{part}.kernel": (6, 6) for part in ("query", "key", "value", "output")},
        **{f"attention.{part}.bias": (6,) for part in ("query", "key", "value", "output")},
    }
    assert found == {
        **{f"blocks.{index}.{name}": shape for index in (0, 1) for name, shape in block.items()},
        "final_norm.scale": (6,),
        "final_norm.offset": (6,),
        "embedding.table": (31, 6),
        "positions.table": (13, 6),
        "head.kernel": (6, 5),
        "head.bias": (5,),
    }
    assert shapes(MODELS["patches"]())["embedding.kernel"] == (11, 6)


def test_the_generator_names_its_parts_as_documented() -> None:
    maps = [f"{part}.{kind}" for part in ("query", "key", "value", "output") for kind in ("kernel", "bias")]
    ends = {
        "encoder": [f"attention.{name}" for name in maps],
        "decoder": [f"{which}_attention.{name}" for which in ("self", "cross") for name in maps],
    }
    for stack, norms in (("encoder", (1, 2)), ("decoder", (1, 2, 3))):
        ends[stack] += [f"norm{number}.{kind}" for number in norms for kind in ("scale", "offset")]
        ends[stack] += [f"{part}.{kind}" for part in ("expand", "contract") for kind in ("kernel", "bias")]
    expected = {f"{stack}.{index}.{end}" for stack in ends for index in (0, 1) for end in ends[stack]}
    found = shapes(MODELS["generator"]())
    assert set(found) == expected | {"head.kernel", "head.bias"}
    assert found["head.kernel"] == (7, 3)
    assert found["decoder.1.cross_attention.output.kernel"] == (21, 7)


@pytest.mark.parametrize("name", MODELS)
def test_weights_survive_the_round_trip(name) -> None:
    random = np.random.default_rng(1)
    model = MODELS[name]()
    wanted = {key: random.normal(size=shape).astype(np.float32) for key, shape in shapes(model).items()}
    import_weights(model, wanted)
    found = export_weights(model)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)


def test_exported_arrays_are_copies() -> None:
    layer = MODELS["layer"]()
    weights = export_weights(layer)
    weights["query.kernel"][:] = 0
    assert layer.query.weight.abs().max() > 0


def test_dtypes_without_a_numpy_counterpart_cross_as_float32() -> None:
    layer = MODELS["layer"]().to(torch.bfloat16)
    weights = export_weights(layer)
    assert weights["query.kernel"].dtype == np.float32
    import_weights(layer, weights)
    assert layer.query.weight.dtype == torch.bfloat16
    assert all(np.array_equal(array, weights[name]) for name, array in export_weights(layer).items())


def test_weights_that_do_not_fit_are_named_and_change_nothing() -> None:
    layer = MODELS["layer"]()
    before = export_weights(layer)
    wrong = {name: array + 1 for name, array in before.items() if name != "key.bias"}
    wrong |= {"extra": np.zeros(2), "query.kernel": np.zeros((15, 6))}
    with pytest.raises(ValueError, match="weights do not fit ProjectedAttention") as caught:
        import_weights(layer, wrong)
    message = str(caught.value)
    assert "missing key.bias" in message
    assert "unexpected extra" in message
    assert "query.kernel must have shape (6, 15), got (15, 6)" in message
    assert all(np.array_equal(array, before[name]) for name, array in export_weights(layer).items())
