"""Sliding-window, block-sparse and strided attention agree on torch and on Keras, whole and step by step."""

import keras
import numpy as np
import pytest
import torch

from implementations.on_keras.decoding import live_tensors

BATCH, HEADS, HEAD_WIDTH, WIDTH = 2, 3, 6, 11
CASES = [
    ("sliding_window", {"window": 5}),
    ("sliding_window", {"window": 4, "sinks": 3}),
    ("sliding_window", {"window": 20, "sinks": 2}),
    ("sliding_window", {"window": 1, "sinks": 12}),
    ("strided", {"stride": 0}),
    ("strided", {"stride": 5}),
    ("block_sparse", {"block": 2, "seed": 3}),
    ("block_sparse", {"block": 5, "global_blocks": 0, "random_blocks": 1, "window_blocks": 1}),
]
IDS = [f"{name} {' '.join(f'{key}={value}' for key, value in options.items())}" for name, options in CASES]
every = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)


def settings(options: dict, causal: bool, length: int) -> dict[str, object]:
    return {
        "width": WIDTH,
        "heads": HEADS,
        "head_width": HEAD_WIDTH,
        "causal": causal,
        "max_length": length,
        "options": options,
    }


def tokens(length: int) -> np.ndarray:
    return np.random.default_rng(length).normal(size=(BATCH, length, WIDTH)).astype("float32")


def gaps(length: int) -> np.ndarray:
    """Padding in front and holes; the second sequence holds nothing real."""
    padding = np.random.default_rng(length).random((BATCH, length)) < 0.6
    padding[0, :3] = False
    padding[1] = False
    return padding


@every
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize(("length", "padded"), [(13, False), (41, True)], ids=["short", "long, padded"])
def test_twins_agree(make_twins, assert_agree, name, options, causal, length, padded):
    twins = make_twins("layer", name, **settings(options, causal, length))
    assert_agree(twins, tokens(length), None, gaps(length) if padded else None)


@every
def test_keras_decodes_as_torch_answers_at_once(make_twins, name, options):
    torch_twin, keras_twin = make_twins("layer", name, **settings(options, True, 29), positions="rotary")
    given, layer = tokens(29), keras_twin.model
    whole = torch_twin.forward(given)
    first, state = layer.prefill(keras.ops.convert_to_tensor(given[:, :17]))
    answers = [first]
    for place in range(17, 29):
        answer, state = layer.step(keras.ops.convert_to_tensor(given[:, place : place + 1]), state)
        answers.append(answer)
    found = np.concatenate([keras.ops.convert_to_numpy(answer) for answer in answers], axis=1)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-5)
    _, of_torch = torch_twin.model.prefill(torch.from_numpy(given))
    sizes = [tuple(part.shape) for part in live_tensors(state)]
    assert sizes == [tuple(part.shape) for part in of_torch[:2]]


@every
def test_a_window_fills_token_by_token_from_the_start(make_twins, name, options):
    torch_twin, keras_twin = make_twins("layer", name, **settings(options, True, 11))
    given, layer = tokens(11), keras_twin.model
    state, answers = layer.initial_state(BATCH), []
    for place in range(11):
        answer, state = layer.step(keras.ops.convert_to_tensor(given[:, place : place + 1]), state)
        answers.append(keras.ops.convert_to_numpy(answer))
    whole = torch_twin.forward(given)
    np.testing.assert_allclose(np.concatenate(answers, axis=1), whole, rtol=1e-5, atol=1e-5)


@every
def test_a_layer_comes_back_from_its_configuration(make_twins, name, options):
    _, keras_twin = make_twins("layer", name, **settings(options, True, 13))
    layer = keras_twin.model
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    again(keras.ops.convert_to_tensor(tokens(13)))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(tokens(13)), layer(tokens(13)))


@pytest.mark.parametrize(("name", "options"), [CASES[1], CASES[4]], ids=["sliding_window", "strided"])
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_a_graph_may_learn_the_length_when_it_runs(make_twins, name, options, causal):
    import tensorflow

    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow's graphs leave lengths open")
    _, keras_twin = make_twins("layer", name, **settings(options, causal, 41))
    traced = tensorflow.function(
        keras_twin.model.call,
        input_signature=[tensorflow.TensorSpec((None, None, WIDTH), "float32")],
        autograph=False,
    )
    for length in (1, 3, 41):
        np.testing.assert_allclose(
            traced(tokens(length)), keras_twin.forward(tokens(length)), rtol=1e-5, atol=1e-5
        )
