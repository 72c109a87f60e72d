"""`suites.on_keras`: what every suite asks of a framework, held against values worked out by hand."""

import gc
import json
import os
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import tensorflow

from suites.on_keras import Keras

BATCH, WIDTH, CLASSES = 11, 5, 7


class Classifier(keras.Model):
    """A linear map and a dropout, called with two inputs, so that training mode and arguments show."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = keras.layers.Dense(CLASSES)
        self.dropout = keras.layers.Dropout(dropout)
        self.traced = 0

    def call(self, tokens: Any, shift: Any = None, training: bool = False) -> Any:
        self.traced += 1
        moved = tokens if shift is None else tokens + shift
        return self.dropout(self.linear(moved), training=training)


def architecture(attention: object, *, dropout: float = 0.0) -> Classifier:
    assert attention == "the attention"
    return Classifier(dropout)


@pytest.fixture
def framework() -> Keras:
    return Keras(device="cpu", threads=1)


def made_up(framework: Keras, dtype: str = "float32", batch: int = BATCH) -> tuple[tuple[Any, ...], Any]:
    generator = np.random.default_rng(3)
    tokens, labels = generator.normal(size=(batch, WIDTH)), generator.integers(0, CLASSES, batch)
    tokens_on_device, labels_on_device = framework.arrays([tokens, labels], dtype)
    return (tokens_on_device,), labels_on_device


def test_keras_says_its_version_and_its_backends(framework: Keras) -> None:
    assert framework.tool == f"keras {keras.__version__} on tensorflow {tensorflow.__version__}"


@pytest.mark.parametrize(
    ("device", "message"), [("tpu", "no device 'tpu'"), ("cuda:x", "'cuda:x'"), ("cuda", "sees no GPU")]
)
def test_keras_refuses_a_device_that_is_not_here(framework: Keras, device: str, message: str) -> None:
    if device == "cuda" and tensorflow.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    with pytest.raises(ValueError, match=message):
        Keras(device=device, threads=1)
    with pytest.raises(ValueError, match="at least 1 thread, got 0"):
        Keras(device="cpu", threads=0)


THREADS = """
import json, tensorflow
from suites.on_keras import Keras
told = {}
Keras(device="cpu", threads=1)
threading = tensorflow.config.threading
told["intra"] = threading.get_intra_op_parallelism_threads()
told["inter"] = threading.get_inter_op_parallelism_threads()
tensorflow.constant(1.0) + 1.0
Keras(device="cpu", threads=1)
try:
    Keras(device="cpu", threads=3)
except RuntimeError as error:
    told["error"] = str(error)
print(json.dumps(told))
"""


@pytest.mark.slow
def test_tensorflow_gets_its_threads_once_and_says_so_when_it_is_too_late() -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM_")}
    command = [sys.executable, "-c", THREADS]
    told = json.loads(subprocess.run(command, env=own, capture_output=True, text=True, check=True).stdout)
    assert (told["intra"], told["inter"]) == (1, 1)
    assert "already runs with 1 threads and cannot be limited to 3" in told["error"]


OTHER_BACKEND = """
import json, keras, numpy
from suites.on_keras import Keras
framework = Keras(device="cpu", threads=1)
framework.seed(3)
model = framework.build(lambda attention: keras.Sequential([keras.layers.Dense(7)]), None, dtype="float32")
tokens, target = framework.arrays([numpy.ones((11, 5)), numpy.zeros((11, 7))], "float32")
forward = framework.forward(model, (tokens,))
step = framework.train_step(model, "mean_squared_error", 0.1)
expected, losses = [], []
for _ in range(3):
    expected.append(float((framework.output(forward()) ** 2).mean()))
    losses.append(framework.number(step((tokens,), target)))
