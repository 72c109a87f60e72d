"""Twins: the same variant and model on both frameworks, holding the same weights."""

import importlib
import os
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import beartype
import jaxtyping
import numpy as np
import pytest

from implementations.catalog import ARCHITECTURES, VARIANTS

Arrays = dict[str, np.ndarray]


def enforce_shapes_of_keras_layers() -> None:
    """What the import hook of `tests/conftest.py` does for functions, for every layer's `call`.

    The hook itself also wraps ``__init__``, which Keras reads with `inspect.getfullargspec`, and that
    does not see through a wrapper.
    """
    enforced = jaxtyping.jaxtyped(typechecker=beartype.beartype)
    for found in pkgutil.iter_modules(importlib.import_module("implementations.on_keras").__path__):
        if found.ispkg:
            continue
        module = importlib.import_module(f"implementations.on_keras.{found.name}")
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__ and "call" in vars(kind):
                kind.call = enforced(kind.call)


enforce_shapes_of_keras_layers()


def load(target: str) -> Any:
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


class Twin:
    """One framework's model, asked in NumPy and answering in NumPy."""

    def __init__(self, framework: str, architecture: str, variant: str, settings: Mapping[str, Any]) -> None:
        build = load(next(row for row in ARCHITECTURES if row.name == architecture).targets[framework])
        attention = load(next(row for row in VARIANTS if row.name == variant).targets[framework])
        self.model = build(attention, **settings)
        self.weights = importlib.import_module(f"implementations.on_{framework}.weights")

    def parameters(self) -> int:
        return sum(array.size for array in self.export().values())

    def export(self) -> Arrays:
        exported: Arrays = self.weights.export_weights(self.model)
        return exported

    def load(self, weights: Arrays) -> None:
        self.weights.import_weights(self.model, weights)


class TorchTwin(Twin):
    def __init__(self, architecture: str, variant: str, settings: Mapping[str, Any]) -> None:
        super().__init__("torch", architecture, variant, settings)

    def forward(self, *inputs: np.ndarray | None) -> np.ndarray:
        import torch

        with torch.no_grad():
            return self.model(
                *(None if array is None else torch.from_numpy(array) for array in inputs)
            ).numpy()

    def gradients(self, cotangent: np.ndarray, *inputs: np.ndarray | None) -> Arrays:
        """Gradients of sum(output * cotangent) by the weights' names, and of float inputs by their place."""
        import torch

        tensors = [None if array is None else torch.from_numpy(array) for array in inputs]
        floats = {
            f"input {place}": tensor.requires_grad_()
            for place, tensor in enumerate(tensors)
            if tensor is not None and tensor.is_floating_point()
        }
        self.model.zero_grad()  # several tests share a model
        (self.model(*tensors) * torch.from_numpy(cotangent)).sum().backward()
        kept = self.export()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(parameter.grad)
        found = self.export() | {name: tensor.grad.numpy() for name, tensor in floats.items()}
        self.load(kept)
        return found


class KerasTwin(Twin):
    def __init__(self, architecture: str, variant: str, settings: Mapping[str, Any]) -> None:
        super().__init__("keras", architecture, variant, settings)

    def forward(self, *inputs: np.ndarray | None) -> np.ndarray:
        return np.array(self.model(*inputs))

    def gradients(self, cotangent: np.ndarray, *inputs: np.ndarray | None) -> Arrays:
        """As `TorchTwin.gradients`; they pass through the model, so that they get the weights' names."""
        import tensorflow

        tensors = [None if array is None else tensorflow.convert_to_tensor(array) for array in inputs]
        floats = {
            f"input {place}": tensor
            for place, tensor in enumerate(tensors)
            if tensor is not None and tensor.dtype.is_floating
        }
        variables = self.model.trainable_variables
        with tensorflow.GradientTape() as tape:
            tape.watch(list(floats.values()))
            loss = tensorflow.reduce_sum(self.model(*tensors) * cotangent)
        of_variables, of_inputs = tape.gradient(loss, ([v.value for v in variables], list(floats.values())))
        kept = self.export()
        for variable, gradient in zip(variables, of_variables, strict=True):
            variable.assign(tensorflow.convert_to_tensor(gradient))
        found = self.export() | dict(zip(floats, map(np.array, of_inputs), strict=True))
        self.load(kept)
        return found


@pytest.fixture(scope="session")
def fresh_twins() -> "MakeTwins":
    """``fresh_twins(architecture, variant, **settings)``: two models with the weights they start from."""

    def make(architecture: str, variant: str, **settings: Any) -> tuple[TorchTwin, KerasTwin]:
        return TorchTwin(architecture, variant, settings), KerasTwin(architecture, variant, settings)

    return make


MakeTwins = Callable[..., tuple[TorchTwin, KerasTwin]]


@pytest.fixture(scope="session")
def built_twins() -> dict[str, tuple[TorchTwin, KerasTwin]]:
    """Models are slow to build and have no state but their weights, which each test sets anew."""
    return {}


@pytest.fixture
def make_twins(built_twins: dict[str, tuple[TorchTwin, KerasTwin]]) -> MakeTwins:
    """``make_twins(architecture, variant, **settings)``: both hold random weights, biases included."""

    def make(architecture: str, variant: str, **settings: Any) -> tuple[TorchTwin, KerasTwin]:
        name = repr((architecture, variant, sorted(settings.items())))
        if name not in built_twins:
            pair = TorchTwin(architecture, variant, settings), KerasTwin(architecture, variant, settings)
            built_twins[name] = pair
        torch_twin, keras_twin = built_twins[name]
        generator = np.random.default_rng(17)
        weights = {
            name: generator.normal(scale=0.4, size=array.shape).astype("float32")
            for name, array in keras_twin.export().items()
        }
        keras_twin.load(weights)
        torch_twin.load(weights)
        return torch_twin, keras_twin

    return make


AssertAgree = Callable[..., None]


@pytest.fixture
def assert_agree() -> AssertAgree:
    """``assert_agree(twins, *inputs)``: outputs within 1e-5, gradients of weights and inputs within 1e-4."""

    def check(twins: tuple[TorchTwin, KerasTwin], *inputs: np.ndarray | None) -> None:
        torch_twin, keras_twin = twins
        expected, got = torch_twin.forward(*inputs), keras_twin.forward(*inputs)
        assert got.shape == expected.shape
        assert np.abs(expected).max() > 1e-2, "an output near zero would agree with anything"
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
        cotangent = np.random.default_rng(19).normal(size=expected.shape).astype("float32")
        of_torch = torch_twin.gradients(cotangent, *inputs)
        of_keras = keras_twin.gradients(cotangent, *inputs)
        assert of_keras.keys() == of_torch.keys()
        for name, gradient in of_torch.items():
            np.testing.assert_allclose(of_keras[name], gradient, rtol=1e-4, atol=1e-4, err_msg=name)

    return check
