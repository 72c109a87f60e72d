"""The recurrent variants answer alike on torch and on Keras: whole, by steps, and with an open length."""

from typing import Any

import numpy as np
import pytest

BATCH, WIDTH, HEADS, HEAD_WIDTH = 2, 11, 3, 5
CASES = [
    ("retention", {}),
    ("gated_linear", {"rank": 3}),
    ("gated_delta", {}),
    ("gated_delta", {"convolution": 3}),
]
every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=lambda part: str(part))


def settings(options: dict[str, int]) -> dict[str, Any]:
    sizes = {"width": WIDTH, "heads": HEADS, "head_width": HEAD_WIDTH, "max_length": 13}
    return {**sizes, "causal": True, "options": options}


def tokens(length: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, length, WIDTH)).astype("float32")


def gaps(length: int) -> np.ndarray:
    padding = np.random.default_rng(3).random((BATCH, length)) < 0.6
    padding[0, 0], padding[0, -1] = False, True
    padding[1] = False
    return padding


@every_case
@pytest.mark.parametrize("length", [1, 13, 131])
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_outputs_and_gradients_agree(make_twins, assert_agree, name, options, length, padded) -> None:
    twins = make_twins("layer", name, **settings(options))
    assert_agree(twins, tokens(length), None, gaps(length) if padded else None)


@every_case
def test_a_context_of_the_same_length_agrees(make_twins, assert_agree, name, options) -> None:
    assert_agree(make_twins("layer", name, **settings(options)), tokens(13), tokens(13, seed=5))


@every_case
@pytest.mark.parametrize(("prompt", "length"), [(0, 13), (5, 13), (67, 71)])
def test_keras_token_by_token_and_after_a_prompt_is_the_whole(
    make_twins, name, options, prompt, length
) -> None:
    from implementations.on_keras.decoding import live_tensors

    _, keras_twin = make_twins("layer", name, **settings(options))
    layer, inputs = keras_twin.model, tokens(length)
    whole = np.array(layer(inputs))
    state = layer.prefill(inputs[:, :prompt])[1] if prompt else layer.initial_state(BATCH)
    for place in range(prompt, length):
        answer, state = layer.step(inputs[:, place : place + 1], state)
        np.testing.assert_allclose(np.array(answer)[:, 0], whole[:, place], rtol=1e-5, atol=1e-5)
    taps = 3 * max(options.get("convolution", 0) - 1, 0)
    sizes = [int(np.prod(tensor.shape)) for tensor in live_tensors(state)]
    assert sum(sizes) == BATCH * HEADS * HEAD_WIDTH * (HEAD_WIDTH + taps)


@every_case
def test_a_length_known_only_at_run_time_gives_the_same(make_twins, name, options) -> None:
    import tensorflow

    _, keras_twin = make_twins("layer", name, **settings(options))
    layer = keras_twin.model
    spec = [tensorflow.TensorSpec((None, None, WIDTH)), tensorflow.TensorSpec((None, None), tensorflow.bool)]
    call = getattr(
        type(layer).call, "__wrapped__", type(layer).call
    )  # shape checks cannot name an open length

    def run(given: Any, padding: Any) -> Any:
        return call(layer, given, None, padding)

    traced = tensorflow.function(run, input_signature=spec, autograph=False)
    for length in (1, 7, 131, 257):
        given, padding = tokens(length), gaps(length)
        expected = np.array(layer(given, None, padding))
        np.testing.assert_allclose(np.array(traced(given, padding)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), CASES[:3], ids=lambda part: str(part))
def test_no_tensor_of_a_keras_training_step_grows_with_the_square_of_the_length(
    make_twins, name, options
) -> None:
    import tensorflow

    _, keras_twin = make_twins("layer", name, **settings(options))
    layer = keras_twin.model

    def largest(length: int) -> int:
        @tensorflow.function(autograph=False)
        def step(given: Any) -> Any:
            with tensorflow.GradientTape() as tape:
                loss = tensorflow.reduce_sum(layer(given))
            return tape.gradient(loss, [variable.value for variable in layer.trainable_variables])

        graph = step.get_concrete_function(tensorflow.TensorSpec((1, length, WIDTH))).graph
        assert not list(graph._functions), "a nested graph would have to be looked into as well"
        shapes = [output.shape for operation in graph.get_operations() for output in operation.outputs]
        return max(int(np.prod(shape)) for shape in shapes if shape.is_fully_defined())

    once, twice = largest(1021), largest(2 * 1021)
    assert once < 1021 * 1021 / 2
    assert twice < 2.2 * once


@every_case
def test_a_layer_survives_its_config(make_twins, name, options) -> None:
    import keras

    from implementations.on_keras.weights import export_weights, import_weights

    _, keras_twin = make_twins("layer", name, **settings(options))
    layer = keras_twin.model
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    again(tokens(13))
    import_weights(again, export_weights(layer))
    np.testing.assert_array_equal(np.array(again(tokens(13))), np.array(layer(tokens(13))))
    assert again.get_config() == layer.get_config()
    assert options.items() <= layer.get_config().items()


def test_a_fresh_delta_rule_starts_from_the_same_distributions(fresh_twins) -> None:
    twins = fresh_twins(
        "layer",
        "gated_delta",
        width=64,
        heads=1024,
        head_width=1,
        causal=True,
        max_length=7,
        options={"convolution": 4},
    )
    of_torch, of_keras = (twin.export() for twin in twins)
    for name in ("decay_rate", "decay.bias", "query_taps", "decay.kernel", "gate.kernel"):
        one, other = (
            np.quantile(weights[name], [0.02, 0.3, 0.5, 0.7, 0.98]) for weights in (of_torch, of_keras)
        )
        np.testing.assert_allclose(one, other, atol=0.12 * (one[-1] - one[0]), err_msg=name)


@every_case
def test_keras_refuses_what_torch_refuses(name, options, make_twins) -> None:
    _, keras_twin = make_twins("layer", name, **settings(options))
    kind = type(keras_twin.model)
    with pytest.raises(NotImplementedError, match=rf"{kind.__name__} is recurrent in one direction"):
        kind(WIDTH, HEADS, head_width=HEAD_WIDTH, **options)
    with pytest.raises(ValueError, match="causal attention needs as many keys as queries"):
        keras_twin.forward(tokens(7), tokens(5))
    with pytest.raises(NotImplementedError, match="remembers no context"):
        keras_twin.model.remember(tokens(7))


def test_keras_refuses_options_and_chunks_that_cannot_be() -> None:
    from implementations.on_keras.gated_delta import GatedDelta
    from implementations.on_keras.gated_linear import GatedLinear
    from implementations.on_keras.retention import retain

    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        GatedLinear(WIDTH, HEADS, head_width=HEAD_WIDTH, causal=True, rank=0)
    with pytest.raises(ValueError, match=r"convolution must be 0 .* got -1"):
        GatedDelta(WIDTH, HEADS, head_width=HEAD_WIDTH, causal=True, convolution=-1)
    part = np.zeros((BATCH, HEADS, 7, HEAD_WIDTH), dtype="float32")
    with pytest.raises(ValueError, match="chunk must be 1 to 1024 tokens, got 2048"):
        retain(part, part, part, chunk=2048)
