"""The encoder and both classifiers give the same outputs and gradients on torch and on Keras."""

import numpy as np
import pytest

BATCH, TIME, MAX_LENGTH, HEADS, WIDTH, CLASSES, VOCABULARY, PATCH_WIDTH = 2, 11, 13, 3, 15, 5, 19, 7
# Models are the same whatever they hold; the layers' own twins are held together elsewhere.
TWINNED = ["softmax", "linear"]
EVERY_WAY = [
    pytest.param(variant, causal, id=f"{variant}-{'causal' if causal else 'all'}")
    for variant in TWINNED
    for causal in (False, True)
]


def settings(causal: bool, **own: int) -> dict[str, object]:
    base = {"width": WIDTH, "heads": HEADS, "causal": causal, "max_length": MAX_LENGTH, "options": {}}
    return base | own


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(23).normal(size=shape).astype("float32")


def texts() -> tuple[np.ndarray, np.ndarray]:
    ids = np.random.default_rng(29).integers(1, VOCABULARY, size=(BATCH, TIME))
    ids[0, 7:] = 0
    return ids, ids != 0


@pytest.mark.parametrize(("variant", "causal"), EVERY_WAY)
def test_the_encoder_agrees(make_twins, assert_agree, variant, causal):
    twins = make_twins("encoder", variant, **settings(causal, layers=2, expansion=3.0))
    assert_agree(twins, noise(BATCH, TIME, WIDTH))


@pytest.mark.parametrize("variant", TWINNED)
def test_the_encoder_agrees_on_padded_sequences(make_twins, assert_agree, variant):
    twins = make_twins("encoder", variant, **settings(False))
    assert_agree(twins, noise(BATCH, TIME, WIDTH), texts()[1])


@pytest.mark.parametrize(("variant", "causal"), EVERY_WAY)
def test_the_text_classifier_agrees(make_twins, assert_agree, variant, causal):
    twins = make_twins("text_classifier", variant, **settings(causal, vocabulary=VOCABULARY, classes=CLASSES))
    assert_agree(twins, *texts())


@pytest.mark.parametrize(("variant", "causal"), EVERY_WAY)
def test_the_patch_classifier_agrees(make_twins, assert_agree, variant, causal):
    own = {"patch_width": PATCH_WIDTH, "classes": CLASSES}
    twins = make_twins("patch_classifier", variant, **settings(causal, **own))
    assert_agree(twins, noise(BATCH, TIME, PATCH_WIDTH))


@pytest.mark.parametrize("variant", TWINNED)
def test_what_stands_at_padded_places_does_not_reach_the_logits(make_twins, variant):
    ids, padding = texts()
    other = np.where(padding, ids, 3)
    own = {"vocabulary": VOCABULARY, "classes": CLASSES}
    for twin in make_twins("text_classifier", variant, **settings(False, **own)):
        logits = twin.forward(ids, padding)
        np.testing.assert_allclose(twin.forward(other, padding), logits, rtol=1e-5, atol=1e-6)
        changed_real_token = np.where(np.arange(TIME) == 2, 3, ids)
        assert np.abs(twin.forward(changed_real_token, padding) - logits).max() > 1e-3


@pytest.mark.parametrize("variant", TWINNED)
def test_a_padded_text_is_classified_like_the_text_without_padding(make_twins, variant):
    ids, padding = texts()
    own = {"vocabulary": VOCABULARY, "classes": CLASSES}
    for twin in make_twins("text_classifier", variant, **settings(False, **own)):
        whole = twin.forward(ids, padding)[:1]
        short = twin.forward(np.ascontiguousarray(ids[:1, :7]), padding[:1, :7].copy())
        np.testing.assert_allclose(short, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", TWINNED)
def test_a_text_without_real_tokens_has_finite_logits_that_agree(make_twins, variant):
    ids = np.zeros((BATCH, TIME), dtype=np.int64)
    own = {"vocabulary": VOCABULARY, "classes": CLASSES}
    twins = make_twins("text_classifier", variant, **settings(False, **own))
    of_torch, of_keras = (twin.forward(ids, ids != 0) for twin in twins)
    assert np.isfinite(of_keras).all()
    np.testing.assert_allclose(of_keras, of_torch, rtol=1e-5, atol=1e-5)


def test_both_refuse_more_positions_than_they_learned(make_twins):
    own = {"patch_width": PATCH_WIDTH, "classes": CLASSES}
    for twin in make_twins("patch_classifier", "softmax", **settings(False, **own)):
        with pytest.raises(ValueError, match="at most max_length = 13 positions, got 17"):
            twin.forward(noise(BATCH, 17, PATCH_WIDTH))
