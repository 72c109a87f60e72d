"""The Keras twins run on Keras's other backends and say there what they say on TensorFlow."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import sys
import numpy as np
import keras
from implementations.on_keras.layer import build_layer
from implementations.on_keras.linear import attend
from implementations.on_keras import softmax
from implementations.on_keras.weights import export_weights, import_weights

generator = np.random.default_rng(7)
tokens = generator.normal(size=(2, 293, 11)).astype("float32")
context = generator.normal(size=(2, 7, 11)).astype("float32")
outputs = {"backend": np.array(keras.backend.backend())}
for name, attention in (("linear", attend), ("softmax", softmax.attend)):
    for causal in (False, True):
        layer = build_layer(attention, width=11, heads=3, head_width=5, causal=causal)
        weights = export_weights(layer)
        drawn = {key: generator.normal(scale=0.4, size=weights[key].shape) for key in sorted(weights)}
        import_weights(layer, {key: array.astype("float32") for key, array in drawn.items()})
        padding = generator.random((2, 293)) < 0.7
        padding[1, :5] = False
        for case, inputs in (("full", (tokens,)), ("padded", (tokens, None, padding))):
            output = keras.ops.convert_to_numpy(keras.ops.stop_gradient(layer(*inputs)))
            outputs[f"{name} causal={causal} {case}"] = output
    crossing = build_layer(attention, width=11, heads=3, head_width=5)
    import_weights(crossing, export_weights(layer))
    outputs[f"{name} cross"] = keras.ops.convert_to_numpy(keras.ops.stop_gradient(crossing(tokens, context)))
np.savez(sys.argv[1], **outputs)
"""


def outputs_on(backend: str, folder) -> dict[str, np.ndarray]:
    path = folder / f"{backend}.npz"
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], check=True, env=environment, timeout=240)
    with np.load(path) as saved:
        return dict(saved)


@pytest.fixture(scope="module")
def on_tensorflow(tmp_path_factory):
    return outputs_on("tensorflow", tmp_path_factory.mktemp("tensorflow"))


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend_answers_the_same(backend, on_tensorflow, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed, so Keras cannot run on it here")
    outputs = outputs_on(backend, tmp_path)
    assert str(outputs.pop("backend")) == backend
    assert len(outputs) == 10
    for name, output in outputs.items():
        assert np.isfinite(output).all()
        np.testing.assert_allclose(output, on_tensorflow[name], rtol=1e-5, atol=1e-5, err_msg=name)
