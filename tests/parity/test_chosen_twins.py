"""Keys that content chooses: the Keras twins choose the same and answer the same, whole and step by step."""

import numpy as np
import pytest

from implementations.families.chosen import VARIANTS

BATCH, HEADS, HEAD_WIDTH, WIDTH = 2, 3, 5, 11
SMALL = {row.name: dict(row.small) for row in VARIANTS}
every_variant = pytest.mark.parametrize("variant", SMALL)
both_forms = pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])


def tokens(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, length, WIDTH)).astype("float32")


def padding_of(length: int) -> np.ndarray:
    """The end of the first sequence; a hole, and padding in front, in the second."""
    padding = np.ones((BATCH, length), dtype=bool)
    padding[0, length - 3 :] = False
    padding[1, [0, 1, 4]] = False
    return padding


def settings(variant: str, causal: bool, length: int, **options: int) -> dict[str, object]:
    return {
        "width": WIDTH,
        "heads": HEADS,
        "head_width": HEAD_WIDTH,
        "causal": causal,
        "max_length": length,
        "options": SMALL[variant] | options,
    }


@every_variant
@both_forms
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_answers_and_gradients_agree(make_twins, assert_agree, variant, causal, padded):
    length = 29
    twins = make_twins("layer", variant, **settings(variant, causal, length))
    assert_agree(twins, tokens(length, 1), None, padding_of(length) if padded else None)


def test_top_k_agrees_on_another_sequence(make_twins, assert_agree):
    twins = make_twins("layer", "top_k", **settings("top_k", False, 13))
    assert_agree(twins, tokens(13, 1), tokens(7, 2), padding_of(7))


def test_native_sparse_agrees_with_wide_windows_and_few_blocks(make_twins, assert_agree):
    wide = {"compression_block": 6, "selection_block": 8, "selected": 5, "window": 19}
    twins = make_twins("layer", "native_sparse", **settings("native_sparse", True, 29, **wide))
    assert_agree(twins, tokens(29, 3), None, padding_of(29))


@every_variant
def test_step_by_step_on_keras_is_the_whole_sequence_on_torch(make_twins, variant):
    from keras import ops

    torch_twin, keras_twin = make_twins("layer", variant, **settings(variant, True, 13))
    given = tokens(13, 5)
    whole, layer = torch_twin.forward(given), keras_twin.model
    for prompt in (0, 1, 7):
        state = layer.initial_state(BATCH)
        if prompt:
            answer, state = layer.prefill(ops.convert_to_tensor(given[:, :prompt]))
            np.testing.assert_allclose(answer, whole[:, :prompt], rtol=1e-5, atol=1e-5)
        for place in range(prompt, 13):
            answer, state = layer.step(ops.convert_to_tensor(given[:, place : place + 1]), state)
            np.testing.assert_allclose(answer, whole[:, place : place + 1], rtol=1e-5, atol=1e-5)


@every_variant
def test_a_traced_graph_answers_the_same(make_twins, variant):
    import tensorflow

    _, keras_twin = make_twins("layer", variant, **settings(variant, True, 13))
    given, padding = tokens(13, 7), padding_of(13)
    traced = tensorflow.function(lambda x, real: keras_twin.model(x, None, real))
    np.testing.assert_allclose(
        traced(given, padding), keras_twin.forward(given, None, padding), rtol=1e-5, atol=1e-5
    )


@every_variant
def test_nothing_but_padding_answers_the_output_bias(make_twins, variant):
    for twin in make_twins("layer", variant, **settings(variant, True, 13)):
        output = twin.forward(tokens(13, 9), None, np.zeros((BATCH, 13), dtype=bool))
        bias = np.broadcast_to(twin.export()["output.bias"], output.shape)
        np.testing.assert_allclose(output, bias, rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", ["hashing", "native_sparse"])
def test_a_saved_twin_comes_back(make_twins, variant):
    import keras

    _, twin = make_twins("layer", variant, **settings(variant, True, 13))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(twin.model))
    assert {name: getattr(again, name) for name in again.own_settings} == SMALL[variant]
