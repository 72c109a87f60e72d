"""Multi-query, grouped-query and latent attention answer the same on torch and on Keras."""

import keras
import numpy as np
import pytest

from implementations.on_keras.decoding import live_tensors
from implementations.on_keras.grouped_query import GroupedQuery
from implementations.on_keras.latent import Latent

BATCH, TIME, SOURCE, HEADS, HEAD_WIDTH, WIDTH = 2, 13, 7, 6, 4, 11
CASES = {
    "multi_query": {},
    "grouped_query": {"key_heads": 2},
    "latent": {"rank": 7, "rope_width": 2, "query_rank": 5},
}
# How many numbers a cache holds for each token.
CACHED = {"multi_query": 2 * HEAD_WIDTH, "grouped_query": 2 * 2 * HEAD_WIDTH, "latent": 7 + 2}

# Keras 3.15 saves variables in a way that NumPy 2 warns of.
known = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


def tokens(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, length, WIDTH)).astype("float32")


def padding_of(length: int) -> np.ndarray:
    """A blind sequence, and one with padding in front and a hole."""
    padding = np.ones((BATCH, length), dtype=bool)
    padding[0] = False
    padding[1, [0, 1, 4]] = False
    return padding


def settings(name: str, causal: bool, **more: object) -> dict[str, object]:
    return {
        "width": WIDTH,
        "heads": HEADS,
        "head_width": HEAD_WIDTH,
        "causal": causal,
        "max_length": TIME,
        "options": CASES[name],
        **more,
    }


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_self_attention_agrees(make_twins, assert_agree, name, causal, padded) -> None:
    twins = make_twins("layer", name, **settings(name, causal))
    assert_agree(twins, tokens(TIME, 1), None, padding_of(TIME) if padded else None)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("padded", [False, True])
def test_cross_attention_agrees(make_twins, assert_agree, name, padded) -> None:
    twins = make_twins("layer", name, **settings(name, False))
    assert_agree(twins, tokens(TIME, 1), tokens(SOURCE, 2), padding_of(SOURCE) if padded else None)


@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5"])
def test_groups_hold_relative_positions(make_twins, assert_agree, positions) -> None:
    more = {"positions": positions, "qk_norm": True}
    twins = make_twins("layer", "grouped_query", **settings("grouped_query", True, **more))
    assert_agree(twins, tokens(TIME, 1))


def test_latent_attention_agrees_without_compressed_queries(make_twins, assert_agree) -> None:
    options = CASES["latent"] | {"query_rank": 0}
    twins = make_twins("layer", "latent", **settings("latent", True, options=options))
    assert_agree(twins, tokens(TIME, 1))


@pytest.mark.parametrize("name", CASES)
def test_a_prompt_and_steps_are_the_whole_on_keras_in_a_small_cache(make_twins, name) -> None:
    _, twin = make_twins("layer", name, **settings(name, True))
    layer, inputs = twin.model, keras.ops.convert_to_tensor(tokens(TIME, 1))
    whole = np.array(layer(inputs))
    for prompt in (0, 5):
        answers, state = [], layer.initial_state(BATCH)
        if prompt:
            answer, state = layer.prefill(inputs[:, :prompt])
            answers.append(answer)
        for place in range(prompt, TIME):
            answer, state = layer.step(inputs[:, place : place + 1], state)
            answers.append(answer)
        np.testing.assert_allclose(np.concatenate(answers, axis=1), whole, rtol=0, atol=1e-5)
    held = sum(int(np.prod(tensor.shape)) for tensor in live_tensors(state))
    assert held == BATCH * 256 * CACHED[name]


@pytest.mark.parametrize("name", CASES)
@known
def test_a_saved_layer_is_the_same_again(make_twins, tmp_path, name) -> None:
    _, twin = make_twins("layer", name, **settings(name, True))
    model = keras.Sequential([keras.Input((TIME, WIDTH)), twin.model])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(again(tokens(TIME, 1))), np.array(model(tokens(TIME, 1))))


def test_the_twins_refuse_what_the_torch_side_refuses() -> None:
    with pytest.raises(ValueError, match="key_heads must divide heads, got 2 key heads for 3 heads"):
        GroupedQuery(WIDTH, 3, head_width=5, key_heads=2)
    with pytest.raises(ValueError, match="even rope_width of at least 2, got 7, 0 and 3"):
        Latent(WIDTH, 3, head_width=5, rank=7, rope_width=3)
    with pytest.raises(NotImplementedError, match="its latents are normalised instead"):
        Latent(WIDTH, 3, head_width=5, qk_norm=True)
    with pytest.raises(NotImplementedError, match="takes no rotary positions"):
        Latent(WIDTH, 3, head_width=5, positions="rotary")


def test_keras_chooses_as_many_key_heads_as_torch() -> None:
    assert [GroupedQuery(WIDTH, heads, head_width=5).key_heads for heads in (3, 6, 7)] == [1, 2, 1]
