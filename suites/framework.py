"""What every suite asks of a framework, so that a suite is written once for torch and keras.

The two parts that import a framework are `suites.on_torch` and `suites.on_keras`; both are imported
inside a worker only, through `open_framework`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

Model: TypeAlias = Any
Batch: TypeAlias = tuple[Any, ...]
Loss: TypeAlias = Literal["mean_squared_error", "cross_entropy"]
"""Means over all targets; those of cross-entropy that are `NOT_SCORED` do not count, and where none does the
loss is 0."""

NOT_SCORED = -1
"""The target of a position that is neither trained on nor scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a call is run: `compiled` by `torch.compile` or with Keras's `jit_compile`, products taken in the
    dtype that `autocast` names while weights and everything else stay what they are."""

    compiled: bool = False
    autocast: str = ""


PLAINLY = Execution()


class Trainer(Protocol):
    """One model in training with Adam. `parts` names the groups of weights that gradient norms are taken
    over: the embedding, each block, the head."""

    parts: tuple[str, ...]

    def step(self, inputs: Batch, target: Any) -> tuple[float, np.ndarray]:
        """One update; the loss before it, and the L2 norm of the gradient of each part ``[parts]``."""

    def state(self) -> dict[str, np.ndarray]:
        """All that the next step depends on: weights, Adam's moments and count."""

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state` of a trainer of the same model; raises ValueError for another's."""


def part_of(name: str) -> str:
    """The part that a weight belongs to by its exported name: ``blocks.0.attention.query.kernel`` to
    ``blocks.0``, ``embedding.table`` to ``embedding``."""
    first, _, rest = name.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if rest[:1].isdigit() else first


class Framework(Protocol):
    """A framework on one device with a fixed number of threads."""

    name: str
    tool: str

    def seed(self, seed: int) -> None:
        """Fix every source of randomness of the framework, NumPy's and Python's included."""

    def build(
        self,
        architecture: Callable[..., Model],
        attention: object,
        execution: Execution = PLAINLY,
        *,
        dtype: str,
        **settings: object,
    ) -> Model:
        """The model on the device in `dtype`; `settings` go to the architecture as they are."""

    def arrays(self, values: Sequence[np.ndarray], dtype: str) -> Batch:
        """The arrays on the device; floats become `dtype`, integers and booleans stay what they are."""

    def forward(self, model: Model, inputs: Batch, execution: Execution = PLAINLY) -> Callable[[], Any]:
        """A call that runs the model in evaluation mode without gradients and answers its output."""

    def call(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """``function(*inputs)`` once, as it stands: without gradients, and without compiling anything."""

    def gradients(
        self,
        model: Model,
        inputs: Sequence[Any],
        cotangent: np.ndarray,
        export: Callable[[Model], dict[str, np.ndarray]],
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The output and the gradients of sum(output * cotangent): of the trainable weights by the names
        that `export` gives them, of float inputs by ``"input 0"``, ``"input 1"``, …"""

    def live_bytes(self, state: Any) -> int:
        """Bytes of all tensors that a decoding state keeps alive, each counted once."""

    def train_step(
        self, model: Model, loss: Loss, learning_rate: float, execution: Execution = PLAINLY
    ) -> Callable[[Batch, Any], Any]:
        """A call ``step(inputs, target)``: forward, loss, gradients and one Adam update; answers the loss."""

    def trainer(self, model: Model, loss: Loss, learning_rate: float) -> Trainer:
        """The model in training, with the updates of `train_step`, watched and able to go on later."""

    def inference(self, function: Callable[..., Any]) -> Callable[[Batch], Any]:
        """``call(inputs)``: ``function(*inputs)`` without gradients, compiled where the framework does; for
        parts of a model, which `forward` runs as a whole."""

    def loss_gradient(self, function: Callable[..., Any]) -> Callable[[Batch, Any], tuple[Any, Any]]:
        """``call(inputs, labels)``: the cross-entropy of each example ``[batch]`` under the logits
        ``function(*inputs)``, and the gradient of their sum by the first of the inputs."""

    def trained(self, model: Model, export: Callable[[Model], dict[str, np.ndarray]]) -> frozenset[str]:
        """The names under which `export` gives what training changes; the rest was drawn or is constant."""

    def number(self, value: Any) -> float:
        """A loss as a Python number; waits for the device."""

    def output(self, value: Any) -> np.ndarray:
        """An output as a NumPy array (float32 where the dtype has no NumPy counterpart)."""

    def synchronise(self) -> None:
        """Return when the device has finished all that was asked of it; nothing to do on a CPU."""

    def parameters(self, model: Model) -> int:
        """How many trainable numbers the model holds."""

    def operations(self, call: Callable[[], Any]) -> int | None:
        """Floating-point operations of one call, counted; None where the framework cannot count them."""

    def matrix_product(self, size: int, dtype: str) -> tuple[Callable[[], Any], int]:
        """A square matrix product and its operations: the machine's own speed, measured in the same run."""


def open_framework(name: str, *, device: str, threads: int) -> Framework:
    """The suites' part for a framework; raises ValueError for a framework that has none."""
    parts = {"torch": "suites.on_torch:Torch", "keras": "suites.on_keras:Keras"}
    if name not in parts:
        raise ValueError(f"no suite knows the framework {name!r}; known are {', '.join(parts)}")
    module, attribute = parts[name].split(":")
    part = getattr(importlib.import_module(module), attribute)
    opened: Framework = part(device=device, threads=threads)
    return opened
