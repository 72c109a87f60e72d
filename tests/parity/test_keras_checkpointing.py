"""Checkpointing on Keras: the same gradients, eagerly and compiled, with blocks computed a second time."""

import numpy as np
import pytest

BATCH, TIME, SOURCE, MAX_LENGTH, HEADS, WIDTH, VOCABULARY = 2, 11, 7, 13, 3, 15, 31
OF_ALL = {"width": WIDTH, "heads": HEADS, "max_length": MAX_LENGTH, "options": {}}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=shape).astype("float32")


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, VOCABULARY, size=shape)


MODELS = {
    "encoder": ({"causal": False}, (noise(BATCH, TIME, WIDTH), numbers(BATCH, TIME) > 3)),
    "text_classifier": ({"causal": False, "vocabulary": VOCABULARY, "classes": 5}, (numbers(BATCH, TIME),)),
    "causal_lm": ({"causal": True, "vocabulary": VOCABULARY}, (numbers(BATCH, TIME),)),
    "encoder_decoder": (
        {"causal": True, "vocabulary": VOCABULARY},
        (numbers(BATCH, SOURCE), numbers(BATCH, TIME)),
    ),
    "image_generator": ({}, (noise(BATCH, SOURCE, WIDTH), noise(BATCH, TIME, WIDTH))),
}


@pytest.mark.parametrize("architecture", MODELS)
def test_checkpointing_changes_no_gradient_and_computes_blocks_again(fresh_twins, monkeypatch, architecture):
    import tensorflow

    from implementations.on_keras.checkpointing import set_checkpointing
    from implementations.on_keras.projected import ProjectedAttention

    own, inputs = MODELS[architecture]
    _, twin = fresh_twins(architecture, "softmax", **OF_ALL, **own)
    calls: list[int] = []
    mix = ProjectedAttention.mix

    def counted(layer, *inputs, **named):
        calls.append(1)
        return mix(layer, *inputs, **named)

    monkeypatch.setattr(ProjectedAttention, "mix", counted)
    variables = [variable.value for variable in twin.model.trainable_variables]
    tensors = [tensorflow.convert_to_tensor(array) for array in inputs]

    def gradients() -> list:
        with tensorflow.GradientTape() as tape:
            loss = tensorflow.reduce_sum(twin.model(*tensors) ** 2)
        found = tape.gradient(loss, variables)
        return [tensorflow.convert_to_tensor(gradient) for gradient in found]

    def counted_gradients() -> tuple[list, int]:
        calls.clear()
        return gradients(), len(calls)

    expected, plain = counted_gradients()
    names = list(twin.export())
    set_checkpointing(twin.model, True)
    eager, twice = counted_gradients()
    assert (plain, twice) == (len(set_of_attention(twin.model)), 2 * plain)
    compiled = tensorflow.function(gradients)()
    for got in (eager, compiled):
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert list(twin.export()) == names
    set_checkpointing(twin.model, False)
    assert counted_gradients()[1] == plain


def set_of_attention(model) -> list:
    from implementations.on_keras.projected import ProjectedAttention

    return [layer for layer in model._flatten_layers() if isinstance(layer, ProjectedAttention)]


def test_there_is_nothing_to_checkpoint_without_blocks(fresh_twins):
    from implementations.on_keras.checkpointing import set_checkpointing

    _, twin = fresh_twins("layer", "softmax", **OF_ALL, causal=False)
    with pytest.raises(ValueError, match="ProjectedAttention has no blocks to checkpoint"):
        set_checkpointing(twin.model, True)