call, operations = framework.matrix_product(5, "float32")
print(json.dumps({
    "tool": framework.tool, "losses": losses, "expected": expected,
    "shape": list(framework.output(call()).shape), "parameters": framework.parameters(model),
}))
"""


@pytest.mark.slow
def test_another_backend_forwards_and_answers_each_batchs_own_loss() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OTHER_BACKEND],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "KERAS_BACKEND": "torch"},
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert " on torch " in told["tool"]
    assert told["losses"] == pytest.approx(told["expected"], rel=1e-4)
    assert told["losses"][2] < 0.9 * told["losses"][0]
    assert (told["shape"], told["parameters"]) == ([5, 5], 42)


def test_floats_take_the_dtype_and_integers_and_booleans_keep_theirs(framework: Keras) -> None:
    arrays = framework.arrays([np.ones(2), np.ones(2, np.int64), np.ones(2, bool)], "bfloat16")
    assert [keras.backend.standardize_dtype(array.dtype) for array in arrays] == ["bfloat16", "int32", "bool"]
    with pytest.raises(ValueError, match="dtype 'float8'"):
        framework.arrays([np.ones(2)], "float8")
    with pytest.raises(ValueError, match="complex128"):
        framework.arrays([np.ones(2, complex)], "float32")


def test_forward_hands_inputs_on_one_by_one_and_runs_in_evaluation_mode(framework: Keras) -> None:
    framework.seed(0)
    model = framework.build(architecture, "the attention", dtype="float32", dropout=0.5)
    inputs, _ = made_up(framework)
    (shift,) = framework.arrays([np.full(WIDTH, 3.0)], "float32")
    plain = framework.output(framework.forward(model, inputs)())
    shifted = framework.output(framework.forward(model, (*inputs, shift))())
    kernel = np.asarray(model.linear.kernel.value)
    np.testing.assert_allclose(shifted - plain, np.tile(3.0 * kernel.sum(axis=0), (BATCH, 1)), atol=1e-5)


def test_a_model_is_traced_once_for_a_shape_however_often_it_is_called(framework: Keras) -> None:
    model = framework.build(architecture, "the attention", dtype="float32")
    inputs, labels = made_up(framework)
    step = framework.train_step(model, "cross_entropy", 0.01)
    framework.forward(model, inputs)()
    step(inputs, labels)
    traced = model.traced
    for _ in range(5):
        framework.forward(model, inputs)()
        step(inputs, labels)
    assert model.traced == traced
    framework.forward(model, made_up(framework, batch=13)[0])()
    assert model.traced > traced


def test_a_model_is_freed_when_nobody_holds_it(framework: Keras) -> None:
    model = framework.build(architecture, "the attention", dtype="float32")
    framework.forward(model, made_up(framework)[0])()
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_lowers_the_loss_and_outputs_have_the_dtype(framework: Keras, dtype: str) -> None:
    framework.seed(0)
    model = framework.build(architecture, "the attention", dtype=dtype)
    inputs, labels = made_up(framework, dtype)
    step = framework.train_step(model, "cross_entropy", 0.05)
    losses = [framework.number(step(inputs, labels)) for _ in range(23)]
    assert losses[-1] < 0.8 * losses[0]
    assert framework.output(framework.forward(model, inputs)()).dtype == np.dtype(dtype)
    assert keras.backend.standardize_dtype(model.linear.kernel.dtype) == dtype


def test_bfloat16_runs_and_is_handed_over_as_float32(framework: Keras) -> None:
    model = framework.build(architecture, "the attention", dtype="bfloat16")
    inputs, labels = made_up(framework, "bfloat16")
    assert framework.output(framework.forward(model, inputs)()).dtype == np.float32
    assert keras.backend.standardize_dtype(model.linear.kernel.dtype) == "bfloat16"
    assert framework.number(framework.train_step(model, "cross_entropy", 0.05)(inputs, labels)) > 0


def test_building_leaves_the_dtype_policy_as_it_was(framework: Keras) -> None:
    before = keras.config.dtype_policy().name
    framework.build(architecture, "the attention", dtype="float64")
    with pytest.raises(ZeroDivisionError):
        framework.build(lambda attention: 1 // 0, None, dtype="float64")
    assert keras.config.dtype_policy().name == before


def test_one_step_moves_every_weight_by_adams_first_step(framework: Keras) -> None:
    model = framework.build(architecture, "the attention", dtype="float64")
    inputs, _ = made_up(framework, "float64")
    output = framework.output(framework.forward(model, inputs)())
    before = np.asarray(model.linear.kernel.value).copy()
    (target,) = framework.arrays([np.zeros((BATCH, CLASSES))], "float64")
    framework.train_step(model, "mean_squared_error", 0.01)(inputs, target)
    gradient = 2 * keras.ops.convert_to_numpy(inputs[0]).T @ output / output.size
    expected = before - 0.01 * gradient / (np.abs(gradient) + 1e-7)
    # Keras holds the learning rate in float32.
    np.testing.assert_allclose(np.asarray(model.linear.kernel.value), expected, rtol=1e-4)


def test_losses_are_the_mean_over_everything(framework: Keras) -> None:
    model = framework.build(architecture, "the attention", dtype="float64")
    inputs, labels = made_up(framework, "float64")
    logits = framework.output(framework.forward(model, inputs)())
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cross_entropy = -np.log(probabilities[np.arange(BATCH), np.asarray(labels)]).mean()
    step = framework.train_step(model, "cross_entropy", 0.0)
    assert framework.number(step(inputs, labels)) == pytest.approx(cross_entropy)
    (target,) = framework.arrays([np.full((BATCH, CLASSES), 2.0)], "float64")
    step = framework.train_step(model, "mean_squared_error", 0.0)
    assert framework.number(step(inputs, target)) == pytest.approx(((logits - 2.0) ** 2).mean())
    with pytest.raises(ValueError, match="got 'hinge'"):
        framework.train_step(model, "hinge", 0.1)  # type: ignore[arg-type]


def test_parameters_are_counted_once_there_are_any(framework: Keras) -> None:
    model = framework.build(architecture, "the attention", dtype="float32")
    with pytest.raises(ValueError, match="Classifier has no weights yet"):
        framework.parameters(model)
    framework.forward(model, made_up(framework)[0])()
    assert framework.parameters(model) == WIDTH * CLASSES + CLASSES


def test_keras_says_that_it_cannot_count_operations_rather_than_zero(framework: Keras) -> None:
    call, operations = framework.matrix_product(17, "float32")
    assert operations == 2 * 17**3
    assert framework.output(call()).shape == (17, 17)
    assert framework.operations(call) is None


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(framework: Keras) -> None:
    def answer(seed: int) -> np.ndarray:
        framework.seed(seed)
        model = framework.build(architecture, "the attention", dtype="float32")
        return framework.output(framework.forward(model, made_up(framework)[0])())

    np.testing.assert_array_equal(answer(3), answer(3))
    assert not np.array_equal(answer(3), answer(4))
