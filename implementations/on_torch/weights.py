"""Weights as one dict of named NumPy arrays: the layout in which they cross frameworks.

Names are dot-separated paths through the model. A linear map is ``NAME.kernel [in, out]`` and
``NAME.bias [out]``, a norm ``NAME.scale`` and ``NAME.offset``, a table ``NAME.table``. Every other
parameter or saved buffer, a user's own included, keeps its name and shape.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

_NAMES: tuple[tuple[type[nn.Module], dict[str, str]], ...] = (
    (nn.Linear, {"weight": "kernel"}),
    (nn.LayerNorm, {"weight": "scale", "bias": "offset"}),
    (nn.RMSNorm, {"weight": "scale"}),
    (nn.Embedding, {"weight": "table"}),
)


def export_weights(model: nn.Module) -> dict[str, np.ndarray]:
    """Copies of all weights by name; bfloat16, which NumPy does not know, as float32."""
    return {name: _to_array(tensor) for name, tensor in _named_tensors(model)}


def import_weights(model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Set all weights of `model`, in its own dtype and on its own device.

    Raises ValueError, and changes nothing, unless names and shapes are exactly those of the model.
    """
    own = dict(_named_tensors(model))
    problems = [f"missing {name}" for name in own if name not in weights]
    problems += [f"unexpected {name}" for name in weights if name not in own]
    problems += [
        f"{name} must have shape {tuple(own[name].shape)}, got {weights[name].shape}"
        for name in own
        if name in weights and weights[name].shape != tuple(own[name].shape)
    ]
    if problems:
        raise ValueError(f"weights do not fit {type(model).__name__}: " + "; ".join(problems))
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.tensor(weights[name]))


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every weight under its name in the layout, as a view: writing to it changes the model."""
    for path, module in model.named_modules():
        names = next((known for kind, known in _NAMES if isinstance(module, kind)), {})
        for name, tensor in _own_tensors(module):
            view = tensor.t() if names.get(name) == "kernel" else tensor
            yield ".".join(part for part in (path, names.get(name, name)) if part), view


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((name, tensor.detach()) for name, tensor in module.named_parameters(recurse=False))
    saved = module.state_dict()
    yield from ((name, tensor) for name, tensor in module.named_buffers(recurse=False) if name in saved)


def _to_array(tensor: Tensor) -> np.ndarray:
    values = tensor.detach().cpu()
    if values.dtype == torch.bfloat16:
        values = values.float()
    return np.array(values.numpy())
