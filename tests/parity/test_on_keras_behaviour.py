"""What the Keras variants promise by themselves: causality, padding, cost, configs, errors."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from implementations.catalog import VARIANTS

BATCH, TIME, HEADS, HEAD_WIDTH, WIDTH = 2, 13, 3, 5, 11
# The whole catalogue is held to the same by its certificates; these two stand for kernels and classes.
ON_KERAS = ["softmax", "linear"]


def attention(variant: str):
    module, name = next(row for row in VARIANTS if row.name == variant).targets["keras"].split(":")
    return getattr(importlib.import_module(module), name)


def layer_of(variant: str, **own):
    from implementations.on_keras.layer import build_layer

    return build_layer(
        attention(variant), **({"width": WIDTH, "heads": HEADS, "head_width": HEAD_WIDTH} | own)
    )


def noise(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("variant", ON_KERAS)
def test_a_causal_layer_does_not_see_the_future_and_another_one_does(variant):
    tokens = noise(BATCH, TIME, WIDTH)
    changed = tokens.copy()
    changed[:, 7:] += 3
    for causal in (True, False):
        layer = layer_of(variant, causal=causal)
        difference = np.abs(np.array(layer(tokens)) - np.array(layer(changed))).max(axis=(0, 2))
        assert (difference[:7].max() < 1e-6) == causal
        assert difference[7:].min() > 1e-3


@pytest.mark.parametrize("variant", ON_KERAS)
def test_what_stands_at_padded_places_changes_nothing(variant):
    padding = np.ones((BATCH, 7), dtype=bool)
    padding[:, [0, 4]] = False
    query, context = noise(BATCH, TIME, WIDTH), noise(BATCH, 7, WIDTH, seed=5)
    changed = context.copy()
    changed[:, [0, 4]] += 3
    layer = layer_of(variant)
    expected = np.array(layer(query, context, padding))
    np.testing.assert_allclose(np.array(layer(query, changed, padding)), expected, atol=1e-6)
    without = np.ascontiguousarray(context[:, padding[0]])
    np.testing.assert_allclose(np.array(layer(query, without)), expected, atol=1e-5)
    assert np.abs(np.array(layer(query, changed)) - np.array(layer(query, context))).max() > 1e-3


@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_softmax_is_the_function_of_keras_own_layer(causal):
    import keras

    from implementations.on_keras.weights import export_weights

    layer, tokens = layer_of("softmax", causal=causal), noise(BATCH, TIME, WIDTH)
    own = keras.layers.MultiHeadAttention(HEADS, HEAD_WIDTH)
    own.build(tokens.shape, tokens.shape)
    ours = export_weights(layer)
    for name in ("query", "key", "value", "output"):
        dense = getattr(own, f"_{name}_dense")
        dense.kernel.assign(ours[f"{name}.kernel"].reshape(dense.kernel.shape))
        dense.bias.assign(ours[f"{name}.bias"].reshape(dense.bias.shape))
    np.testing.assert_allclose(
        np.array(layer(tokens)), np.array(own(tokens, tokens, use_causal_mask=causal)), atol=1e-6
    )


@settings(max_examples=30, deadline=None)
@given(time=st.integers(1, 29), chunk=st.integers(1, 31), padded=st.booleans(), seed=st.integers(0, 999))
def test_causal_linear_attention_is_its_equation_whatever_the_chunk(time, chunk, padded, seed):
    query, key, value = (noise(BATCH, HEADS, time, HEAD_WIDTH, seed=seed + offset) for offset in range(3))
    padding = np.random.default_rng(seed).random((BATCH, time)) < 0.6 if padded else None

    def features(x):
        return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))).astype("float64")

    weights = np.tril(np.einsum("bhtd,bhsd->bhts", features(query), features(key)))
    if padding is not None:
        weights = weights * padding[:, None, None, :]
    totals = weights.sum(-1, keepdims=True)
    expected = np.einsum("bhts,bhsd->bhtd", weights, value) / np.where(totals > 0, totals, 1)
    from implementations.on_keras.linear import attend

    got = attend(query, key, value, causal=True, padding=padding, chunk=chunk)
    np.testing.assert_allclose(np.array(got), expected, atol=1e-5)


def largest_tensor(layer, length: int) -> int:
    """Elements of the largest tensor in the graph of a training step: forward and backward."""
    import tensorflow

    @tensorflow.function(autograph=False)
    def step(tokens):
        with tensorflow.GradientTape() as tape:
            loss = tensorflow.reduce_sum(layer(tokens))
        return tape.gradient(loss, [variable.value for variable in layer.trainable_variables])

    graph = step.get_concrete_function(tensorflow.TensorSpec((1, length, WIDTH))).graph
    assert not list(graph._functions), "a nested graph would have to be looked into as well"
    shapes = [output.shape for operation in graph.get_operations() for output in operation.outputs]
    return max(int(np.prod(shape)) for shape in shapes if shape.is_fully_defined())


@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_linear_attention_builds_no_tensor_of_length_squared_and_softmax_does(causal):
    length = 2_003
    own = {"causal": causal, "heads": 1}
    assert largest_tensor(layer_of("linear", **own), length) < length * 150
    assert largest_tensor(layer_of("softmax", **own), length) >= length**2


@pytest.mark.parametrize("variant", ON_KERAS)
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_a_length_known_only_at_run_time_works(variant, causal):
    import tensorflow

    layer = layer_of(variant, causal=causal)
    spec = [tensorflow.TensorSpec((None, None, WIDTH)), tensorflow.TensorSpec((None, None), tensorflow.bool)]
    call = type(layer).call.__wrapped__  # the shape checks of the tests cannot name an open length

    def run(tokens, padding):
        return call(layer, tokens, None, padding)

    traced = tensorflow.function(run, input_signature=spec, autograph=False)
    for time in (7, 131):
        tokens, padding = noise(BATCH, time, WIDTH), noise(BATCH, time) > -1
        np.testing.assert_allclose(
            np.array(traced(tokens, padding)), np.array(layer(tokens, None, padding)), atol=1e-5
        )


@pytest.mark.parametrize("variant", ON_KERAS)
def test_a_layer_survives_its_config(variant):
    import keras

    from implementations.on_keras.weights import export_weights, import_weights

    layer = layer_of(variant, causal=True, options={})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    tokens = noise(BATCH, TIME, WIDTH)
    again(tokens)
    import_weights(again, export_weights(layer))
    np.testing.assert_array_equal(np.array(again(tokens)), np.array(layer(tokens)))
    assert again.get_config() == layer.get_config()


def test_positions_survive_their_config():
    from implementations.on_keras.classifiers import Positions

    assert Positions.from_config(Positions(7, 5).get_config()).table.shape == (7, 5)


@pytest.mark.parametrize("variant", ON_KERAS)
def test_arguments_that_do_not_fit_are_refused(variant):
    layer = layer_of(variant)
    tokens = noise(BATCH, TIME, WIDTH)
    with pytest.raises(ValueError, match="heads must divide width, got width 11 and heads 3"):
        layer_of(variant, head_width=None)
    call = type(layer).call.__wrapped__  # reaches the layer's own checks, past the tests' shape checks
    with pytest.raises(ValueError, match=r"query must have shape \[batch, length, 11\]"):
        call(layer, noise(BATCH, TIME, WIDTH + 2))
    with pytest.raises(ValueError, match=r"context must have shape \[batch, length, 11\]"):
        call(layer, tokens, noise(BATCH, 7, WIDTH + 2))
    with pytest.raises(ValueError, match=r"shape \[batch, source\] = \[2, 13\], got bool of shape \[2, 7\]"):
        call(layer, tokens, None, np.ones((BATCH, 7), dtype=bool))
    with pytest.raises(ValueError, match="got float32"):
        call(layer, tokens, None, np.ones((BATCH, TIME), dtype="float32"))


def test_weights_that_do_not_fit_are_refused_by_name_and_change_nothing():
    from implementations.on_keras.weights import export_weights, import_weights

    layer = layer_of("softmax")
    before = export_weights(layer)
    wrong = {name: array + 1 for name, array in before.items() if name != "key.bias"}
    wrong["query.kernel"] = wrong["query.kernel"].T
    wrong["quary.bias"] = wrong["query.bias"]
    faults = r"missing key\.bias.*unexpected quary\.bias.*query\.kernel must have shape"
    with pytest.raises(ValueError, match=faults):
        import_weights(layer, wrong)
    for name, array in export_weights(layer).items():
        np.testing.assert_array_equal(array, before[name])


def test_a_weight_that_no_public_name_leads_to_is_not_lost_in_silence():
    import keras

    from implementations.on_keras.weights import export_weights

    class Hiding(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.shown = keras.layers.Dense(3)
            self._hidden = keras.layers.Dense(5)

        def call(self, tokens):
            return self._hidden(self.shown(tokens))

    layer = Hiding()
    layer(noise(BATCH, WIDTH))
    with pytest.raises(ValueError, match="weights without a public name"):
        export_weights(layer)
