"""Exact variants answer the same, forward and backward, on torch and on Keras and on Keras's backends."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from implementations.on_keras import chunked, sdpa

BATCH, TIME, SOURCE, HEADS, HEAD_WIDTH, WIDTH = 2, 13, 7, 3, 4, 11
OPTIONS = {"chunked": {"query_block": 5, "key_block": 3}, "sdpa": {}}

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
        "options": OPTIONS[name],
        **more,
    }


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("positions", ["none", "t5"])
def test_self_attention_agrees(make_twins, assert_agree, name, causal, padded, positions) -> None:
    twins = make_twins("layer", name, **settings(name, causal, positions=positions))
    assert_agree(twins, tokens(TIME, 1), None, padding_of(TIME) if padded else None)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("padded", [False, True])
def test_cross_attention_agrees(make_twins, assert_agree, name, padded) -> None:
    twins = make_twins("layer", name, **settings(name, False))
    assert_agree(twins, tokens(TIME, 1), tokens(SOURCE, 2), padding_of(SOURCE) if padded else None)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_prompt_and_steps_are_the_whole_on_keras(make_twins, name) -> None:
    _, twin = make_twins("layer", name, **settings(name, True))
    layer, inputs = twin.model, keras.ops.convert_to_tensor(tokens(TIME, 1))
    whole = np.array(layer(inputs))
    answer, state = layer.prefill(inputs[:, :5])
    answers = [answer]
    for place in range(5, TIME):
        answer, state = layer.step(inputs[:, place : place + 1], state)
        answers.append(answer)
    np.testing.assert_allclose(np.concatenate(answers, axis=1), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
@known
def test_a_saved_layer_is_the_same_again(make_twins, tmp_path, name) -> None:
    _, twin = make_twins("layer", name, **settings(name, True))
    model = keras.Sequential([keras.Input((TIME, WIDTH)), twin.model])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(again(tokens(TIME, 1))), np.array(model(tokens(TIME, 1))))


def heads(length: int, seed: int) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    return tuple(generator.normal(size=(BATCH, HEADS, length, 3)).astype("float32") for _ in range(3))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_chunked_agrees_in_a_graph_of_known_and_of_unknown_lengths(causal, padded) -> None:
    import tensorflow

    parts = heads(TIME, 3)
    padding = padding_of(TIME) if padded else None
    want = np.array(chunked.attend(*parts, causal=causal, padding=padding))
    np.testing.assert_allclose(want, np.array(sdpa.attend(*parts, causal=causal, padding=padding)), atol=1e-5)
    for length in (TIME, None):
        shapes = [tensorflow.TensorSpec((None, HEADS, length, 3))] * 3
        shapes += [tensorflow.TensorSpec((None, length), "bool")] * padded

        @tensorflow.function(input_signature=shapes)
        def traced(query, key, value, padding=None):
            options = OPTIONS["chunked"]
            return chunked.attend(query, key, value, causal=causal, padding=padding, **options)

        got = np.array(traced(*parts, *([padding] if padded else [])))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_chunked_keeps_no_scores_for_the_gradient(causal, monkeypatch) -> None:
    """Every matrix product's result is seen: none is larger than a block."""
    import tensorflow

    sizes = []
    product = keras.ops.matmul

    def watched(left, right):
        out = product(left, right)
        sizes.append(int(np.prod(out.shape)))
        return out

    monkeypatch.setattr(chunked.ops, "matmul", watched)
    parts = [tensorflow.convert_to_tensor(part) for part in heads(101, 5)]
    with tensorflow.GradientTape() as tape:
        tape.watch(parts)
        out = tensorflow.reduce_sum(chunked.attend(*parts, causal=causal, query_block=16, key_block=32))
    forward = len(sizes)
    tape.gradient(out, parts)
    assert len(sizes) > 2 * forward, "blocks are computed again for the gradient"
    assert max(sizes) == BATCH * HEADS * 16 * 32
    assert forward == (2 * 16 if causal else 2 * 7 * 4)


def test_sdpa_says_that_tensorflow_writes_the_scores_out() -> None:
    assert keras.backend.backend() == "tensorflow"
    assert sdpa.backend(*heads(TIME, 3)) == "math"


PROGRAM = """
import sys
import numpy as np
import keras
from implementations.on_keras import chunked, sdpa

generator = np.random.default_rng(7)
parts = [generator.normal(size=(2, 3, 13, 4)).astype("float32") for _ in range(3)]
bias = generator.normal(size=(1, 3, 13, 13)).astype("float32")
outer = generator.normal(size=(2, 3, 13, 4)).astype("float32")
padding = np.ones((2, 13), bool)
padding[0], padding[1, :3] = False, False
answers = {}

def gradients(loss, inputs):
    if keras.backend.backend() == "jax":
        import jax
        return jax.jit(jax.grad(loss, argnums=tuple(range(len(inputs)))))(*inputs)
    if keras.backend.backend() == "torch":
        import torch
        inputs = [torch.tensor(one, requires_grad=True) for one in inputs]
        return torch.autograd.grad(loss(*inputs), inputs)
    import tensorflow
    inputs = [tensorflow.convert_to_tensor(one) for one in inputs]
    with tensorflow.GradientTape() as tape:
        tape.watch(inputs)
        value = loss(*inputs)
    return tape.gradient(value, inputs)

small = {"query_block": 5, "key_block": 3}
for name, attend, options in (("chunked", chunked.attend, small), ("sdpa", sdpa.attend, {})):
    for causal in (False, True):
        for mask in (None, padding):
            def loss(query, key, value, bias=None):
                given = None if mask is None else keras.ops.convert_to_tensor(mask)
                mixed = attend(query, key, value, causal=causal, padding=given, bias=bias, **options)
                return keras.ops.sum(mixed * keras.ops.convert_to_tensor(outer))
            for inputs in (parts, [*parts, bias]):
                for place, found in enumerate(gradients(loss, inputs)):
                    key = f"{name} {causal} {mask is None} {len(inputs)} {place}"
                    answers[key] = keras.ops.convert_to_numpy(found)
said = sdpa.backend(*map(keras.ops.convert_to_tensor, parts))
np.savez(sys.argv[1], backend=np.array(keras.backend.backend()), said=np.array(said), **answers)
"""


@pytest.fixture(scope="module")
def gradients(tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    found = {}
    for backend in ("tensorflow", "torch", "jax"):
        path = tmp_path_factory.mktemp(backend) / "gradients.npz"
        environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run([sys.executable, "-c", PROGRAM, str(path)], check=True, env=environment, timeout=240)
        with np.load(path) as saved:
            found[backend] = dict(saved)
    return found


def test_gradients_agree_on_all_backends_of_keras(gradients) -> None:
    """Forward answers are checked with them: a gradient of the product by `value` is made of the weights."""
    reference = gradients["tensorflow"]
    for backend, found in gradients.items():
        assert str(found["backend"]) == backend
        assert len(found) == 2 + 2 * 4 * (3 + 4)
        for name in found.keys() - {"backend", "said"}:
            want = reference[name.replace("chunked", "sdpa")]
            assert np.abs(want).max() > 1e-2
            np.testing.assert_allclose(found[name], want, rtol=0, atol=1e-5, err_msg=f"{backend}: {name}")


def test_sdpa_says_what_runs_on_each_backend(gradients) -> None:
    said = {backend: str(found["said"]) for backend, found in gradients.items()}
    assert said == {"tensorflow": "math", "torch": "flash", "jax": "math"}
