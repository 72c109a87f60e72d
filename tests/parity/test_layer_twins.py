"""An attention layer gives the same outputs and gradients on torch and on Keras."""

import numpy as np
import pytest

from implementations.catalog import VARIANTS

BATCH, TIME, SOURCE, HEADS, HEAD_WIDTH, WIDTH = 2, 13, 7, 3, 5, 11
# The twins of the whole catalogue are held together by their certificates and by each family's own tests.
TWINNED = ["softmax", "linear"]


def tokens(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, length, WIDTH)).astype("float32")


def padding_of(length: int) -> np.ndarray:
    """Real tokens in front for the first sequence; a hole, and padding in front, for the second."""
    padding = np.ones((BATCH, length), dtype=bool)
    padding[0, length - 2 :] = False
    padding[1, [0, 1, 4]] = False
    return padding


def settings(causal: bool, **options: int) -> dict[str, object]:
    return {
        "width": WIDTH,
        "heads": HEADS,
        "head_width": HEAD_WIDTH,
        "causal": causal,
        "max_length": TIME,
        "options": options,
    }


def test_the_reference_and_linear_attention_have_twins():
    twinned = {row.name for row in VARIANTS if {"torch", "keras"} <= row.targets.keys()}
    assert set(TWINNED) <= twinned


@pytest.mark.parametrize("variant", TWINNED)
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_self_attention_agrees(make_twins, assert_agree, variant, causal, padded):
    twins = make_twins("layer", variant, **settings(causal))
    assert_agree(twins, tokens(TIME, 1), None, padding_of(TIME) if padded else None)


@pytest.mark.parametrize("variant", TWINNED)
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_cross_attention_to_a_source_of_another_length_agrees(make_twins, assert_agree, variant, padded):
    twins = make_twins("layer", variant, **settings(False))
    assert_agree(twins, tokens(TIME, 1), tokens(SOURCE, 2), padding_of(SOURCE) if padded else None)


@pytest.mark.parametrize("length", [127, 128, 131, 293])
def test_causal_linear_attention_agrees_on_both_sides_of_a_chunk(make_twins, assert_agree, length):
    twins = make_twins("layer", "linear", **(settings(True) | {"max_length": length}))
    assert_agree(twins, tokens(length, 3), None, padding_of(length))


@pytest.mark.parametrize("variant", TWINNED)
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_a_query_that_sees_no_key_answers_the_output_bias_on_both(make_twins, variant, causal):
    twins = make_twins("layer", variant, **settings(causal))
    padding = padding_of(TIME)
    padding[0] = False
    for twin in twins:
        output = twin.forward(tokens(TIME, 5), None, padding)
        bias = twin.export()["output.bias"]
        np.testing.assert_array_equal(output[0], np.broadcast_to(bias, (TIME, WIDTH)))
        blind = output[1] == bias
        assert blind[:2].all() == causal, "with padding in front, the first two queries see no key if causal"
        assert not blind[2:].any()


@pytest.mark.parametrize("variant", TWINNED)
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_gradients_stay_finite_where_nothing_is_seen(make_twins, variant, causal):
    padding = np.zeros((BATCH, TIME), dtype=bool)
    cotangent = np.ones((BATCH, TIME, WIDTH), dtype="float32")
    for twin in make_twins("layer", variant, **settings(causal)):
        found = twin.gradients(cotangent, tokens(TIME, 7), None, padding)
        np.testing.assert_allclose(found.pop("output.bias"), BATCH * TIME)
        for name, gradient in found.items():
            np.testing.assert_array_equal(gradient, np.zeros_like(gradient), err_msg=name)


@pytest.mark.parametrize("variant", TWINNED)
def test_both_refuse_causal_attention_to_a_source_of_another_length(make_twins, variant):
    for twin in make_twins("layer", variant, **settings(True)):
        with pytest.raises(ValueError, match="causal attention needs as many keys as queries"):
            twin.forward(tokens(TIME, 1), tokens(SOURCE, 2))
