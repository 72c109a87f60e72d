"""The suites' part for Keras 3: what `suites.framework.Framework` asks, on the backend in `KERAS_BACKEND`.

Imported inside a worker only. On TensorFlow, the default, a model runs as the graph that Keras's own
`predict_function` and `train_function` compile (call, loss, gradients, one update), compiled here by
`tf.function`. The public `predict_on_batch` and `train_on_batch` would distort what is measured: the one
copies each output to NumPy, the other resets, updates and reads metrics that nobody asked for (for a
tiny model a step took 0.77 ms instead of 0.38).
On any other backend those public methods are used as they are: their copy to NumPy is what waits for a
backend that works asynchronously. It has been run on a CPU, on TensorFlow and on the torch backend.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np

from suites.framework import PLAINLY, Batch, Execution, Loss, Model, Trainer
from suites.keras_gradients import gradients_of, names_of
from suites.on_keras_device import checked_dtype, keras_device, limit_threads
from suites.on_keras_loops import PositionalInputs, require_plain, train_on_batch
from suites.on_keras_losses import loss_of
from suites.on_keras_training import KerasTrainer

ITEM_BYTES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "bfloat16": 2, "float16": 2, "bool": 1}
PREDICTOR = "_attnbench_predictor"


class Keras:
    """Keras on `device` (``"cpu"``, ``"cuda"``, ``"cuda:1"``) with `threads` threads within an operation.

    TensorFlow fixes its threads when it first runs, so this comes before anything else that uses it.
    Other backends take the number of threads from the environment variables that the launch sets.

    Raises:
        ValueError: for a device that is not here, or fewer than one thread.
        RuntimeError: when TensorFlow already runs with another number of threads.
    """

    name = "keras"

    def __init__(self, *, device: str, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"Keras needs at least 1 thread, got {threads}")
        self.backend = keras.backend.backend()
        self.device = keras_device(device)
        # Typed loosely: TensorFlow ships no types, and is imported only where it is the backend.
        self._tensorflow: Any = (
            importlib.import_module("tensorflow") if self.backend == "tensorflow" else None
        )
        if self._tensorflow is not None:
            limit_threads(self._tensorflow, threads)
            if self.device.startswith("gpu") and not self._tensorflow.config.list_physical_devices("GPU"):
                # TensorFlow would quietly place the work on the CPU.
                raise ValueError(f"device {device!r} was asked for, but TensorFlow sees no GPU")
        backend_version = importlib.import_module(self.backend).__version__
        self.tool = f"keras {keras.__version__} on {self.backend} {backend_version}"

    def seed(self, seed: int) -> None:
        """Fix Python's, NumPy's and the backend's randomness."""
        keras.utils.set_random_seed(seed)

    def build(
        self,
        architecture: Callable[..., Model],
        attention: object,
        execution: Execution = PLAINLY,
        *,
        dtype: str,
        **settings: object,
    ) -> Model:
        """The model on the device, its layers under the policy `dtype`, or the mixed one where `execution`
        asks for autocast; weights come at the first call."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(
            f"mixed_{execution.autocast}" if execution.autocast else checked_dtype(dtype)
        )
        try:
            with keras.device(self.device):
                return architecture(attention, **settings)
        finally:
            keras.config.set_dtype_policy(before)

    def arrays(self, values: Sequence[np.ndarray], dtype: str) -> Batch:
        """The arrays as tensors on the device; floats become `dtype`, integers int32, booleans stay."""
        checked_dtype(dtype)
        with keras.device(self.device):
            return tuple(_tensor(np.asarray(value), dtype) for value in values)

    def forward(self, model: Model, inputs: Batch, execution: Execution = PLAINLY) -> Callable[[], Any]:
        """A call of the compiled model with ``training=False``; traced once for each shape of inputs."""
        # Kept in the model, so that it lives as long; past Keras's own attributes, which would track it.
        kept: dict[str, Callable[..., Any]] = model.__dict__
        if PREDICTOR not in kept:
            kept[PREDICTOR] = self._predictor(model, execution)
        predict = kept[PREDICTOR]
        return lambda: predict(inputs)

    def _predictor(self, model: Model, execution: Execution) -> Callable[..., Any]:
        if self._tensorflow is None:
            require_plain(execution)
            predict_on_batch: Callable[..., Any] = PositionalInputs(model).predict_on_batch
            return predict_on_batch

        def predict(inputs: Batch) -> Any:
            with keras.device(self.device):
                return model(*inputs, training=False)

        return self._compiled(predict, execution)

    def _compiled(self, function: Callable[..., Any], execution: Execution = PLAINLY) -> Callable[..., Any]:
        """As Keras compiles by default: without autograph, through XLA on an accelerator or where asked."""
        jit = execution.compiled or self.device.startswith("gpu")
        compiled: Callable[..., Any] = self._tensorflow.function(
            function, autograph=False, jit_compile=True if jit else None
        )
        return compiled

    def call(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """``function(*inputs)`` as Keras runs it eagerly."""
        with keras.device(self.device):
            return function(*inputs)

    def gradients(
        self,
        model: Model,
        inputs: Sequence[Any],
        cotangent: np.ndarray,
        export: Callable[[Model], dict[str, np.ndarray]],
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Output and gradients of sum(output * cotangent), see `suites.framework.Framework`.

        Raises NotImplementedError on a backend other than TensorFlow.
        """
        tensorflow = self._require_tensorflow("gradients of Keras models")
        output, gradients = gradients_of(tensorflow, model, inputs, cotangent, export)
        return self.output(output), {name: np.asarray(value) for name, value in gradients.items()}

    def live_bytes(self, state: Any) -> int:
        """Bytes of the tensors in a (nested) tuple."""
        tensors = {id(leaf): leaf for leaf in keras.tree.flatten(state) if hasattr(leaf, "dtype")}
        return sum(
            int(np.prod(tensor.shape)) * ITEM_BYTES[keras.backend.standardize_dtype(tensor.dtype)]
            for tensor in tensors.values()
        )

    def train_step(
        self, model: Model, loss: Loss, learning_rate: float, execution: Execution = PLAINLY
    ) -> Callable[[Batch, Any], Any]:
        """A call that makes one update by `keras.optimizers.Adam` at Keras's defaults.

        In pure bfloat16 that is the same work but no learning: Keras computes Adam's bias correction in
        the weights' dtype, where 0.999 is 1 and the step therefore 0. Train in float32.
        """
        measure = loss_of(loss)
        optimiser = keras.optimizers.Adam(learning_rate)
        if self._tensorflow is None:
            require_plain(execution)
            return train_on_batch(model, measure, optimiser)
        tape_of = self._tensorflow.GradientTape

        def step(inputs: Batch, target: Any) -> Any:
            with keras.device(self.device):
                with tape_of() as tape:
                    value = measure(target, model(*inputs, training=True))
                variables = model.trainable_variables
                optimiser.apply(tape.gradient(value, variables), variables)
                return value

        return self._compiled(step, execution)

    def trainer(self, model: Model, loss: Loss, learning_rate: float) -> Trainer:
        """The model in training with the updates of `train_step`.

        Raises NotImplementedError on a backend other than TensorFlow.
        """
        tensorflow = self._require_tensorflow("trainings that are watched")
        return KerasTrainer(
            model,
            loss_of(loss),
            learning_rate,
            tape=tensorflow.GradientTape,
            compiled=self._compiled,
        )

    def inference(self, function: Callable[..., Any]) -> Callable[[Batch], Any]:
        """A call of the function, compiled on TensorFlow."""

        def call(inputs: Batch) -> Any:
            with keras.device(self.device):
                return function(*inputs)

        return call if self._tensorflow is None else self._compiled(call)

    def loss_gradient(self, function: Callable[..., Any]) -> Callable[[Batch, Any], tuple[Any, Any]]:
        """Cross-entropy of each example, and the gradient of their sum by the first input.

        Raises NotImplementedError on a backend other than TensorFlow.
        """
        tensorflow = self._require_tensorflow("gradients of Keras models by their inputs")

        def call(inputs: Batch, labels: Any) -> tuple[Any, Any]:
            varied = inputs[0]
            with keras.device(self.device), tensorflow.GradientTape() as tape:
                tape.watch(varied)
                logits = function(varied, *inputs[1:])
                losses = keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
                total = keras.ops.sum(losses)
            return losses, tape.gradient(
                total, varied, unconnected_gradients=tensorflow.UnconnectedGradients.ZERO
            )

        return self._compiled(call)

    def trained(self, model: Model, export: Callable[[Model], dict[str, np.ndarray]]) -> frozenset[str]:
        """The exported names that trainable variables stand under."""
        return frozenset(names_of(model, export))

    def _require_tensorflow(self, what: str) -> Any:
        if self._tensorflow is None:
            raise NotImplementedError(f"{what} are taken on TensorFlow, not {self.backend}")
        return self._tensorflow

    def number(self, value: Any) -> float:
        """A loss as a Python number; waits for the device."""
        return float(self.output(value))

    def output(self, value: Any) -> np.ndarray:
        """An output as a NumPy array; bfloat16, which NumPy lacks, as float32."""
        if keras.backend.standardize_dtype(value.dtype) == "bfloat16":
            value = keras.ops.cast(value, "float32")
        return np.asarray(keras.ops.convert_to_numpy(value))

    def synchronise(self) -> None:
        """Return when the device is idle; calls on a CPU, and on other backends, have waited already."""
        if self._tensorflow is not None and self.device.startswith("gpu"):
            self._tensorflow.test.experimental.sync_devices()

    def parameters(self, model: Model) -> int:
        """How many trainable numbers the model holds.

        Raises:
            ValueError: for a model that was never called: Keras creates its weights at the first call.
        """
        count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
        if not count and not model.built:
            raise ValueError(f"{type(model).__name__} has no weights yet: call it once before counting them")
        return count

    def operations(self, call: Callable[[], Any]) -> int | None:
        """None: Keras counts no operations, and TensorFlow's profiler sees static graphs of its own only.

        The same work counted on torch stands for it, since both frameworks run the same products.
        """
        return None

    def matrix_product(self, size: int, dtype: str) -> tuple[Callable[[], Any], int]:
        """A product of two square matrices of `size`, and its 2 size^3 operations."""
        numbers = np.random.default_rng(0).standard_normal((2, size, size))
        left, right = self.arrays(list(numbers), dtype)
        if self._tensorflow is None:
            return lambda: keras.ops.convert_to_numpy(keras.ops.matmul(left, right)), 2 * size**3
        product = self._compiled(keras.ops.matmul)
        return lambda: product(left, right), 2 * size**3


def _tensor(value: np.ndarray, floating: str) -> Any:
    if value.dtype == np.bool_:
        return keras.ops.convert_to_tensor(value)
    if np.issubdtype(value.dtype, np.integer):
        return keras.ops.convert_to_tensor(value, dtype="int32")
    if np.issubdtype(value.dtype, np.floating):
        return keras.ops.cast(keras.ops.convert_to_tensor(value), floating)
    raise ValueError(f"Keras takes arrays of floats, integers or booleans, got {value.dtype}")
