"""A torch model in training: Adam as in `suites.on_torch`, gradient norms, and a state to go on from."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.utils import get_total_norm

from suites.framework import Batch, Model, part_of

RANDOM_STATE = "random_state"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class TorchTrainer:
    """See `suites.framework.Trainer`."""

    def __init__(
        self, model: Model, measure: Callable[[Any, Any], Any], learning_rate: float, epsilon: float
    ) -> None:
        self.model: torch.nn.Module = model
        self.measure = measure
        self.optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, eps=epsilon)
        self._parts: dict[str, list[torch.nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                self._parts.setdefault(part_of(name), []).append(parameter)
        self.parts = tuple(self._parts)

    def step(self, inputs: Batch, target: Any) -> tuple[float, np.ndarray]:
        """One update; the loss before it and each part's gradient norm."""
        if not self.model.training:
            self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.measure(self.model(*inputs), target)
        torch.autograd.backward(loss)
        self.optimiser.step()
        norms = torch.stack([_norm(parameters) for parameters in self._parts.values()])
        return float(loss.detach()), norms.double().numpy(force=True)

    def state(self) -> dict[str, np.ndarray]:
        """Weights and buffers by their torch names, Adam's moments by the weight's place, random numbers."""
        found = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for place, moments in self.optimiser.state_dict()["state"].items():
            found |= {f"adam.{place}.{name}": moments[name] for name in MOMENTS}
        found[RANDOM_STATE] = torch.get_rng_state()
        return {name: tensor.numpy(force=True).copy() for name, tensor in found.items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state`; raises ValueError for one of another model."""
        tensors = {name: torch.tensor(array) for name, array in state.items()}
        weights = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"the saved training is of another model: {error}") from error
        adam: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("adam."):
                _, place, moment = name.split(".")
                adam.setdefault(int(place), {})[moment] = tensor
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": adam})
        torch.set_rng_state(tensors[RANDOM_STATE])


def _norm(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return get_total_norm(gradients) if gradients else torch.zeros(())
