"""Low rank and kernels on both frameworks: same weights, same answers, gradients, states and refusals."""

import importlib

import numpy as np
import pytest

from implementations.catalog import VARIANTS

BATCH, WIDTH, HEADS, HEAD_WIDTH, LONGEST = 2, 11, 3, 5, 131
ROWS = {row.name: row for row in VARIANTS if row.family == "low rank and kernels"}
FORMS = [(name, causal) for name, row in ROWS.items() for causal in (False, True)[: 1 + row.causal]]
CAUSAL = [name for name, causal in FORMS if causal]


def settings(name: str, causal: bool, **options: int) -> dict[str, object]:
    return {
        "width": WIDTH,
        "heads": HEADS,
        "head_width": HEAD_WIDTH,
        "causal": causal,
        "max_length": LONGEST,
        "options": dict(ROWS[name].small) | options,
    }


def tokens(length: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, length, WIDTH)).astype("float32")


def padding_of(length: int) -> np.ndarray:
    """A hole, and padding in front, for the first sequence; nothing but padding for the second."""
    padding = np.ones((BATCH, length), dtype=bool)
    padding[0, [0, length // 2]] = False
    padding[1] = False
    return padding


@pytest.mark.parametrize(("name", "causal"), FORMS)
@pytest.mark.parametrize(("length", "padded"), [(1, False), (13, True), (131, False), (131, True)])
def test_answers_and_gradients_agree(make_twins, assert_agree, name, causal, length, padded):
    twins = make_twins("layer", name, **settings(name, causal))
    # Sums of a hundred tokens by random maps make scores of hundreds, and hundreds of float32's last digit.
    given = tokens(length) / np.float32(8 if name == "linformer" else 1)
    assert_agree(twins, given, None, padding_of(length) if padded else None)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.cross_attention])
def test_a_context_of_another_length_agrees(make_twins, assert_agree, name):
    assert_agree(make_twins("layer", name, **settings(name, False)), tokens(13), tokens(7, 2), padding_of(7))


def test_nystrom_s_convolution_agrees(make_twins, assert_agree):
    twins = make_twins("layer", "nystrom", **settings("nystrom", False, convolution=3))
    assert_agree(twins, tokens(13), None, padding_of(13))


@pytest.mark.parametrize("name", CAUSAL)
def test_step_by_step_on_keras_is_the_whole_and_goes_on_after_a_prefill(make_twins, name):
    _, keras_twin = make_twins("layer", name, **settings(name, True))
    layer, given = keras_twin.model, tokens(13)
    whole, state = np.array(layer(given)), layer.initial_state(BATCH)
    sizes = [tuple(part.shape) for part in state[:2]]
    answers, prefilled = layer.prefill(given[:, :7])
    np.testing.assert_allclose(np.array(answers), whole[:, :7], atol=1e-5)
    for place in range(13):
        answer, state = layer.step(given[:, place : place + 1], state)
        np.testing.assert_allclose(np.array(answer), whole[:, place : place + 1], atol=1e-5)
        if place >= 7:
            answer, prefilled = layer.step(given[:, place : place + 1], prefilled)
            np.testing.assert_allclose(np.array(answer), whole[:, place : place + 1], atol=1e-5)
    assert [tuple(part.shape) for part in state[:2]] == sizes
    assert state.length == prefilled.length == 13


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.cross_attention])
def test_a_remembered_context_is_recalled_piece_by_piece_on_keras(make_twins, name):
    _, keras_twin = make_twins("layer", name, **settings(name, False))
    layer, given, context, padding = keras_twin.model, tokens(13), tokens(7, 2), padding_of(7)
    memory = layer.remember(context, padding)
    pieces = [np.array(layer.recall(given[:, first : first + 5], memory, first)) for first in (0, 5, 10)]
    whole = np.array(layer(given, context, padding))
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 3])
def test_one_seed_draws_the_same_random_features_on_both(fresh_twins, seed):
    own = settings("performer", True, features=13, seed=seed)
    drawn = [twin.export()["features"] for twin in fresh_twins("layer", "performer", **own)]
    np.testing.assert_array_equal(*drawn)
    other = fresh_twins("layer", "performer", **settings("performer", True, features=13, seed=seed + 1))
    assert np.abs(other[0].export()["features"] - drawn[0]).max() > 0.1


@pytest.mark.parametrize("name", ROWS)
def test_fresh_weights_have_the_same_names_shapes_and_spread(fresh_twins, name):
    options = {"convolution": 3} if name == "nystrom" else {}
    ours, theirs = (twin.export() for twin in fresh_twins("layer", name, **settings(name, False, **options)))
    assert {key: array.shape for key, array in ours.items()} == {k: a.shape for k, a in theirs.items()}
    for key in ("key_map", "value_map"):
        if key in ours:
            assert ours[key].std() == pytest.approx(theirs[key].std(), rel=0.15)


@pytest.mark.parametrize(("name", "causal"), FORMS)
def test_a_layer_survives_its_config_on_keras(make_twins, name, causal):
    import keras

    _, twin = make_twins("layer", name, **settings(name, causal))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(twin.model))
    again(tokens(13))
    twin.weights.import_weights(again, twin.export())
    np.testing.assert_array_equal(np.array(again(tokens(13))), np.array(twin.model(tokens(13))))


@pytest.mark.parametrize(("name", "causal"), FORMS)
def test_keras_answers_are_finite_for_inputs_of_any_size(make_twins, name, causal):
    _, twin = make_twins("layer", name, **settings(name, causal))
    cotangent = np.ones((BATCH, 13, WIDTH), "float32")
    for size in (0, 1e2, 1e4):
        given = tokens(13) * np.float32(size)
        assert np.isfinite(twin.forward(given)).all()
        assert all(np.isfinite(part).all() for part in twin.gradients(cotangent, given).values())


def test_what_these_variants_cannot_do_is_refused_on_keras_too():
    def kind(name: str):
        module, found = ROWS[name].targets["keras"].split(":")
        return getattr(importlib.import_module(module), found)

    with pytest.raises(NotImplementedError, match="each landmark mixes tokens of all positions"):
        kind("linformer")(15, 3, causal=True, max_length=7)
    with pytest.raises(ValueError, match="got max_length None"):
        kind("linformer")(15, 3)
    with pytest.raises(NotImplementedError, match="the mean of a segment"):
        kind("nystrom")(15, 3, causal=True)
    with pytest.raises(ValueError, match="odd number of tokens, or 0, got 4"):
        kind("nystrom")(15, 3, convolution=4)
    with pytest.raises(NotImplementedError, match="its own tokens only"):
        kind("nystrom")(15, 3).remember(np.zeros((2, 7, 15), "float32"))
    with pytest.raises(ValueError, match="got None"):
        kind("cosformer")(15, 3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        kind("performer")(15, 3, features=0)
    with pytest.raises(ValueError, match="at most max_length = 7 tokens, got 11"):
        kind("cosformer")(15, 3, max_length=7)(np.zeros((2, 11, 15), "float32"))
    with pytest.raises(ValueError, match="at most max_length = 7 tokens, got 11"):
        kind("linformer")(15, 3, max_length=7)(np.zeros((2, 11, 15), "float32"))
