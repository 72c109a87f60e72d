"""Other scores, Transformer-XL and the controls: twins agree, decode alike, and keep to their structure."""

from typing import Any

import numpy as np
import pytest

from implementations.families import controls, long_context, scores

BATCH, TIME, SOURCE, HEADS, HEAD_WIDTH, WIDTH = 2, 13, 7, 3, 5, 11
VARIANTS = [row for family in (scores, long_context, controls) for row in family.VARIANTS]
NAMES = [row.name for row in VARIANTS]
CROSSING = [row.name for row in VARIANTS if row.cross_attention]
IN_BLOCKS = ["sigmoid", "sparsemax", "entmax", "differential"]
every = pytest.mark.parametrize("variant", NAMES)
both = pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short sequences cross several blocks of queries, of different sizes on the two frameworks."""
    from implementations.on_keras import query_blocks as on_keras
    from implementations.on_torch import query_blocks as on_torch

    monkeypatch.setattr(on_keras, "BLOCK", 5)
    monkeypatch.setattr(on_torch, "FEWEST_QUERIES", 7)
    monkeypatch.setattr(on_torch, "MOST_QUERIES", 7)


def tokens(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, length, WIDTH)).astype("float32")


def padding_of(length: int) -> np.ndarray:
    """Real tokens in front for the first sequence; a hole, and padding in front, for the second."""
    padding = np.ones((BATCH, length), dtype=bool)
    padding[0, length - 2 :] = False
    padding[1, [0, 1, 4]] = False
    return padding


def settings(causal: bool, **own: Any) -> dict[str, Any]:
    common = {"width": WIDTH, "heads": HEADS, "head_width": HEAD_WIDTH, "max_length": TIME, "options": {}}
    return common | {"causal": causal} | own


@every
@both
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_self_attention_agrees(make_twins, assert_agree, variant, causal, padded) -> None:
    twins = make_twins("layer", variant, **settings(causal))
    assert_agree(twins, tokens(TIME, 1), None, padding_of(TIME) if padded else None)


@pytest.mark.parametrize("variant", [name for name in CROSSING if name != "uniform"])
def test_attention_to_a_context_agrees(make_twins, assert_agree, variant) -> None:
    twins = make_twins("layer", variant, **settings(False))
    assert_agree(twins, tokens(TIME, 1), tokens(SOURCE, 2), padding_of(SOURCE))


def test_the_mean_of_a_context_agrees(make_twins) -> None:
    """Forward only: its queries have no gradient."""
    one, other = make_twins("layer", "uniform", **settings(False))
    inputs = tokens(TIME, 1), tokens(SOURCE, 2), padding_of(SOURCE)
    np.testing.assert_allclose(other.forward(*inputs), one.forward(*inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5"])
@pytest.mark.parametrize("variant", ["sigmoid", "sparsemax", "entmax", "differential", "talking_heads"])
def test_layers_with_relative_positions_agree(make_twins, assert_agree, variant, positions) -> None:
    own = settings(True, head_width=8, positions=positions, qk_norm=positions == "rotary")
    assert_agree(make_twins("layer", variant, **own), tokens(TIME, 1), None, padding_of(TIME))


@pytest.mark.parametrize(
    ("variant", "options"), [("differential", {"depth": 5}), ("convolution", {"kernel": 7})]
)
@both
def test_options_reach_both(make_twins, assert_agree, variant, options, causal) -> None:
    assert_agree(make_twins("layer", variant, **settings(causal, options=options)), tokens(TIME, 1))


@every
@both
def test_gradients_stay_finite_where_nothing_is_seen(make_twins, variant, causal) -> None:
    padding = np.zeros((BATCH, TIME), dtype=bool)
    cotangent = np.ones((BATCH, TIME, WIDTH), dtype="float32")
    for twin in make_twins("layer", variant, **settings(causal)):
        found = twin.gradients(cotangent, tokens(TIME, 7), None, padding)
        np.testing.assert_allclose(found.pop("output.bias"), BATCH * TIME)
        for name, gradient in found.items():
            np.testing.assert_array_equal(gradient, np.zeros_like(gradient), err_msg=name)


@every
def test_step_by_step_and_after_a_prompt_is_the_whole_on_keras(make_twins, variant) -> None:
    _, twin = make_twins("layer", variant, **settings(True))
    sequence = tokens(TIME, 3)
    whole = twin.forward(sequence)
    for prompt in (0, 7):
        state, answers = twin.model.initial_state(BATCH), []
        if prompt:
            answer, state = twin.model.prefill(sequence[:, :prompt])
            answers.append(np.array(answer))
        for place in range(prompt, TIME):
            answer, state = twin.model.step(sequence[:, place : place + 1], state)
            answers.append(np.array(answer))
        np.testing.assert_allclose(np.concatenate(answers, axis=1), whole, rtol=1e-5, atol=1e-5)


@every
def test_states_are_of_one_size_on_both(make_twins, variant) -> None:
    import torch

    from implementations.on_keras import decoding as on_keras
    from implementations.on_torch import decoding as on_torch

    torch_twin, keras_twin = make_twins("layer", variant, **settings(True))
    _, state = torch_twin.model.prefill(torch.from_numpy(tokens(TIME, 3)))
    sizes = sorted(tensor.numel() for tensor in on_torch.live_tensors(state))
    _, state = keras_twin.model.prefill(tokens(TIME, 3))
    assert sorted(int(np.prod(tensor.shape)) for tensor in on_keras.live_tensors(state)) == sizes


@both
def test_a_memory_of_earlier_tokens_agrees(make_twins, causal) -> None:
    import torch

    torch_twin, keras_twin = make_twins("layer", "transformer_xl", **settings(causal))
    segment, memory = tokens(TIME, 1), tokens(SOURCE, 2)
    with torch.no_grad():
        expected = torch_twin.model.with_memory(*map(torch.from_numpy, (segment, memory))).numpy()
    got = np.array(keras_twin.model.with_memory(segment, memory))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", ["sigmoid", "sparsemax", "entmax"])
def test_scores_of_ten_thousand_choose_one_key_on_keras(variant) -> None:
    import importlib

    attend = importlib.import_module(f"implementations.on_keras.{variant}").attend
    value = np.random.default_rng(1).normal(size=(1, 1, 7, 5)).astype("float32")
    key = -np.ones((1, 1, 7, 5), dtype="float32")
    key[:, :, 4] = 1
    got = np.array(attend(np.full((1, 1, 3, 5), 1e4, dtype="float32"), key, value))
    np.testing.assert_allclose(got, np.broadcast_to(value[:, :, 4:5], got.shape), rtol=1e-6)


@pytest.mark.parametrize("variant", IN_BLOCKS)
@both
def test_no_tensor_grows_with_the_square_of_the_length_on_keras(
    fresh_twins, variant, causal, monkeypatch
) -> None:
    import tensorflow

    from implementations.on_keras import query_blocks

    monkeypatch.setattr(query_blocks, "BLOCK", 53)
    length = 503
    layer = fresh_twins("layer", variant, **settings(causal, heads=1, max_length=length))[1].model

    @tensorflow.function(autograph=False)
    def step(sequence):
        with tensorflow.GradientTape() as tape:
            loss = tensorflow.reduce_sum(layer(sequence))
        return tape.gradient(loss, [variable.value for variable in layer.trainable_variables])

    graph = step.get_concrete_function(tensorflow.TensorSpec((1, length, WIDTH))).graph
    graphs = [graph, *(graph._get_function(name).graph for name in graph._functions)]
    outputs = [out for one in graphs if one for op in one.get_operations() for out in op.outputs]
    sizes = [int(np.prod(out.shape)) for out in outputs if out.shape.is_fully_defined()]
    assert max(sizes) <= 53 * length, "the scores of one block"


@every
def test_a_layer_survives_its_config(make_twins, variant) -> None:
    import keras

    from implementations.on_keras.weights import export_weights, import_weights

    _, twin = make_twins("layer", variant, **settings(True))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(twin.model))
    again(tokens(TIME, 1))
    import_weights(again, export_weights(twin.model))
    np.testing.assert_allclose(np.array(again(tokens(TIME, 1))), twin.forward(tokens(TIME, 1)), atol=1e-6)


@pytest.mark.parametrize("variant", ["differential", "talking_heads", "transformer_xl", "convolution"])
def test_own_weights_start_alike(fresh_twins, variant) -> None:
    import keras
    import torch

    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    torch_twin, keras_twin = fresh_twins("layer", variant, **settings(False, head_width=301))
    one, other = torch_twin.export(), keras_twin.export()
    maps = ("query.", "key.", "value.", "output.")
    own = [name for name in one if not name.startswith(maps)]
    assert own
    for name in own:
        assert np.abs(one[name]).max() == pytest.approx(np.abs(other[name]).max(), rel=0.4), name
        assert one[name].std() == pytest.approx(other[name].std(), rel=0.25), name


@both
@every
def test_a_length_known_only_at_run_time_works(make_twins, variant, causal) -> None:
    import tensorflow

    from implementations.on_keras.projected import AttentionLayer

    _, twin = make_twins("layer", variant, **settings(causal))
    call = AttentionLayer.call.__wrapped__  # the shape checks of the tests cannot name an open length
    spec = [tensorflow.TensorSpec((None, None, WIDTH)), tensorflow.TensorSpec((None, None), tensorflow.bool)]
    traced = tensorflow.function(
        lambda sequence, padding: call(twin.model, sequence, None, padding), input_signature=spec
    )
    for time in (7, 19):
        sequence, padding = tokens(time, 3), padding_of(time)
        expected = twin.forward(sequence, None, padding)
        np.testing.assert_allclose(np.array(traced(sequence, padding)), expected, atol=1e-5)
