"""A Keras model in training: Adam as in `suites.on_keras`, gradient norms, and a state to go on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from suites.framework import Batch, Model

OTHER = "other"


class KerasTrainer:
    """See `suites.framework.Trainer`; on the TensorFlow backend. `compiled` is how a step is compiled."""

    def __init__(
        self,
        model: Model,
        measure: Callable[[Any, Any], Any],
        learning_rate: float,
        *,
        tape: Callable[[], Any],
        compiled: Callable[[Callable[..., Any]], Callable[..., Any]],
    ) -> None:
        self.model = model
        self.optimiser = keras.optimizers.Adam(learning_rate)
        self.optimiser.build(model.trainable_variables)
        names = _parts_of(model)
        places: dict[str, list[int]] = {}
        for place, variable in enumerate(model.trainable_variables):
            places.setdefault(names.get(id(variable), OTHER), []).append(place)
        self.parts = tuple(places)

        def step(inputs: Batch, target: Any) -> tuple[Any, Any]:
            with tape() as recording:
                loss = measure(target, model(*inputs, training=True))
            variables = model.trainable_variables
            gradients = recording.gradient(loss, variables)
            self.optimiser.apply(gradients, variables)
            norms = [_norm([gradients[place] for place in mine]) for mine in places.values()]
            return loss, keras.ops.stack(norms)

        self._step = compiled(step)

    def step(self, inputs: Batch, target: Any) -> tuple[float, np.ndarray]:
        """One update; the loss before it and each part's gradient norm."""
        loss, norms = self._step(inputs, target)
        return float(np.asarray(loss)), np.asarray(norms, dtype=np.float64)

    def state(self) -> dict[str, np.ndarray]:
        """Variables of the model, its random seeds included, and of Adam, each by its place."""
        return {name: np.array(variable.numpy()) for name, variable in self._variables().items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state`; raises ValueError for one of another model."""
        own = self._variables()
        other = {n: a.shape for n, a in state.items()} != {n: tuple(v.shape) for n, v in own.items()}
        if other:
            raise ValueError("the saved training is of another model: its variables have other shapes")
        for name, variable in own.items():
            variable.assign(state[name])

    def _variables(self) -> dict[str, Any]:
        groups = {"model": self.model.variables, "adam": self.optimiser.variables}
        return {f"{kind}.{place}": v for kind, group in groups.items() for place, v in enumerate(group)}


def _parts_of(model: Model) -> dict[int, str]:
    """The part of each variable by its identity: the model's attribute that holds it, ``blocks.0`` within a
    list."""
    found: dict[int, str] = {}
    for name, held in vars(model).items():
        numbered = isinstance(held, list | tuple)
        for place, one in enumerate(held if numbered else [held]):
            if isinstance(one, keras.layers.Layer) and not name.startswith("_"):
                part = f"{name}.{place}" if numbered else name
                found |= {id(variable): part for variable in one.trainable_variables}
    return found


def _norm(gradients: list[Any]) -> Any:
    # A gradient of a table comes as the rows that were looked up: those alone are not zero.
    present = [keras.ops.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
    squares = [keras.ops.sum(keras.ops.square(keras.ops.cast(one, "float32"))) for one in present]
    return keras.ops.sqrt(sum(squares)) if squares else keras.ops.zeros(())
